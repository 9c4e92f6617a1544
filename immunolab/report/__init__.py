"""The report of a run: one HTML page, its figures with their data, a manifest, and `verify` of all of it."""
