"""CXCR3 of helper cells: groups that part by themselves bound its border, faint cells widen and move it."""

from __future__ import annotations

import numpy as np
import pytest
from planted import f1

from immunolab.config import parse_yaml
from immunolab.events.tube import Channel, Tube
from immunolab.gating.evaluate import evaluate
from immunolab.gating.placement.fit import Fitted, fit
from immunolab.gating.placement.uncertainty import percent_intervals
from immunolab.gating.strategy_file import parse_strategy

STRATEGY = """
strategy: helper
transform: {default: {asinh: {cofactor: 150}}, scatter: linear}
populations:
  - {name: CD4, parent: root, where: CD4+}
  - {name: CD4_naive, parent: CD4, where: CD45RA+}
  - {name: Tfh, parent: CD4, where: CD45RA- CXCR5+}
  - {name: helper, parent: CD4, where: CD45RA- CXCR5-}
  - {name: Th1, parent: helper, where: CXCR3+ CCR6-}
  - {name: Th17, parent: helper, where: CXCR3- CCR6+}
  - {name: Th1_17, parent: helper, where: CXCR3+ CCR6+}
  - {name: Tfh1, parent: Tfh, where: CXCR3+ CCR6-}
thresholds: {CD45RA: {by: valley}, CD4: {by: fixed, at: 2}}
"""
MARKERS = ("CD45RA", "CXCR5", "CXCR3", "CCR6", "CD4")
# kind -> cells, and CD45RA, CXCR5, CXCR3, CCR6 on asinh(x / 150)
KINDS = {
    "naive": (3000, 5.0, 0.4, 0.4, 0.3),
    "Th1": (700, 0.3, 0.4, 2.8, 0.3),
    "Th17": (600, 0.3, 0.4, 0.4, 3.2),
    "Th1_17": (400, 0.3, 0.4, 2.8, 3.2),
    "Th2": (600, 0.3, 0.4, 0.4, 0.3),
    "Tfh": (400, 0.3, 3.2, 0.4, 0.3),
    "Tfh1": (200, 0.3, 3.2, 2.8, 0.3),
}


def planted(seed: int, *, faint: int = 0, naive_spread: float = 0.5) -> tuple[Tube, np.ndarray]:
    """Return a tube of CD4 cells and the kind of each event."""
    rng = np.random.default_rng(seed)
    kinds = {**KINDS, "faint": (faint, 0.3, 0.4, 0.4 + 2.33 * naive_spread, 0.3)}
    named = np.repeat(list(kinds), [n for n, *_ in kinds.values()])
    means = np.array([(*kinds[kind][1:], 4.0) for kind in named])
    spread = np.full(means.shape, 0.5)
    spread[named == "naive", 2] = naive_spread
    values = (150 * np.sinh(means + spread * rng.normal(size=means.shape))).astype(np.float32)
    channels = tuple(Channel(f"{m}-A", label=m, marker=m) for m in MARKERS)
    return Tube(np.ascontiguousarray(values.T), channels, None, sample_id="t", file="t.fcs"), named


def placed(tube: Tube, rule: str = "", **settings: bool) -> Fitted:
    """Return the gates of the tube; ``rule`` is one of CXCR3."""
    text = STRATEGY.replace("thresholds: {", f"thresholds: {{CXCR3: {rule}, ") if rule else STRATEGY
    return fit(parse_strategy(parse_yaml(text)), [tube], **settings)


def border(fitted: Fitted, population: str) -> float:
    """Return the border of CXCR3 of a population's gate."""
    found = fitted.thresholds
    row = found[(found["population"] == population) & (found["marker"] == "CXCR3")]
    return float(row["threshold"].iloc[0])


def test_a_wide_reference_does_not_make_th17_of_cells_that_are_both() -> None:
    tube, kind = planted(1, naive_spread=0.9)  # naive cells end at 2.5, amid the cells with CXCR3
    fitted = placed(tube, resample=False)
    assert border(fitted, "Th17") == border(fitted, "Th1_17") < border(fitted, "Tfh1")
    masks = evaluate(fitted.strategies["t"], tube).masks
    assert np.sum(masks["/CD4/helper/Th17"] & (kind == "Th1_17")) < 0.1 * np.sum(kind == "Th17")
    assert f1(masks["/CD4/helper/Th17"], kind == "Th17") > 0.94


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_th1_holds_the_truth_where_faint_cells_are_among_them(seed: int) -> None:
    tube, kind = planted(seed, faint=400)
    fitted = placed(tube)
    table = percent_intervals(fitted, "t", tube, denominators=["CD4"])
    row = table[(table["path"] == "/CD4/helper/Th1") & (table["denominator"] == "CD4")].iloc[0]
    true = 100 * np.mean(kind == "Th1")
    assert row["gate_low"] < true < row["gate_high"]
    assert row["percent"] / true < 1.17  # 1.28 and more under a border where naive cells end
    end = np.quantile(np.arcsinh(tube["CXCR3"][kind == "naive"] / 150), 0.99)
    beyond = np.sum((np.arcsinh(tube["CXCR3"] / 150) > end) & np.isin(kind, ("Th1", "faint")))
    assert beyond / np.sum(kind == "Th1") > 1.2


def test_no_faint_cells_are_looked_for_among_follicular_cells() -> None:
    tube, kind = planted(2)
    fitted = placed(tube, resample=False)
    assert border(fitted, "Tfh1") < border(fitted, "Th1")
    assert f1(evaluate(fitted.strategies["t"], tube).masks["/CD4/Tfh/Tfh1"], kind == "Tfh1") > 0.95


@pytest.mark.parametrize("rule", ["{by: fixed, at: 2.2}", "{by: tail}"])
def test_a_border_of_the_strategys_own_rule_is_the_same_in_every_gate(rule: str) -> None:
    fitted = placed(planted(1, naive_spread=0.9)[0], rule, resample=False)
    assert len({border(fitted, name) for name in ("Th1", "Th17", "Th1_17")}) == 1
