"""A strategy at the prompt and in a notebook: a tree of populations, each with its gate in instrument units."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from immunolab.gating.borders import in_units
from immunolab.gating.gates import Declared, PopulationTree

_LONGEST = 160  # characters of a note or of a gate in words; judgement, a line or two
_MOST = 60  # populations of a strategy that a notebook shows; judgement, a screen and a half


def shortened(text: str) -> str:
    """Return a text of at most about two lines, cut at a word."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST].rsplit(' ', 1)[0]} ..."


def strategy_line(tree: PopulationTree) -> str:
    """Return what a strategy is in one line.

    Parameters
    ----------
    tree
        Any strategy.
    """
    n = len(tree.populations)
    open_ = sum(isinstance(p.gate, Declared) for p in tree.populations)
    words = f", {open_} of them placed by data" if open_ else ""
    return f"Strategy {tree.name}: {n} population{'s' if n != 1 else ''}{words}"


def strategy_html(tree: PopulationTree) -> str:
    """Return a strategy as an HTML table: each population below its parent, with its gate in instrument units.

    Parameters
    ----------
    tree
        Any strategy.
    """
    children: dict[str, list[str]] = {}
    gates = {p.path: p for p in tree.populations}
    for path in gates:
        children.setdefault(path.rpartition("/")[0], []).append(path)

    def below(parent: str) -> Iterator[str]:
        for path in children.get(parent, []):
            yield path
            yield from below(path)

    rows = [
        f'<tr><td style="text-align:left">{escape(chr(0x2003) * 2 * (path.count("/") - 1) + gates[path].name)}</td>'
        f'<td style="text-align:left">{escape(shortened(in_units(gates[path].gate)))}</td></tr>'
        for path in below("")
    ]
    more = f"<p>and {len(rows) - _MOST} more populations</p>" if len(rows) > _MOST else ""
    head = "<tr><th>population</th><th>gate, in instrument units</th></tr>"
    return f"<p>{escape(strategy_line(tree))}</p><table>{head}{''.join(rows[:_MOST])}</table>{more}"
