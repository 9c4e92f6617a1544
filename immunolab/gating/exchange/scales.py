"""Scales and spillover matrices as Gating-ML 2.0 writes them, both ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.transforms import Asinh, Bounded, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.safe_xml import DATATYPES, TRANSFORMS, attribute, child, local_name, number
from immunolab.gating.exchange.xml_out import add_channel, add_coefficients, shortest
from immunolab.gating.gates import Ratio

_NATURAL_DECADE = 1.0 / math.log(10.0)  # decades for which Gating-ML's fasinh is arcsinh(x / cofactor)


def read_scales(root: Element) -> tuple[dict[str, Transform | GatingError], dict[str, Ratio]]:
    """Return the scales by id (a GatingError where one cannot be read), and the ratios by id."""
    scales: dict[str, Transform | GatingError] = {}
    ratios: dict[str, Ratio] = {}
    for element in root.findall(f"{TRANSFORMS}transformation"):
        key = element.get(f"{TRANSFORMS}id", "")
        ratio = element.find(f"{TRANSFORMS}fratio")
        try:
            if ratio is not None:
                ratios[key] = _ratio(ratio)
            else:
                scales[key] = _bounded(element)
        except GatingError as error:
            scales[key] = GatingError(f"transformation '{key}': {error.message}", hint=error.hint)
    return scales, ratios


def _ratio(element: Element) -> Ratio:
    names = [attribute(item, "name", DATATYPES) for item in element.findall(f"{DATATYPES}fcs-dimension")]
    if len(names) != 2:
        raise GatingError(f"a ratio needs two channels, {len(names)} given")
    a, b, c = (number(element, letter, TRANSFORMS) for letter in "ABC")
    return Ratio(names[0], names[1], a, b, c)


def _bounded(element: Element) -> Transform:
    scale = _scale(element)
    low, high = element.get(f"{TRANSFORMS}boundMin"), element.get(f"{TRANSFORMS}boundMax")
    if low is None and high is None:
        return scale
    return Bounded(
        scale,
        -math.inf if low is None else number(element, "boundMin", TRANSFORMS),
        math.inf if high is None else number(element, "boundMax", TRANSFORMS),
    )


def _scale(element: Element) -> Transform:
    items = [item for item in element if local_name(item) != "custom_info"]
    if not items:
        raise GatingError("the transformation is empty")
    kind = local_name(items[0])
    if kind not in _KINDS:
        raise GatingError(f"scales of kind {kind} are not supported")
    made, letters = _KINDS[kind]
    return made(*(number(items[0], letter, TRANSFORMS) for letter in letters))


def asinh_scale(t: float, m: float, a: float) -> Transform:
    """Return Gating-ML's fasinh: arcsinh(x / cofactor) where the parameters are exactly that, else the general scale.

    Parameters
    ----------
    t
        Top of the scale, instrument units.
    m, a
        Decades, and further negative decades.
    """
    if a == 0.0 and math.isclose(m, _NATURAL_DECADE, rel_tol=1e-12):
        cofactor = t / math.sinh(1.0)
        plain = float(f"{cofactor:.12g}")
        return Asinh(plain if math.isclose(plain, cofactor, rel_tol=1e-14) else cofactor)
    return ScaledAsinh(t, m, a)


def asinh_parameters(scale: Asinh) -> tuple[float, float, float]:
    """Return T, M, A for which Gating-ML's fasinh is arcsinh(x / cofactor)."""
    return scale.cofactor * math.sinh(1.0), _NATURAL_DECADE, 0.0


# element of each scale of the standard, and its parameters in the order of our scales' fields
_KINDS: dict[str, tuple[Callable[..., Transform], str]] = {
    "flin": (Linear, "TA"),
    "flog": (Log, "TM"),
    "fasinh": (asinh_scale, "TMA"),
    "logicle": (Logicle, "TWMA"),
    "hyperlog": (Hyperlog, "TWMA"),
}
_ELEMENTS = {Linear: "flin", Log: "flog", ScaledAsinh: "fasinh", Logicle: "logicle", Hyperlog: "hyperlog"}


def read_matrices(
    root: Element,
) -> tuple[dict[str, Spillover], dict[str, dict[str, str]], dict[str, GatingError]]:
    """Read the spillover matrices of a Gating-ML document.

    Returns
    -------
    tuple of (dict[str, Spillover], dict[str, dict[str, str]], dict[str, GatingError])
        Matrices by id; for each the detector of each fluorochrome name; and, by id, why a matrix cannot be read.
    """
    matrices: dict[str, Spillover] = {}
    detectors: dict[str, dict[str, str]] = {}
    bad: dict[str, GatingError] = {}
    for element in root.findall(f"{TRANSFORMS}spectrumMatrix"):
        key = element.get(f"{TRANSFORMS}id", "")
        try:
            matrices[key], detectors[key] = _matrix(element, key)
        except GatingError as error:
            bad[key] = GatingError(f"spillover matrix '{key}': {error.message}", hint=error.hint)
    return matrices, detectors, bad


def _matrix(element: Element, key: str) -> tuple[Spillover, dict[str, str]]:
    fluorochromes = _names(child(element, f"{TRANSFORMS}fluorochromes"))
    channels = _names(child(element, f"{TRANSFORMS}detectors"))
    rows = [
        [number(item, "value", TRANSFORMS) for item in row.findall(f"{TRANSFORMS}coefficient")]
        for row in element.findall(f"{TRANSFORMS}spectrum")
    ]
    if not len(rows) == len(fluorochromes) == len(channels) or any(len(row) != len(channels) for row in rows):
        raise GatingError(
            f"{len(fluorochromes)} fluorochromes and {len(channels)} detectors; only square matrices are supported",
            hint="unmix the file first and gate the unmixed channels",
        )
    values: NDArray[np.float64] = np.array(rows, dtype=np.float64)
    if np.linalg.matrix_rank(values) < len(rows):
        raise GatingError("the matrix is singular", hint="export it again")
    if element.get(f"{TRANSFORMS}matrix-inverted-already") in ("true", "1"):
        values = np.linalg.inv(values).astype(np.float64)
    return Spillover(channels, values, key), dict(zip(fluorochromes, channels, strict=True))


def _names(element: Element) -> tuple[str, ...]:
    return tuple(attribute(item, "name", DATATYPES) for item in element.findall(f"{DATATYPES}fcs-dimension"))


def write_scale(scale: Transform, key: str) -> Element:
    """Return a scale as Gating-ML 2.0 writes it.

    Parameters
    ----------
    scale
        The scale.
    key
        Its id in the document.

    Raises
    ------
    GatingError
        The standard has no such scale.
    """
    element = Element(f"{TRANSFORMS}transformation", {f"{TRANSFORMS}id": key})
    if isinstance(scale, Bounded):
        for name, value in (("boundMin", scale.low), ("boundMax", scale.high)):
            if math.isfinite(value):
                element.set(f"{TRANSFORMS}{name}", repr(value))
        scale = scale.scale
    if isinstance(scale, Identity):
        scale = Linear(1.0)
    if isinstance(scale, Asinh):
        scale = ScaledAsinh(*asinh_parameters(scale))
    if not isinstance(scale, Linear | Log | ScaledAsinh | Logicle | Hyperlog):
        raise GatingError(f"Gating-ML 2.0 has no scale {type(scale).__name__}")
    tag = _ELEMENTS[type(scale)]
    values = zip(_KINDS[tag][1], astuple(scale), strict=True)
    SubElement(element, f"{TRANSFORMS}{tag}", {f"{TRANSFORMS}{letter}": shortest(value) for letter, value in values})
    return element


def write_ratio(ratio: Ratio, key: str) -> Element:
    """Return a ratio of two channels as Gating-ML 2.0 writes it.

    Parameters
    ----------
    ratio
        Channels and the three constants of ``fratio``.
    key
        Id by which dimensions refer to it.
    """
    element = Element(f"{TRANSFORMS}transformation", {f"{TRANSFORMS}id": key})
    values = {"A": ratio.a, "B": ratio.b, "C": ratio.c}
    words = {f"{TRANSFORMS}{name}": shortest(value) for name, value in values.items()}
    item = SubElement(element, f"{TRANSFORMS}fratio", words)
    for name in (ratio.numerator, ratio.denominator):
        add_channel(item, name)
    return element


def write_matrix(matrix: Spillover, key: str) -> Element:
    """Return a spillover matrix as Gating-ML 2.0 writes it; fluorochromes go by their detectors' names.

    Parameters
    ----------
    matrix
        Rows dyes, columns detectors, fractions.
    key
        Id by which dimensions refer to it.
    """
    element = Element(f"{TRANSFORMS}spectrumMatrix", {f"{TRANSFORMS}id": key})
    for tag in ("fluorochromes", "detectors"):
        names = SubElement(element, f"{TRANSFORMS}{tag}")
        for channel in matrix.channels:
            add_channel(names, channel)
    for row in matrix.matrix:
        add_coefficients(SubElement(element, f"{TRANSFORMS}spectrum"), row)
    return element
