"""A finished run in the formats that trials and repositories ask for."""
