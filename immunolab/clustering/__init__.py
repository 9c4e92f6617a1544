"""Unsupervised groups of events and cells, and their names by phenotype."""
