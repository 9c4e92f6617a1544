"""How far an expert's own borders of CD45RA and CCR7 agree between tubes of one donor: HIPC, CD4 memory classes.

``python benchmarks/replicate_borders.py -o benchmarks/results`` finds the best two straight borders of each tube with
the expert's labels, uses them in the other tubes of the donor (or, for the centre with one tube a donor, of the other
donor), and puts the gates' borders beside them. It writes ``replicate_borders.md``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from real_acceptance import best_borders
from real_sets import DONORS, MEMORY, SETS

from immunolab.gating.placement.fit import fit
from immunolab.gating.strategy import Rectangle, Strategy

HEAD = """Best two straight borders of each tube, found with the expert's labels, and the gates' own (each tube
alone), in units of FlowJo's channel scale; macro F1 over the four CD4 memory classes as a share of that of the tube's
best. Last column: the same with the best borders of the expert's other tubes of that donor (of W2, which has one tube a
donor, of the other donor). FTV_1 to FTV_3 are three tubes of one donor, stained and measured alike.

| tube | expert CD45RA, CCR7 | gates CD45RA, CCR7 | gates | expert's borders of the other tubes |
|---|---|---|---|---|
"""
Cells = tuple[NDArray, NDArray, NDArray]


def macro_f1(cells: Cells, x_border: float, y_border: float) -> float:
    """Return the macro F1 over naive, CM, EM and TEMRA (0..3) of two straight borders."""
    x, y, label = cells
    called = np.where(x >= x_border, np.where(y >= y_border, 0, 3), np.where(y >= y_border, 1, 2))
    return float(np.mean([2 * np.mean((called == k) & (label == k)) / np.mean(1.0 * (called == k) + (label == k))
                          for k in range(4)]))  # fmt: skip


def placed_borders(strategy: Strategy) -> tuple[float, float]:
    """Return the gates' borders of CD45RA and CCR7 among CD4 memory cells, in the tube's units."""
    gate = strategy["CD4_CM"].gate
    assert isinstance(gate, Rectangle)
    names = [dimension.name for dimension in gate.dimensions]
    ra, ccr7 = names.index("CD45RA"), names.index("CCR7")
    scales = [gate.dimensions[i].transform for i in (ra, ccr7)]
    found = [scale.inverse([at])[0] for scale, at in zip(scales, (gate.upper[ra], gate.lower[ccr7]), strict=True)]
    return float(found[0]), float(found[1])


def rows() -> list[str]:
    """Return a line of the table for each tube."""
    data = SETS["hipc"]()
    cells: dict[str, Cells] = {}
    for tube in data.tubes:
        truth = {one.population: one.events for one in data.expected[tube.sample_id]}
        label = np.full(len(tube), -1)
        for k, part in enumerate(MEMORY[:4]):
            label[truth[f"CD4_{part}"]] = k
        kept = label >= 0
        cells[tube.sample_id] = (tube["CD45RA"][kept], tube["CCR7"][kept], label[kept])
    best = {name: best_borders(*one) for name, one in cells.items()}
    lines = []
    for tube in data.tubes:
        name = tube.sample_id
        own = placed_borders(fit(data.strategy, [tube], resample=False).strategies[name])
        centre = [other for other in best if other != name and other.split("_")[0] == name.split("_")[0]]
        others = [other for other in centre if DONORS[other] == DONORS[name]] or centre
        shares = {other: macro_f1(cells[name], *best[other][:2]) / best[name][2] for other in others}
        words = ", ".join(f"{other} {share:.2f}" for other, share in shares.items())
        lines.append(
            f"| {name} | {best[name][0]:.0f}, {best[name][1]:.0f} | {own[0]:.0f}, {own[1]:.0f} "
            f"| {macro_f1(cells[name], *own) / best[name][2]:.2f} | {words} |"
        )
    return lines


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER")
    out = parser.parse_args().out
    lines = rows()
    print("\n".join(lines))
    (out / "replicate_borders.md").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
