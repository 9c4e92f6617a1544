"""Strategies and gated tubes changed in Python: verbs, what moved, what is counted again."""
