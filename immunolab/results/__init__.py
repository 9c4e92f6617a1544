"""`Run`, the value of a finished run: written to a folder, and read back from it as the same value."""
