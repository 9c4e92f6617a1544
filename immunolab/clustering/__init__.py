"""Unsupervised groups of events and cells, and the names they deserve."""
