"""What both gate writers say in the same words: namespaces, channels, coordinates, and the file itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent, register_namespace

from immunolab.gating.exchange.safe_xml import DATATYPES, GATING, TRANSFORMS
from immunolab.schema.files import write_atomically

for _prefix, _space in (("gating", GATING), ("transforms", TRANSFORMS), ("data-type", DATATYPES)):
    register_namespace(_prefix, _space.strip("{}"))


def write_document(root: Element, path: Path | str) -> None:
    """Write an XML document, whole or not at all.

    Parameters
    ----------
    root
        Indented in place.
    path
        Replaced if it exists.
    """
    indent(root)
    write_atomically(Path(path), lambda part: ElementTree(root).write(part, encoding="utf-8", xml_declaration=True))


def shortest(value: float) -> str:
    """Return the shortest text that reads back to the same number."""
    return repr(float(value))


def add_channel(parent: Element, name: str) -> None:
    """Add ``fcs-dimension``, the element that names a channel.

    Parameters
    ----------
    parent
        Element that gets the new one.
    name
        The channel's FCS name ($PnN).
    """
    SubElement(parent, f"{DATATYPES}fcs-dimension", {f"{DATATYPES}name": name})


def add_vertices(parent: Element, corners: Iterable[Iterable[float]]) -> None:
    """Add a polygon's corners.

    Parameters
    ----------
    parent
        Element that gets a ``vertex`` a corner.
    corners
        In order, the first not repeated.
    """
    for corner in corners:
        add_coordinates(SubElement(parent, f"{GATING}vertex"), corner)


def add_coordinates(parent: Element, values: Iterable[float]) -> None:
    """Add a point's coordinates.

    Parameters
    ----------
    parent
        Element that gets a ``coordinate`` a value.
    values
        Written as the shortest text that reads back the same.
    """
    for value in values:
        SubElement(parent, f"{GATING}coordinate", {f"{DATATYPES}value": shortest(value)})


def add_coefficients(parent: Element, values: Iterable[float], names: Iterable[str] = ()) -> None:
    """Add one row of a spillover matrix, with the receiving channels where the format names them.

    Parameters
    ----------
    parent
        The row's element.
    values
        Share of the dye's signal in each channel.
    names
        The channels, in the order of the values.
    """
    labels = [{f"{DATATYPES}parameter": name} for name in names]
    for place, value in enumerate(values):
        words = (labels[place] if labels else {}) | {f"{TRANSFORMS}value": shortest(value)}
        SubElement(parent, f"{TRANSFORMS}coefficient", words)
