"""The analysis plan of a study: its content, locked with a hash, and how the study as it is now differs from it."""
