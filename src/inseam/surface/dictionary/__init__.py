"""The data dictionary: a static site about everything that a project declares."""
