"""What compensation leaves in tubes that have one matrix: said once of the matrix, and of a tube that is unlike them.

An entry that is wrong leaves the same share of a dye in every tube that the matrix was written into. That is one fault,
of the matrix, and its light is that of the tube that shows it best. A tube in which a dye leaves more than in the
others has a fault of its own, such as a tandem dye that fell apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from immunolab.events.tube import Spillover, Tube
from immunolab.quality.matrix_error import matrix_is_off
from immunolab.quality.residual_spillover import SpillingPair
from immunolab.quality.rows import Row
from immunolab.quality.spillover_lines import Line
from immunolab.schema.flags import Check

_NAMED = 3  # pairs that a message names
_DIGITS = 8  # hexadecimal, of the name of a matrix: two of a study's share them once in millions
Key = tuple[str, str]
Others = Mapping[Key, Sequence[Line]]


def pair_rows(tube: Tube, pairs: Iterable[SpillingPair]) -> list[Row]:
    """Return rows of `SPILLOVER`.

    Parameters
    ----------
    tube
        Compensated with its own matrix.
    pairs
        Of `immunolab.quality.residual_spillover.spilling_pairs`.
    """
    name = _name_of(tube.spillover)
    return [
        {
            "sample_id": tube.sample_id,
            "matrix": name,
            "dye": one.dye,
            "detector": one.detector,
            "entry": 100.0 * one.entry,
            "left": 100.0 * one.line.slope,
            "left_error": 100.0 * one.line.se,
            "move": one.line.move,
            "scatter": one.line.scatter,
            "straight": "yes" if one.line.is_straight else "no",
        }
        for one in pairs
    ]


def _name_of(matrix: Spillover | None) -> str:
    """Return a name that matrices of the same channels and entries share."""
    if matrix is None:
        return ""
    entries = np.ascontiguousarray(matrix.matrix, dtype=np.float64).tobytes()
    return sha256("\n".join(matrix.channels).encode() + entries).hexdigest()[:_DIGITS]


def said_of_matrices(rows: Sequence[Row], shown: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Return rows of the quality table, where what tubes with one matrix share warns once, in one of them.

    Parameters
    ----------
    rows
        Of all tubes.
    shown
        Rows of `SPILLOVER`, of all tubes.
    """
    checks = {str(row["sample_id"]): row for row in rows if row["check"] == Check.RESIDUAL_SPILLOVER}
    flagged = {name: row for name, row in checks.items() if row["status"] != "ok"}
    changed: dict[str, Row] = {}
    for tubes in _by_matrix(shown).values():
        alike: dict[str, Row] = {}
        for name in sorted(flagged.keys() & tubes.keys()):
            others = {key: _others(tubes, name, key) for key in tubes[name]}
            off = [pair for pair in tubes[name].values() if pair.is_off]
            apart = [pair for pair in off if not _is_alike(pair, others)]
            if apart:
                changed[name] = _unlike(flagged[name], apart, others)
            elif off or _is_one_matrix(tubes[name], others):
                alike[name] = flagged[name]
        changed |= _said_once(alike, tubes)
    new = {id(row): changed.get(name, row) for name, row in checks.items()}
    return [new.get(id(row), row) for row in rows]


def _by_matrix(shown: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[Key, SpillingPair]]]:
    """Return the pairs of each tube, by matrix."""
    found: dict[str, dict[str, dict[Key, SpillingPair]]] = {}
    for row in shown:
        of_tube = found.setdefault(str(row["matrix"]), {}).setdefault(str(row["sample_id"]), {})
        line = Line(row["left"] / 100, row["left_error"] / 100, row["move"], row["scatter"], row["straight"] == "yes")
        of_tube[row["dye"], row["detector"]] = SpillingPair(row["dye"], row["detector"], row["entry"] / 100, line)
    return found


def _others(tubes: Mapping[str, Mapping[Key, SpillingPair]], name: str, key: Key) -> list[Line]:
    """Return what a pair leaves in the other tubes."""
    return [own[key].line for other, own in tubes.items() if other != name and key in own]


def _is_alike(pair: SpillingPair, others: Others) -> bool:
    """Return whether a pair that is flagged leaves what it leaves in the other tubes."""
    lines = others[pair.dye, pair.detector]
    return bool(lines) and not _less(pair, lines).is_off


def _is_one_matrix(own: Mapping[Key, SpillingPair], others: Others) -> bool:
    """Return whether all entries together, by which a tube is flagged, are off as in the other tubes."""
    shown = [pair for key, pair in own.items() if others[key]]
    return matrix_is_off(shown) and not matrix_is_off([_less(one, others[one.dye, one.detector]) for one in shown])


def _less(pair: SpillingPair, others: Sequence[Line]) -> SpillingPair:
    """Return a pair with what is left beyond what the others have."""
    usual = float(np.median([line.slope for line in others]))
    error = float(np.median([line.se for line in others])) / np.sqrt(len(others))
    slope = pair.line.slope - usual
    move = pair.line.move * slope / pair.line.slope if pair.line.slope else 0.0
    return replace(pair, line=replace(pair.line, slope=slope, se=float(np.hypot(pair.line.se, error)), move=move))


def _unlike(row: Row, apart: Sequence[SpillingPair], others: Others) -> Row:
    """Return the check of a tube that leaves more than the others with its matrix, where these show it."""
    worst_first = sorted(apart, key=lambda pair: -abs(pair.line.move))
    there = [(pair, others[pair.dye, pair.detector]) for pair in worst_first]
    texts = [
        f"{pair.residual.pair} ({100 * np.median([line.slope for line in lines]):.2g} % there)"
        for pair, lines in there[:_NAMED]
        if lines
    ]
    if not texts:
        return row
    return {**row, "message": f"{row['message']}; unlike in the other tubes with this matrix: {', '.join(texts)}"}


def _said_once(alike: Mapping[str, Row], tubes: Mapping[str, Mapping[Key, SpillingPair]]) -> dict[str, Row]:
    """Return the checks of tubes that leave the same, of which the one that shows it best alone warns."""
    if len(alike) < 2:
        return {}
    first = max(alike, key=lambda name: _largest_move(tubes[name].values()))
    so = f"so in {len(alike)} of the {len(tubes)} tubes with this matrix, which have this one light: look at the matrix"
    if further := _off_elsewhere(first, alike, tubes):
        so += f"; in others of them also {', '.join(further)}"
    found = {name: {**row, "status": "ok", "message": f"{row['message']}; said of {first}, which has the same matrix"}
             for name, row in alike.items()}  # fmt: skip
    return {**found, first: {**alike[first], "message": f"{alike[first]['message']}; {so}"}}


def _off_elsewhere(first: str, alike: Iterable[str], tubes: Mapping[str, Mapping[Key, SpillingPair]]) -> list[str]:
    """Return the pairs that are flagged in other tubes and not in the one that warns for all, as texts."""
    said = {key for key, pair in tubes[first].items() if pair.is_off}
    best: dict[Key, SpillingPair] = {}
    for key, pair in ((key, pair) for name in alike for key, pair in tubes[name].items()):
        if pair.is_off and key not in said and (key not in best or abs(pair.line.move) > abs(best[key].line.move)):
            best[key] = pair
    worst_first = sorted(best.values(), key=lambda pair: -abs(pair.line.move))
    return [f"{pair.residual.pair} {pair.residual.slope:.2g} %" for pair in worst_first]


def _largest_move(pairs: Iterable[SpillingPair]) -> float:
    off = [pair for pair in pairs if pair.is_off]
    return max(abs(pair.line.move) for pair in off or pairs)
