"""The built-in trial designs."""
