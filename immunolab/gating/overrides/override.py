"""A gate that a reader placed on one tube, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field

from immunolab.gating.gates import Gate
from immunolab.schema.overrides import Reason


@dataclass(frozen=True)
class StatedBorder:
    """A border as someone writes it: the marker and its place, or the places of both ends.

    Attributes
    ----------
    marker
        Marker or channel.
    at
        One number, or the lower and the upper end with None for an open one; instrument units.
    """

    marker: str
    at: tuple[float | None, ...]


@dataclass(frozen=True)
class Override:
    """A gate that a reader placed on one tube, instead of the automatic one.

    Attributes
    ----------
    id
        Of this override; unique in a file.
    change
        Gates that were changed in one step share it.
    sample_id, path
        Whose gate it is: lineage, or a population's name; "" with `borders` is every gate with that border.
    gate
        With coordinates (rectangle, polygon, ellipsoid); None where only `borders` are stated.
    was
        The gate that it replaced, as data placed it or as it was drawn; None where that is not known.
    reason
        A word of `REASONS`.
    comment, reader, at
        Why, who, when (UTC, ISO 8601); a comment is needed where the reason is ``other``.
    percent_before, percent_after
        Of the parent's events, as they were when the gate was placed; None where nothing counted them.
    file_sha256
        Of the tube's file as the reader saw it; "" where that is not known.
    entry
        Hash of the entry of the audit log; "" without a log.
    borders
        Borders as written by hand, in place of `gate`.
    remarks
        Lines of comment that stand at it in its file; two overrides are equal whatever these are.
    """

    id: str
    change: str
    sample_id: str
    path: str
    gate: Gate | None
    was: Gate | None
    reason: Reason
    comment: str = ""
    reader: str = ""
    at: str = ""
    percent_before: float | None = None
    percent_after: float | None = None
    file_sha256: str = ""
    entry: str = ""
    borders: tuple[StatedBorder, ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)
