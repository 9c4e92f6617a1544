"""Checks of tubes and of panels across a study."""
