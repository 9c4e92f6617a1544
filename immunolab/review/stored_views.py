"""One gate's view from a tube's stored views, without decompressing the others."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from immunolab.plots.gate_views import BINS
from immunolab.plots.scales import DisplayScale

Array = NDArray[np.float64]
_ITEM = 4  # bytes of a count, uint32


@dataclass(frozen=True)
class StoredView:
    """Where a view is in its file, and its words.

    Attributes
    ----------
    place
        Among the densities, or among the histograms where there is no ``y``.
    lines
        Shape of each run of points of the border; they begin at ``first_point`` among all points.
    """

    path: str
    x: DisplayScale
    y: DisplayScale | None
    place: int
    lines: tuple[tuple[int, ...], ...]
    first_point: int
    members: int
    first_member: int
    note: str


@dataclass(frozen=True, eq=False)
class ReadView:
    """A view with its numbers: events in bins with y first, border and some members on the display scale."""

    stored: StoredView
    counts: NDArray[np.uint32]
    lines: tuple[Array, ...]
    members: Array


class ViewFile:
    """The stored views of one tube; its words are read once, its numbers when they are asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with zipfile.ZipFile(file) as archive:
            words = json.loads(str(np.load(io.BytesIO(archive.read("words.npy")))))
        self.views = _stored(words)

    def read(self, path: str) -> ReadView | None:
        """Return the first view of a population's gate; None where it has none.

        Parameters
        ----------
        path
            Of the population.
        """
        view = self.views.get(path)
        if view is None:
            return None
        with zipfile.ZipFile(self.file) as archive:
            shape = (BINS,) if view.y is None else (BINS, BINS)
            member = "histograms.npy" if view.y is None else "densities.npy"
            counts = _items(archive, member, view.place * prod(shape), prod(shape)).reshape(shape)
            points = _whole(archive, "lines.npy") if view.lines else np.empty(0)
            members = _whole(archive, "members.npy") if view.members else np.empty((0, 2))
        lines, start = [], view.first_point
        for one in view.lines:
            lines.append(points[start : start + prod(one)].reshape(one))
            start += prod(one)
        return ReadView(view, counts, tuple(lines), members[view.first_member : view.first_member + view.members])


def _stored(words: Sequence[dict[str, Any]]) -> dict[str, StoredView]:
    """Return the first view of each population, with the places that `save_views` gave its numbers."""
    found: dict[str, StoredView] = {}
    places, point, member = {True: 0, False: 0}, 0, 0
    for plain in words:
        is_density = plain["y"] is not None
        lines = tuple(tuple(shape) for shape in plain["lines"])
        view = StoredView(
            path=plain["path"],
            x=_scale(json.dumps(plain["x"])),
            y=_scale(json.dumps(plain["y"])) if is_density else None,
            place=places[is_density],
            lines=lines,
            first_point=point,
            members=plain["members"],
            first_member=member,
            note=plain["note"],
        )
        found.setdefault(view.path, view)
        places[is_density] += 1
        point += sum(prod(shape) for shape in lines)
        member += plain["members"]
    return found


@lru_cache(maxsize=4096)  # axes: the tubes of a study share most of theirs
def _scale(text: str) -> DisplayScale:
    plain: dict[str, Any] = json.loads(text)
    plain |= {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    return DisplayScale(**plain)


def _whole(archive: zipfile.ZipFile, name: str) -> Array:
    found: Array = np.load(io.BytesIO(archive.read(name)))
    return found


def _items(archive: zipfile.ZipFile, name: str, first: int, count: int) -> NDArray[np.uint32]:
    """Return some items of a stored array of uint32; what is after them is not decompressed."""
    with archive.open(name) as handle:
        version = np.lib.format.read_magic(handle)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        read(handle)
        handle.seek(first * _ITEM, io.SEEK_CUR)
        return np.frombuffer(handle.read(count * _ITEM), dtype="<u4")
