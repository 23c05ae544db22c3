"""Conformance suites, one a port: subclass, give the fixture, and pytest runs them on your adapter."""
