"""The picture of each traffic light that is not ok: what was found in the tube, or the tube beside the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from immunolab.plots.gate_views import GateView
from immunolab.plots.lights import among_png, view_png
from immunolab.quality.topics import SEEN_IN_RUN
from immunolab.schema.flags import Check

Row = Mapping[str, Any]
_IN_WORDS = frozenset({Check.HEADER, Check.FILE_NOTE, Check.GATE, Check.TIME})  # of a file's text: nothing to draw


@dataclass(frozen=True)
class LightPicture:
    """A picture of what a check found.

    Attributes
    ----------
    status, caption
        Of the check, and what was found in words.
    alt
        What is drawn, in words.
    png
        The picture.
    """

    status: str
    caption: str
    alt: str
    png: bytes


@dataclass(frozen=True)
class LightPictures:
    """Draws the pictures of tubes that are to be looked at.

    Attributes
    ----------
    checks
        Rows of quality.csv, of all tubes.
    course
        PNG of a tube's run; None where there is none.
    views
        Of `light_views`, of a tube.
    further
        Pictures of checks across tubes, by row of quality.csv.
    """

    checks: pd.DataFrame
    course: Callable[[str], bytes | None]
    views: Callable[[str], Iterable[GateView]]
    further: Callable[[Row], Iterable[LightPicture]] = field(default=lambda _: ())

    @cached_property
    def _values(self) -> dict[str, pd.Series[Any]]:
        """The values of all tubes, by check."""
        known = self.checks.dropna(subset=["value"])
        return {str(name): own.set_index("sample_id")["value"] for name, own in known.groupby("check", sort=False)}

    def of(self, sample: str, warned: pd.DataFrame) -> Iterator[tuple[str, LightPicture]]:
        """Yield the pictures of a tube, each with the name of its check.

        Parameters
        ----------
        sample
            The tube.
        warned
            Its checks that warn or fail.
        """
        views = {view.name: view for view in self.views(sample)} if len(warned) else {}
        for row in warned.to_dict("records"):
            check = str(row["check"])
            if check in SEEN_IN_RUN or check in _IN_WORDS:
                continue
            if check in views:
                yield check, _picture(row, _in_words(views[check]), view_png(views[check]))
            elif seen := list(self.further(row)):
                yield from ((check, picture) for picture in seen)
            elif pd.notna(row["value"]):
                yield check, self._among(row)

    def _among(self, row: Row) -> LightPicture:
        """Return the value of a tube among those of the others."""
        values = self._values[str(row["check"])]
        others = [float(value) for value in values[values.index != row["sample_id"]]]
        limit = float(row["limit"]) if pd.notna(row["limit"]) else None
        meaning = Check(str(row["check"])).meaning
        alt = f"{meaning}: {row['sample_id']} in red among {len(others)} other tubes"
        return _picture(row, alt, among_png(float(row["value"]), others, limit, meaning))


def _picture(row: Row, alt: str, png: bytes) -> LightPicture:
    return LightPicture(str(row["status"]), str(row["message"]), alt, png)


def _in_words(view: GateView) -> str:
    """Return what a view shows, in words."""
    axes = f"{view.y.label} against {view.x.label}" if view.y is not None else f"histogram of {view.x.label}"
    return f"{view.sample_id}: {axes}, {view.parent}"
