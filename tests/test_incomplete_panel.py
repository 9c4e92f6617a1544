"""What a panel lacks: everything else is gated, and what changes its meaning is flagged."""

from __future__ import annotations

import pandas as pd
import pytest
from planted import MARKERS, planted_tube

import immunolab as il


def _gated(*absent: str) -> pd.DataFrame:
    tube, _ = planted_tube(n=12_000, markers=tuple(m for m in MARKERS if m not in absent))
    return il.gate(tube, "treg_th17_tfh_teff").counts.set_index("population")


def test_without_cxcr5_helper_subsets_stay_and_say_what_they_hold() -> None:
    whole, without = _gated(), _gated("CXCR5")
    assert {"Tfh_CXCR5", "Tfh_eff", "Tfh1", "helper"} & set(without.index) == set()
    assert {"Treg", "Teff", "Th1", "Th17"} <= set(without.index)
    assert without.loc["Th17", "parent"] == "mem_conv"
    for name in ("Th1", "Th17"):
        assert "exclusion_missing" in without.loc[name, "flag"]
        assert without.loc[name, "n_events"] >= whole.loc[name, "n_events"]
    assert "exclusion_missing" not in str(without.loc["Treg", "flag"])


@pytest.mark.parametrize("absent", [("CD25",), ("CD127",), ("CD25", "CD127")])
def test_without_cd25_or_cd127_only_what_needs_treg_is_left_out(absent: tuple[str, ...]) -> None:
    whole, without = _gated(), _gated(*absent)
    assert set(whole.index) - set(without.index) == {"Treg", "Tfr", "Tconv", "Teff", "mem_conv"}
    for name in ("CD4", "CD8", "CD4_naive", "CD4_CM", "CD4_EM"):
        assert without.loc[name, "n_events"] == pytest.approx(whole.loc[name, "n_events"], rel=0.02)
    for name in ("Tfh_CXCR5", "helper", "Th17"):
        assert "exclusion_missing" in without.loc[name, "flag"]


def test_a_panel_without_cd8_has_cd4_by_cd4_alone() -> None:
    without = _gated("CD8")
    assert without.loc["CD4", "definition"] == "CD4.CD4pos"
    assert "CD8" not in without.index
