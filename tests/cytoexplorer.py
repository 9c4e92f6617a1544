"""The mouse activation study of CytoExploreR as a study of ours: its sheet, panel and stored gates.

The stored coordinates are on flowCore's logicle (0 to 4.5), whose width was estimated from the data of
all 32 files and is not stored. Here the same rule (w = (m - log10(t / |r|)) / 2, r the 5 % quantile of
the negative values) is applied to the four files at hand, and coordinates are divided by 4.5.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.loaders.fcs.read import read_fcs


def study_files(source: Path, folder: Path) -> None:
    """Write study.yaml and samples.csv beside links to the FCS files and the panel file."""
    details = pd.read_csv(source / "Activation-Experiment-Details.csv")
    files = sorted(source.glob("*.fcs"))
    rows = []
    for path in files:
        row = details[details["name"] == path.name].iloc[0]
        visit = "low" if row["OVA_Conc"] == 0 else "high"
        rows.append({"sample_id": path.stem, "patient_id": path.stem, "visit": visit, "file": path.name})
        (folder / path.name).symlink_to(path)
    pd.DataFrame(rows).to_csv(folder / "samples.csv", index=False)
    (folder / "markers.csv").symlink_to(source / "Activation-Experiment-Markers.csv")
    (folder / "study.yaml").write_text(
        "study: activation\nsheet: samples.csv\n"
        "panels: {activation: {panel: markers.csv, strategy: gates.yaml}}\ncomparison: {before: low, after: high}\n"
        "quality: {clean: false}\n"  # the stored counts are of all events
    )


def strategy_text(source: Path) -> str:
    """Return the stored gates as a strategy file; populations keep their stored names."""
    template = pd.read_csv(source / "Activation-gatingTemplate.csv")
    lines = ["strategy: activation", "transform:", "  scatter: linear"]
    for channel, width in _widths(source).items():
        lines.append(f"  {channel}: {{logicle: {{t: 262144, w: {width}, m: 4.5, a: 0}}}}")
    lines.append("populations:")
    for row in template.itertuples():
        gate = _gate(row.dims.split(","), row.gating_method, row.gating_args)
        parent = "root" if row.parent == "root" else f"'{row.parent}'"
        lines.append(f"  - {{name: '{row.alias}', parent: {parent}, {gate}}}")
    return "\n".join(lines) + "\n"


def _widths(source: Path) -> dict[str, float]:
    tubes = [read_fcs(path) for path in sorted(source.glob("*.fcs"))]
    widths = {}
    for channel in tubes[0].spillover.channels:
        values = np.concatenate([tube.compensated(channel) for tube in tubes])
        reference = abs(np.quantile(values[values < 0], 0.05))
        widths[channel] = (4.5 - np.log10(262144 / reference)) / 2
    return widths


def _gate(channels: list[str], method: str, text: str) -> str:
    if method == "boolGate":
        return f"not: '{text.lstrip('!')}'"
    linear = channels[0].startswith("FSC")
    scale = 1.0 if linear else 4.5
    if "polygonGate" in text:
        numbers = _numbers(re.search(r"structure\(c\(([^)]*)\)", text)[1])
        half = len(numbers) // 2
        points = [[x, y] for x, y in zip(numbers[:half], numbers[half:], strict=True)]
        return f"polygon: {{x: {channels[0]}, y: {channels[1]}, points: {points}}}"
    if "rectangleGate" in text:
        low, high = (_named(text, which) for which in ("min", "max"))
        sides = ", ".join(f"{c}: [{a / scale}, {b / scale}]" for c, a, b in zip(channels, low, high, strict=True))
        return f"rectangle: {{{sides}}}"
    mean = [v / scale for v in _named(text, "mean")]
    cov = [v / scale**2 for v in _numbers(re.search(r"cov = structure\(c\(([^)]*)\)", text)[1])]
    return f"ellipse: {{x: {channels[0]}, y: {channels[1]}, mean: {mean}, covariance: [{cov[:2]}, {cov[2:]}]}}"


def _named(text: str, which: str) -> list[float]:
    return [float(v) for v in re.findall(r"= (-?[\d.]+)", re.search(rf"{which} = c\(([^)]*)\)", text)[1])]


def _numbers(text: str) -> list[float]:
    return [float(value) for value in text.split(",")]
