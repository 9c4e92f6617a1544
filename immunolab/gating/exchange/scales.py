"""Scales and spillover matrices as Gating-ML 2.0 writes them, both ways."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from immunolab.errors import GatingError
from immunolab.events.transforms import Asinh, Bounded, Hyperlog, Identity, Linear, Log, Logicle, ScaledAsinh, Transform
from immunolab.events.tube import Spillover
from immunolab.gating.exchange.safe_xml import DATATYPES, TRANSFORMS, attribute, child, local_name, number
from immunolab.gating.strategy import Ratio

_NATURAL_DECADE = 1.0 / math.log(10.0)


def read_scales(root: Element) -> tuple[dict[str, Transform | GatingError], dict[str, Ratio]]:
    """Return the scales by id (one that cannot be read stands as its error), and the ratios by id."""
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
    for item in element:
        kind = local_name(item)

        def of(letter: str, item: Element = item) -> float:
            return number(item, letter, TRANSFORMS)

        if kind == "flin":
            return Linear(of("T"), of("A"))
        if kind == "flog":
            return Log(of("T"), of("M"))
        if kind == "fasinh":
            return asinh_scale(of("T"), of("M"), of("A"))
        if kind == "logicle":
            return Logicle(of("T"), of("W"), of("M"), of("A"))
        if kind == "hyperlog":
            return Hyperlog(of("T"), of("W"), of("M"), of("A"))
        if kind != "custom_info":
            raise GatingError(f"scales of kind {kind} are not supported")
    raise GatingError("the transformation is empty")


def asinh_scale(t: float, m: float, a: float) -> Transform:
    """Return arcsinh(x / cofactor) where the parameters spell exactly that, else the general scale."""
    if a == 0.0 and math.isclose(m, _NATURAL_DECADE, rel_tol=1e-12):
        cofactor = t / math.sinh(1.0)
        plain = float(f"{cofactor:.12g}")
        return Asinh(plain if math.isclose(plain, cofactor, rel_tol=1e-14) else cofactor)
    return ScaledAsinh(t, m, a)


def asinh_parameters(scale: Asinh) -> tuple[float, float, float]:
    """Return T, M, A for which Gating-ML's fasinh is arcsinh(x / cofactor)."""
    return scale.cofactor * math.sinh(1.0), _NATURAL_DECADE, 0.0


def read_matrices(
    root: Element,
) -> tuple[dict[str, Spillover], dict[str, dict[str, str]], dict[str, GatingError]]:
    """Return spillover matrices by id, detector by fluorochrome name for each, and those that cannot be read."""
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
    tag, values = _parameters(scale)
    SubElement(element, f"{TRANSFORMS}{tag}", {f"{TRANSFORMS}{name}": repr(float(v)) for name, v in values.items()})
    return element


def _parameters(scale: Transform) -> tuple[str, dict[str, float]]:
    if isinstance(scale, Identity):
        return "flin", {"T": 1.0, "A": 0.0}
    if isinstance(scale, Linear):
        return "flin", {"T": scale.t, "A": scale.a}
    if isinstance(scale, Log):
        return "flog", {"T": scale.t, "M": scale.m}
    if isinstance(scale, Asinh):
        return "fasinh", dict(zip("TMA", asinh_parameters(scale), strict=True))
    if isinstance(scale, ScaledAsinh):
        return "fasinh", {"T": scale.t, "M": scale.m, "A": scale.a}
    if isinstance(scale, Logicle):
        return "logicle", {"T": scale.t, "W": scale.w, "M": scale.m, "A": scale.a}
    if isinstance(scale, Hyperlog):
        return "hyperlog", {"T": scale.t, "W": scale.w, "M": scale.m, "A": scale.a}
    raise GatingError(f"Gating-ML 2.0 has no scale {type(scale).__name__}")


def write_ratio(ratio: Ratio, key: str) -> Element:
    """Return a ratio of two channels as Gating-ML 2.0 writes it."""
    element = Element(f"{TRANSFORMS}transformation", {f"{TRANSFORMS}id": key})
    values = {"A": ratio.a, "B": ratio.b, "C": ratio.c}
    item = SubElement(element, f"{TRANSFORMS}fratio", {f"{TRANSFORMS}{name}": repr(v) for name, v in values.items()})
    for name in (ratio.numerator, ratio.denominator):
        SubElement(item, f"{DATATYPES}fcs-dimension", {f"{DATATYPES}name": name})
    return element


def write_matrix(matrix: Spillover, key: str) -> Element:
    """Return a spillover matrix as Gating-ML 2.0 writes it; fluorochromes go by their detectors' names."""
    element = Element(f"{TRANSFORMS}spectrumMatrix", {f"{TRANSFORMS}id": key})
    for tag in ("fluorochromes", "detectors"):
        names = SubElement(element, f"{TRANSFORMS}{tag}")
        for channel in matrix.channels:
            SubElement(names, f"{DATATYPES}fcs-dimension", {f"{DATATYPES}name": channel})
    for row in matrix.matrix:
        line = SubElement(element, f"{TRANSFORMS}spectrum")
        for value in row:
            SubElement(line, f"{TRANSFORMS}coefficient", {f"{TRANSFORMS}value": repr(float(value))})
    return element
