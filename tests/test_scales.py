"""Scales that data choose: planted noise, gain, other tubes, values that are displayed already, real tubes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted_tube

import immunolab as il
from immunolab.cli import main
from immunolab.config import parse_yaml
from immunolab.events.scales import ChannelScale, channel_noise, channel_scales, spread_over_batches
from immunolab.events.transforms import Asinh, Identity
from immunolab.events.tube import Channel, Tube
from immunolab.gating.placement.methods.valley import valley
from immunolab.gating.strategy_file import parse_strategy
from immunolab.simulation import simulate

N = 20_000


def noisy(sd: float, *, seed: int = 0, positive: float = 0.3, top: float = 262_144.0, gain: float = 1.0) -> Tube:
    """Return a tube of one channel: normal noise around zero, and a share of bright events 100 sd above it."""
    rng = np.random.default_rng(seed)
    bright = rng.random(N) < positive
    values = rng.normal(0, sd, N) + np.where(bright, 100 * sd * rng.lognormal(0, 0.4, N), 0)
    channel = Channel("PE-A", "CD4", "CD4", top=top)
    return Tube((values * gain)[None].astype(np.float32), (channel,), None, f"T{seed}")


def scale_of(*tubes: Tube, name: str = "CD4") -> ChannelScale:
    return {one.name: one for one in channel_scales(channel_noise(tube) for tube in tubes)}[name]


@settings(max_examples=30, deadline=None)
@given(sd=st.floats(100, 5000), positive=st.floats(0, 0.8), seed=st.integers(0, 99))
def test_noise_is_one_hump_of_even_width_whatever_its_spread(sd: float, positive: float, seed: int) -> None:
    tube = noisy(sd, seed=seed, positive=positive)
    scale = scale_of(tube).transform
    noise = np.random.default_rng(seed + 1000).normal(0, sd, N)
    assert 0.5 < np.std(scale.apply(noise)) < 0.7
    assert np.isnan(valley(scale.apply(noise)).value)


@pytest.mark.parametrize("sd", [400.0, 800.0, 3000.0])
def test_the_valley_at_zero_of_the_usual_scale_is_gone(sd: float) -> None:
    tube = noisy(sd)
    noise = tube["CD4"][tube["CD4"] < 5 * sd]
    assert abs(Asinh(150.0).inverse([valley(Asinh(150.0).apply(noise)).value])[0]) < sd  # on the usual scale
    scale = scale_of(tube).transform
    assert np.isnan(valley(scale.apply(noise)).value)
    border = scale.inverse([valley(scale.apply(tube["CD4"])).value])[0]
    assert 3 * sd < border < 60 * sd


@pytest.mark.parametrize("gain", [1 / 256, 1 / 64, 1 / 4, 16.0])
def test_a_change_of_gain_and_range_rescales_the_cofactor(gain: float) -> None:
    before = scale_of(noisy(400.0)).transform
    after = scale_of(noisy(400.0, top=262_144.0 * gain, gain=gain)).transform
    assert isinstance(before, Asinh)
    assert isinstance(after, Asinh)
    assert after.cofactor == pytest.approx(before.cofactor * gain, rel=0.03)


def test_little_noise_keeps_the_usual_cofactor_of_the_range() -> None:
    assert scale_of(noisy(20.0)).transform == Asinh(150.0)
    assert scale_of(noisy(20.0, top=2.0**24)).transform == Asinh(150.0)  # 24 bits say nothing of more noise
    assert scale_of(noisy(0.1, top=1024.0)).transform == Asinh(0.59)  # 150 * 1024 / 262144


def test_a_treated_tube_and_an_odd_one_do_not_move_the_scale_of_the_others() -> None:
    tubes = [noisy(400.0, seed=i) for i in range(5)]
    alone = scale_of(*tubes)
    treated = noisy(400.0, seed=9, positive=0.9)
    brighter = replace(treated, columns=np.where(treated.columns > 2000, treated.columns * 8, treated.columns))
    assert scale_of(*tubes, brighter).transform == alone.transform
    assert scale_of(*tubes, noisy(20_000.0, seed=8)).transform.cofactor == pytest.approx(600, rel=0.05)


def test_without_negative_events_the_other_channels_decide() -> None:
    one, two = noisy(800.0), noisy(50.0, seed=1)
    columns = np.vstack([one.columns, np.abs(two.columns) + 500])
    tube = Tube(columns, (*one.channels, Channel("APC-A", "CD45", "CD45", top=262_144.0)), None, "T")
    found = scale_of(tube, name="CD45")
    assert found.transform == scale_of(tube, name="CD4").transform
    assert found.reason.startswith("no noise below zero")


def test_values_on_a_display_scale_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    shown = np.where(rng.random(N) < 0.4, rng.normal(2600, 180, N), rng.normal(700, 220, N))
    channels = (Channel("A", marker="CD4", top=4096.0), Channel("B", marker="CD8", top=4096.0))
    tube = Tube(np.vstack([shown, rng.permutation(shown)]).astype(np.float32), channels, None, "T")
    found = scale_of(tube)
    assert found.transform == Identity()
    assert "display scale" in found.reason
    # signals of ten bits have a long upper tail
    assert scale_of(noisy(0.5, top=1024.0)).transform != Identity()


def test_mass_is_on_five_and_its_zeros_choose_nothing() -> None:
    counts = np.random.default_rng(0).poisson(3, (1, N)) - 0.5
    tube = Tube(counts.astype(np.float32), (Channel("Nd142Di", marker="CD19", kind="mass"),), None, "T")
    assert scale_of(tube, name="CD19").transform == Asinh(5.0)


def test_tubes_are_taken_from_every_batch_and_others_seldom_change_which() -> None:
    many = {f"S{i:03}": f"B{i % 6}" for i in range(200)}
    chosen = spread_over_batches(many)
    assert len(chosen) == 24
    assert pd.Series([many[name] for name in chosen]).value_counts().tolist() == [4] * 6
    more = spread_over_batches({**many, "S999": "B0"})
    assert len(set(more) & set(chosen)) >= 23
    assert spread_over_batches({"b": "", "a": ""}) == ("a", "b")


STRATEGY = """
populations:
  - {name: CD3, parent: root, where: CD3+}
  - {name: CD4, parent: CD3, where: CD4+ CD8-}
"""


def test_all_tubes_of_a_call_are_on_one_scale_and_records_state_it() -> None:
    quiet, _ = planted_tube(0, sample_id="quiet")
    loud, _ = planted_tube(1, sample_id="loud")
    columns = loud.columns.copy()
    row = loud.find("CD4")
    columns[row] += np.random.default_rng(3).normal(0, 1500, loud.n_events).astype(np.float32)
    loud = replace(loud, columns=columns)
    strategy = parse_strategy(parse_yaml(STRATEGY))
    together = il.gate([quiet, loud], strategy)
    used = [gated.thresholds.set_index("marker").loc["CD4", "scale"] for gated in together]
    assert used[0] == used[1]
    alone = il.gate(quiet, strategy).thresholds.set_index("marker").loc["CD4", "scale"]
    assert alone == "arcsinh(x / 150)" != used[0]


def test_a_run_and_a_call_of_gate_have_one_scale_a_channel(tmp_path: Path) -> None:
    simulate("sle_nct02084238", patients=2, seed=4, folder=tmp_path / "study", visits=["W0", "W10"], events=2500)
    il.run(tmp_path / "study", out=tmp_path / "out", tables_only=True)
    borders = pd.read_csv(tmp_path / "out" / "tables" / "thresholds.csv")
    assert borders.groupby("channel")["scale"].nunique().eq(1).all()
    scales = pd.read_csv(tmp_path / "out" / "tables" / "scales.csv").set_index("channel")["scale"]
    assert (borders["scale"] == borders["marker"].map(scales)).all()
    assert scales["CD3"] == "arcsinh(x / 150)"
    files = sorted(map(str, (tmp_path / "study" / "fcs").glob("*.fcs")))
    assert main(["gate", *files, "--strategy", "treg_th17_tfh_teff", "-o", str(tmp_path / "gated")]) == 0
    by_hand = pd.read_csv(tmp_path / "gated" / "thresholds.csv")
    assert by_hand.groupby("channel")["scale"].nunique().eq(1).all()
    assert pd.read_csv(tmp_path / "gated" / "scales.csv").set_index("channel")["scale"].to_dict() == scales.to_dict()


def test_no_valley_of_spectral_tubes_is_amid_the_noise() -> None:
    """On arcsinh(x / 150) half of all valleys of these tubes are within one sd of zero."""
    files = sorted(data_folder("flow/coereba_spectral_DN_Tcells").glob("*.fcs"))
    tubes = [il.read_fcs(file, sample_id=file.stem) for file in files]
    noise = [channel_noise(tube) for tube in tubes]
    scales = {one.name: one.transform for one in channel_scales(noise)}
    usual, own = [], []
    for tube, found in zip(tubes, noise, strict=True):
        for one in (one for one in found if one.sd is not None):
            for scale, amid in ((Asinh(150.0), usual), (scales[one.name], own)):
                border = scale.inverse([valley(scale.apply(tube[one.name])).value])[0]
                amid.append(abs(border) < one.sd)
    assert np.mean(usual) > 0.4
    assert np.mean(own) < 0.01


def test_drawn_gates_in_instrument_units_follow_on_the_scale_that_data_choose() -> None:
    template, _ = planted_tube(0, sample_id="template")
    other, _ = planted_tube(1, sample_id="other")
    drawn = parse_strategy(parse_yaml("populations:\n  - {name: CD3, parent: root, rectangle: {CD3: [1000, null]}}\n"))
    gated = il.gate([template, other], drawn, follow=template)
    for one in gated:
        (axis,) = one.strategy["CD3"].gate.dimensions
        assert axis.transform == Asinh(150.0)
        assert one.percent("CD3") == pytest.approx(78, abs=3)  # all but B cells, dead cells and debris
