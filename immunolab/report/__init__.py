"""The report of a run: one HTML page, its figures with their data, a manifest, and the means to verify all of it."""
