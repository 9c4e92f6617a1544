"""Every table, flag and code that leaves the program, declared once."""
