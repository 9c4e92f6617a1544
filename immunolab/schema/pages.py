"""The reference pages of docs/ that are made from the declarations: tables.md, flags.md and night_log.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap

from immunolab.schema import (
    across_tubes,
    agreement,
    bridges,
    cells,
    clinical,
    comparison,
    endpoints,
    figures,
    flags,
    gating,
    plan,
    pooling,
    review,
    simulation,
)
from immunolab.schema.column import Column
from immunolab.schema.night_log import EVENTS, EVERY_EVENT, METRICS, STAGES
from immunolab.schema.table import Table

_WIDTH = 120  # characters of a line, as in the rest of the project
_TABLES = """# Tables

CSV, UTF-8, one header line. `run` writes `OUT/tables/` and `OUT/samples/SAMPLE_ID/`; `gate` and `cluster` write to
OUT, `label` and `compare` the file named with `-o`. Columns come in this order; those marked *optional* are there only
when they apply. Flags and warnings are words joined by `;`, explained in [flags.md](flags.md). A missing value is an
empty field, and no word means one: a cohort named `NA` is a cohort. Percent is 0 to 100. Numbers have full precision.

A text that begins with `= + - @`, a tab or a carriage return, or has one of them behind a semicolon or a line end,
would be computed by a spreadsheet. It is written with an apostrophe before that sign (`'=SUM(A1)`), be it the name of
a column, channel, gate or patient; numbers (`-1.5`) are written as they are. Every reader of immunolab takes the
apostrophe away again, in sheets and tables of yours too. In a script: `immunolab.schema.formula_cells.restored(text)`.

In Python each table says this itself: `run.shifts.attrs["units"]` is column to unit (a unit that is the name of a
column is said by that column), `run.shifts.attrs["columns"]` the dictionary of this page. pandas keeps them in what it
derives.

This page is written by `python -m immunolab.schema` from `immunolab/schema`.
"""
_FIGURES = "In OUT/figures, beside the PDF and PNG of the same name: what is drawn, one row a mark."
_TOPICS = (
    ("Gated samples", gating),
    ("Across tubes", across_tubes),
    ("Values by patient and visit", endpoints),
    ("Comparison", comparison),
    ("Analysis plan and log", plan),
    ("Clinic", clinical),
    ("Single cells and clusters", cells),
    ("Bridging controls and beads", bridges),
    ("Pooled runs", pooling),
    ("Review", review),
    ("Agreement of two gatings", agreement),
    ("A simulated study", simulation),
)


def tables_page() -> str:
    """Return docs/tables.md: every table with its columns."""
    parts = [_TABLES]
    for title, topic in _TOPICS:
        parts.append(f"## {title}\n")
        parts += [_section(table) for table in topic.TABLES]
    rows = [
        (f"`{one.pattern}.csv`", one.meaning, f"{one.base.name}.csv" if one.base else "", _named(one.more))
        for one in figures.FIGURES
    ]
    parts.append(_words("Data beside figures", _FIGURES, ("file", "shows", "rows of", "further columns"), rows))
    return "\n".join(parts)


def _named(columns: Iterable[Column]) -> str:
    return "; ".join(f"`{column.name}` {column.meaning}" for column in columns)


def _section(table: Table) -> str:
    key = f" One row for each {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    files = ", ".join(f"`{file}`" for file in table.files)
    lines = [f"### {table.name}.csv", "", *_paragraph(f"{_sentence(table.meaning)}{key} Written as {files}."), ""]
    if table.notes:
        lines += [*_paragraph(table.notes), ""]
    if table.own_columns:
        lines += ["Columns of the user's own may follow.", ""]
    return "\n".join([*lines, *_columns(table.columns), ""])


def _columns(columns: Iterable[Column]) -> Iterator[str]:
    yield "| column | holds | unit | may be empty |"
    yield "|---|---|---|---|"
    for column in columns:
        allowed = f" ({', '.join(column.allowed)})" if column.allowed else ""
        optional = "*optional*; " if column.optional else ""
        empty = "yes" if column.nullable else ""
        yield f"| `{column.name}` | {optional}{column.meaning}{allowed} | {column.unit} | {empty} |"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _paragraph(text: str) -> list[str]:
    return wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


_FLAGS = """# Flags, checks and codes

Words that qualify a number, joined by `;` where there are several. Each has a rank:

- **unusable**: the number is withheld, or must not be used;
- **doubtful**: it is shown, marked and to be reviewed;
- **note**: true of most laboratories, kept in the table only.

This page is written by `python -m immunolab.schema` from `immunolab/schema/flags.py`.
"""
_CODES = (
    "In the columns `warnings` of shifts.csv and `codes` of arms.csv and shifts_by_response.csv, and in messages. A "
    "code with E stops the test it concerns, or everything; one with W is beside a result that is shown."
)


def flags_page() -> str:
    """Return docs/flags.md: every flag, check, code, call and status with its meaning."""
    ranked = ("word", "rank", "means")
    parts = [
        _FLAGS,
        _words("Flags", "In the column `flag` of most tables.", ranked, _ranked(flags.Flag)),
        _words("Checks", "In the column `check` of quality.csv.", ranked, _ranked(flags.Check)),
        _words("Codes of a comparison", _CODES, ranked, _ranked(flags.Code)),
    ]
    for title, where, meanings in (
        ("Calls of a patient", "In the column `verdict` of pairs.csv.", flags.VERDICTS),
        ("Status of a check", "In the column `status` of quality.csv.", flags.STATUSES),
    ):
        parts.append(_words(title, where, ("word", "means"), [(f"`{w}`", text) for w, text in meanings.items()]))
    return "\n".join(parts)


_NIGHT = """# What a run says of itself

Three files in OUT, written while `run` is on, by the run alone. They hold times, the host and the process, and are no
part of what is the same for the same input; the manifest does not list them. Of patients they hold what the sample
sheet has put there: sample_ids, and in the error of a failed sample what failures.csv says of it. How to use them:
[batch_processing.md](batch_processing.md).

This page is written by `python -m immunolab.schema` from `immunolab/schema/night_log.py`.
"""
_EVENTS = (
    "One JSON object a line, appended as things happen, every run after the one before. Each has the fields "
    f"{', '.join(f'`{name}` ({text})' for name, text in EVERY_EVENT.items())}, and those of its kind."
)
_STATUS = (
    "What `immunolab status` reads: a small JSON object, replaced as a whole every few seconds. Programs read "
    "`immunolab status OUT --json` instead, which also says whether the process is still there."
)
_METRICS = (
    "For the textfile collector of Prometheus' node exporter, replaced as a whole with status.json. All are gauges."
)


def night_log_page() -> str:
    """Return docs/night_log.md: events, stages and metrics of a run."""
    events = [
        (f"`{name}`", one.meaning, "; ".join(f"`{f}` {t}" for f, t in one.fields.items()))
        for name, one in EVENTS.items()
    ]
    parts = [
        _NIGHT,
        _words("run.jsonl", _EVENTS, ("event", "says", "further fields"), events),
        _words(
            "Stages", "In the order of a run.", ("stage", "means"), [(f"`{w}`", text) for w, text in STAGES.items()]
        ),
        "\n".join(["## status.json", "", *_paragraph(_STATUS), ""]),
        _words("metrics.prom", _METRICS, ("metric", "holds"), [(f"`{w}`", text) for w, text in METRICS.items()]),
    ]
    return "\n".join(parts)


def _ranked(words: Iterable[flags.DeclaredWord]) -> list[tuple[str, ...]]:
    return [(f"`{word}`", word.rank, word.meaning) for word in words]


def _words(title: str, where: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(row) for row in (head, *rows)]
    lines.insert(1, "|".join(["---"] * len(head)))
    table = [f"|{line}|" if line.startswith("---") else f"| {line} |" for line in lines]
    return "\n".join([f"## {title}", "", *_paragraph(where), "", *table, ""])
