"""What holds for every test: property-based tests draw values, they do not race."""

from hypothesis import settings

settings.register_profile("inseam", deadline=None)
settings.load_profile("inseam")
