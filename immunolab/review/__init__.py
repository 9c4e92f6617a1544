"""Gates of a finished run looked at and corrected by a reader who cannot see which patient or visit a tube is of."""
