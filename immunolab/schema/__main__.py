"""`python -m immunolab.schema`, in a checkout of the project: write the reference pages of docs/ anew."""

from __future__ import annotations

from pathlib import Path

from immunolab.schema.pages import flags_page, night_log_page, tables_page

if __name__ == "__main__":
    docs = Path(__file__).parents[2] / "docs"
    (docs / "tables.md").write_text(tables_page(), encoding="utf-8")
    (docs / "flags.md").write_text(flags_page(), encoding="utf-8")
    (docs / "night_log.md").write_text(night_log_page(), encoding="utf-8")
