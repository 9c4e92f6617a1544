"""What happened to patients, as marks on a time axis: one shape and colour a kind, on every figure alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immunolab.plots.calendar import Calendar, shade
from immunolab.plots.names import shortened
from immunolab.plots.panel_canvas import width_of
from immunolab.plots.style import ALARM, MM, SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = {  # kind of a mark: shape and colour; in the order they are listed
    "response": ("o", "#009E73"),
    "event": ("D", "#D55E00"),
    "rescue": ("s", "#E69F00"),
    "adverse event": (".", "#CC79A7"),
    "severe adverse event": ("^", ALARM),
    "other": ("v", "#56B4E9"),
    "last seen": ("|", "black"),
    "death": ("X", "black"),
}
_SHAPES_OF_ONE_KIND = "osDv^P"  # things of one kind on one axis: the kind's own shape first, then these
_ROW = 3.6  # mm of a line of marks
_FRAME = 8.0  # mm of the axis and above the marks
_SHORTEST = 8  # characters that a line's name keeps
_BESIDE_AXIS = 4.5  # mm between a name and the axis, and at the page's edge


def shapes(marks: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return shape and colour of each thing that happened: the colour of its kind, and a shape that no other has.

    Parameters
    ----------
    marks
        what, kind.
    """
    found: dict[str, tuple[str, str]] = {}
    for what, kind in zip(marks["what"].astype(str), marks["kind"].astype(str), strict=True):
        own, tint = KINDS[kind]
        free = [shape for shape in (own, *_SHAPES_OF_ONE_KIND) if (shape, tint) not in found.values()]
        found.setdefault(what, (free[0] if free else own, tint))
    return found


def strip_lines(marks: pd.DataFrame) -> list[str]:
    """Return what happened, one line each, in the order of kinds.

    Parameters
    ----------
    marks
        patient_id, study_day, what, kind.
    """
    order = marks.assign(rank=marks["kind"].map(list(KINDS).index)).sort_values("rank", kind="stable")
    return list(dict.fromkeys(order["what"].astype(str)))


def strip_height(marks: pd.DataFrame) -> float:
    """Return the height in mm at which `mark_strip` has room for every line.

    Parameters
    ----------
    marks
        As for `mark_strip`.
    """
    return _FRAME + _ROW * len(strip_lines(marks)) if len(marks) else 0.0


def mark_strip(ax: Axes, marks: pd.DataFrame, plan: Calendar, patient: str) -> None:
    """Draw one line of marks for each thing that happened to a patient, named at the left.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    marks
        patient_id, study_day, what, kind (of `KINDS`): of one patient.
    plan
        Doses and phases, shaded behind.
    patient
        Coded id.
    """
    shade(ax, plan, patient)
    names = []
    lines = strip_lines(marks)
    for place, what in enumerate(lines):
        own = marks[marks["what"] == what]
        days = own["study_day"].to_numpy(dtype=float)
        shape, tint = KINDS[str(own["kind"].iloc[0])]
        ax.plot(days, np.full(len(days), place), shape, color=tint, markersize=5, zorder=3)
        names.append(_name(what, f", day {days[0]:.0f}" if len(days) == 1 else f" ({len(days)})", _room(ax)))
    ax.set_yticks(range(len(lines)), names, fontsize=SMALL)
    ax.set_ylim(len(lines) - 0.3, -0.7)


def _room(ax: Axes) -> float:
    """Return the width at the left of axes, in mm, that names may take."""
    box = ax.get_position()
    return float(box.x0 * ax.figure.get_figwidth() / MM) - _BESIDE_AXIS  # type: ignore[union-attr]


def _name(what: str, rest: str, room: float) -> str:
    """Return what happened, shortened until it fits into its room with the rest."""
    whole = range(len(what), _SHORTEST, -1)
    fits = (text for text in (shortened(what, n) for n in whole) if width_of(text + rest) <= room)
    return next(fits, shortened(what, _SHORTEST)) + rest


def end_line(ax: Axes, marks: pd.DataFrame) -> None:
    """Draw a line at a patient's death, so that no panel seems to lack values without a reason.

    Parameters
    ----------
    ax
        Axes whose x axis is study days.
    marks
        Of one patient.
    """
    for day in marks.loc[marks["kind"] == "death", "study_day"].astype(float):
        ax.axvline(day, color="black", linewidth=1.0, zorder=3)
