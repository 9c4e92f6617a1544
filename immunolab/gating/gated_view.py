"""A gated tube at the prompt and in a notebook: the tree of its populations with their events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from immunolab.gating.counts import PopulationCount, tree_order
from immunolab.gating.strategy_view import shortened
from immunolab.schema.flags import shown

Row = tuple[str, str, str, str]


def gated_text(title: str, counts: Sequence[PopulationCount], notes: Iterable[str]) -> str:
    """Return a gated tube as lines: each population below its parent, with events, percent and flags.

    Parameters
    ----------
    title
        The first line.
    counts
        Root first.
    notes
        What is unusual, a line each.
    """
    rows = list(_rows(counts, " "))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    lines = [
        f"{name:<{widths[0]}}  {n:>{widths[1]}}  {percent:>{widths[2]}}  {flags}".rstrip()
        for name, n, percent, flags in rows
    ]
    return "\n".join([title, *lines, *map(shortened, notes)])


def gated_html(counts: Sequence[PopulationCount], notes: Iterable[str]) -> str:
    """Return a gated tube as an HTML table.

    Parameters
    ----------
    counts
        Root first.
    notes
        What is unusual, a paragraph each.
    """
    head = "".join(f"<th>{name}</th>" for name in ("population", "events", "% of parent", "flag"))
    style = ("left", "right", "right", "left")
    rows = "".join(
        "<tr>"
        + "".join(f'<td style="text-align:{side}">{escape(c)}</td>' for side, c in zip(style, row, strict=True))
        + "</tr>"
        for row in _rows(counts, "\u2003")  # an em space: browsers and pandas drop spaces at the start of a cell
    )
    below = "".join(f"<p>{escape(shortened(note))}</p>" for note in notes)
    return f"<table><tr>{head}</tr>{rows}</table>{below}"


def _rows(counts: Sequence[PopulationCount], indent: str) -> Iterator[Row]:
    """Yield name, events, percent of parent and flags, children below their parent; notes are for the table."""
    root, *others = tree_order(counts)
    yield root.population, f"{root.n_events:,}", "", ";".join(shown(root.flag))
    for count in others:
        percent = "" if count.percent_of_parent is None else f"{count.percent_of_parent:.2f} %"
        name = f"{indent * 2 * count.path.count('/')}{count.population}"
        yield name, f"{count.n_events:,}", percent, ";".join(shown(count.flag))
