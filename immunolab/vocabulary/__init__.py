"""Markers, dyes, phenotypes and populations: what the words on a tube mean."""
