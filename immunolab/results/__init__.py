"""The value of a finished run, written and read back."""
