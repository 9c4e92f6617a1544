"""Figures of tables and gates: every verb takes ``ax=None`` and returns Axes; matplotlib lives here and in report."""
