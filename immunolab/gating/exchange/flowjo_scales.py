"""FlowJo 10's scales and spillover matrices, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from immunolab.errors import GatingError
from immunolab.events.transforms import Asinh, Biex, Bounded, Identity, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.edge_conversion import Family
from immunolab.gating.exchange.safe_xml import DATATYPES, TRANSFORMS, attribute, child, local_name, number
from immunolab.gating.exchange.scales import asinh_parameters, asinh_scale
from immunolab.gating.exchange.xml_out import add_coefficients, shortest

PREFIX = "Comp-"  # before the name of a compensated channel, as FlowJo writes it
DISPLAY_BINS = 256  # FlowJo's display of a channel; its workspaces call it the length of a scale
LOG_OFFSET = 1e-3  # low end of the log axis that is written, instrument units: below any signal of an instrument
_LOG_DECADES = 9.0  # from there to 1e6: the end of the display only, edges are the same beyond it
LINEAR_TOP = 262_144.0  # of the linear axis that is written: 18 bits, FlowJo's default


@dataclass(frozen=True)
class Axis:
    """A channel's scale, and where the ends of FlowJo's display are on it.

    Attributes
    ----------
    transform
        The scale.
    low, high
        Ends of the display, on the scale.
    """

    transform: Transform
    low: float = 0.0
    high: float = 1.0


def read_axis(element: Element) -> tuple[str, Axis | GatingError]:
    """Return channel and axis of one child of ``Transformations``; a GatingError where the scale cannot be read."""
    name = ""
    try:
        name = attribute(child(element, f"{DATATYPES}parameter"), "name", DATATYPES)
        return name, _axis(element)
    except GatingError as error:
        return name, GatingError(f"scale of channel '{name}': {error.message}", hint=error.hint)


def _axis(element: Element) -> Axis:
    def of(key: str) -> float:
        return number(element, key, TRANSFORMS)

    match local_name(element):
        case "linear":
            return Axis(Identity(), of("minRange"), of("maxRange"))
        case "log":
            return Axis(Bounded(Log(of("offset") * 10.0 ** of("decades"), of("decades")), low=0.0))
        case "logicle":
            return Axis(Logicle(of("T"), of("W"), of("M"), of("A")))
        case "fasinh":
            return Axis(asinh_scale(of("T"), of("M"), of("A")))
        case "biex":
            if of("length") != DISPLAY_BINS:
                raise GatingError(f"a biex scale of length {of('length'):g} is not supported", hint="FlowJo's is 256")
            return Axis(Biex(of("neg"), of("width"), of("pos"), of("maxRange")))
        case kind:
            hint = "in FlowJo set the channel to linear, log, biex, logicle or arcsinh"
            raise GatingError(f"scales of kind {kind} are not supported", hint=hint)


def read_spillover(element: Element, name: str) -> Spillover:
    """Return a ``spilloverMatrix``.

    Parameters
    ----------
    element
        The XML element.
    name
        Of the matrix.

    Raises
    ------
    GatingError
        It unmixes spectra, is singular, or names channels that it does not have.
    """
    if element.get("spectral") == "1":
        raise GatingError("spectral unmixing is not supported", hint="gate the unmixed files")
    parameters = child(element, f"{DATATYPES}parameters").findall(f"{DATATYPES}parameter")
    channels = tuple(attribute(item, "name", DATATYPES) for item in parameters)
    values = np.eye(len(channels))
    for row in element.findall(f"{TRANSFORMS}spillover"):
        for item in row.findall(f"{TRANSFORMS}coefficient"):
            pair = attribute(row, "parameter", DATATYPES), attribute(item, "parameter", DATATYPES)
            if not set(pair) <= set(channels):
                raise GatingError(f"it names channel '{pair[0]}' or '{pair[1]}', which it does not list")
            values[channels.index(pair[0]), channels.index(pair[1])] = number(item, "value", TRANSFORMS)
    if np.linalg.matrix_rank(values) < len(channels):
        raise GatingError("the matrix is singular", hint="export it again")
    return Spillover(channels, values, name)


def write_scale(kind: Family, channel: str) -> Element:
    """Return a channel's scale; ``linear`` and ``log`` stand for all scales on which the same edges are straight.

    Parameters
    ----------
    kind
        The scale, or what scales share on which the same edges are straight.
    channel
        As FlowJo shows it, ``Comp-`` included.
    """
    tag, values = _parameters(kind)
    element = Element(f"{TRANSFORMS}{tag}", {f"{TRANSFORMS}{name}": text for name, text in values.items()})
    if tag == "linear":
        element.set("gain", "1")
    SubElement(element, f"{DATATYPES}parameter", {f"{DATATYPES}name": channel})
    return element


def _parameters(kind: Family) -> tuple[str, dict[str, str]]:
    values: dict[str, float]
    match kind:
        case Biex(negative, width, positive, t):
            tag, values = "biex", {"neg": negative, "width": width, "pos": positive, "maxRange": t}
        case Logicle(t, w, m, a):
            tag, values = "logicle", {"T": t, "A": a, "W": w, "M": m}
        case Asinh() | ScaledAsinh():
            t, m, a = asinh_parameters(kind) if isinstance(kind, Asinh) else (kind.t, kind.m, kind.a)
            tag, values = "fasinh", {"maxRange": t, "T": t, "M": m, "A": a}
        case Bounded(Log(t, m)):
            tag, values = "log", {"offset": t / 10.0**m, "decades": m}
        case "log":
            tag, values = "log", {"offset": LOG_OFFSET, "decades": _LOG_DECADES}
        case _:
            tag, values = "linear", {"minRange": 0.0, "maxRange": LINEAR_TOP}
    length = {"length": str(DISPLAY_BINS)} if tag in ("biex", "logicle", "fasinh") else {}
    return tag, length | {name: shortest(value) for name, value in values.items()}


def write_spillover(matrix: Spillover) -> Element:
    """Return a ``spilloverMatrix``."""
    words = {"spectral": "0", "prefix": PREFIX, "name": "Acquisition-defined", "suffix": "", "version": "FlowJo-10.8.1"}
    element = Element(f"{TRANSFORMS}spilloverMatrix", words)
    parameters = SubElement(element, f"{DATATYPES}parameters")
    for channel in matrix.channels:
        shown = {f"{DATATYPES}name": channel, "userProvidedCompInfix": PREFIX + channel}
        SubElement(parameters, f"{DATATYPES}parameter", shown)
    for channel, row in zip(matrix.channels, matrix.matrix, strict=True):
        shown = {f"{DATATYPES}parameter": channel, "userProvidedCompInfix": PREFIX + channel}
        add_coefficients(SubElement(element, f"{TRANSFORMS}spillover", shown), row, matrix.channels)
    return element
