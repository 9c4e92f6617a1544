"""Gating: strategies, their evaluation, their exchange with other programs, and thresholds placed by data."""
