"""Puts rooms to work: settings, the workspace that users hold, applying, serving, replaying."""
