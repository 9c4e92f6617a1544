"""Mass cytometry from files to report: two published data sets, and planted counts with a noise of zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from mass_study import catalyst_files, fill_sheet
from planted import f1

import immunolab as il
from immunolab.cli import main
from immunolab.config import parse_yaml
from immunolab.errors import InputError
from immunolab.events.tube import Channel, Tube
from immunolab.gating.strategy_file import parse_strategy

NOISE = 3.0  # counts that a channel without its metal may read


def _flags(gated, name: str) -> set[str]:
    row = gated.counts.set_index("population").loc[name]
    return set() if pd.isna(row["flag"]) else set(row["flag"].split(";"))


def _planted(share: dict[str, float], n: int = 6_000, seed: int = 0) -> Tube:
    """Return counts, randomised by -1..0: each marker on a share of the cells, Poisson about 40, else about zero."""
    rng = np.random.default_rng(seed)
    columns = []
    for part in share.values():
        mean = np.where(rng.random(n) < part, 40 * np.exp(rng.normal(0, 0.5, n)), 0.1)
        columns.append(rng.poisson(mean) - rng.random(n))
    channels = [Channel(f"Ch{i}Di", marker=name, kind="mass") for i, name in enumerate(share)]
    return Tube(np.array(columns, np.float32), tuple(channels), None, "S1")


def _strategy(*populations: str):
    text = "strategy: mass\npopulations:\n" + "".join(f"  - {{{one}}}\n" for one in populations)
    return parse_strategy(parse_yaml(text, "mass.yaml"))


LINEAGE = (
    "name: CD45, parent: root, where: CD45+",
    "name: CD3, parent: CD45, where: CD3+",
    "name: B, parent: CD45, where: CD19+",
)


def test_a_marker_on_all_cells_is_positive_and_one_on_none_is_withheld() -> None:
    gated = il.gate(_planted({"CD45": 1.0, "CD3": 0.6, "CD19": 0.0}), _strategy(*LINEAGE))
    assert gated.percent("CD45") == pytest.approx(100, abs=0.5)
    assert "unimodal" in _flags(gated, "CD45")
    assert gated.percent("CD3") == pytest.approx(60, abs=2)
    assert "no_border" in _flags(gated, "B")
    assert pd.isna(gated.counts.set_index("population").loc["B", "percent_of_parent"])


def test_what_depends_on_a_border_that_could_not_be_placed_is_withheld_too() -> None:
    below = ("name: not_B, parent: CD45, not: B", "name: B_CD3, parent: B, where: CD3+")
    gated = il.gate(_planted({"CD45": 1.0, "CD3": 0.6, "CD19": 0.0}), _strategy(*LINEAGE, *below))
    medians = gated.intensities.set_index(["population", "marker"])["median_intensity"]
    for name in ("not_B", "B_CD3"):
        assert "no_border" in _flags(gated, name)
        assert pd.isna(gated.counts.set_index("population").loc[name, "percent_of_parent"])
        assert np.isnan(gated.percent(name))
        assert np.isnan(gated.percent("CD3", of=name))
        assert pd.isna(medians[name, "CD3"])
    assert medians["CD45", "CD3"] > NOISE


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_no_border_is_within_the_noise_of_zero(share: float) -> None:
    gated = il.gate(
        _planted({"CD45": 1.0, "CD3": share, "CD19": 0.0, "CD69": 0.01}),
        _strategy(*LINEAGE, "name: act, parent: CD45, above: {marker: CD69, by: internal_reference, of: CD3}"),
    )
    assert gated.thresholds.set_index("marker").loc["CD69", "threshold_raw"] == pytest.approx(NOISE)
    assert "at_zero_noise" in _flags(gated, "act")
    placed = gated.thresholds["threshold_raw"].dropna()
    assert len(placed) >= 2
    assert (placed >= NOISE - 1e-9).all()
    assert gated.percent("CD3", of="CD45") == pytest.approx(100 * share, abs=2)


def test_a_population_is_gated_otherwise_where_the_panel_lacks_its_marker() -> None:
    strategy = _strategy(
        "name: CD4, parent: root, where: CD4+ CD8-, definition: both, otherwise: {where: CD4+, definition: CD4.CD4pos}"
    )
    alone = il.gate(_planted({"CD4": 0.4}), strategy).counts.set_index("population").loc["CD4"]
    assert (alone["definition"], alone["percent_of_parent"]) == ("CD4.CD4pos", pytest.approx(40, abs=2))
    whole = il.gate(_planted({"CD4": 0.4, "CD8": 0.3}), strategy).counts.set_index("population").loc["CD4"]
    assert (whole["definition"], whole["percent_of_parent"]) == ("both", pytest.approx(28, abs=2))


def test_faults_of_otherwise_are_named_with_their_line() -> None:
    with pytest.raises(InputError) as error:
        _strategy(
            "name: CD4, parent: root, where: CD4+, otherwise: {wher: CD4+}",
            "name: CD8, parent: root, where: CD8+, otherwise: {not: CD4}",
        )
    text = str(error.value)
    assert "mass.yaml:3" in text
    assert "wher" in text
    assert "mass.yaml:4" in text
    assert "a gate on markers is needed" in text


def _smeared(tube: Tube, name: str, seed: int) -> Tube:
    """Return the tube with a background, broad about 7 counts, on the cells that lack a marker."""
    rng = np.random.default_rng(seed)
    place = [channel.marker for channel in tube.channels].index(name)
    columns = tube.columns.copy()
    lacking = columns[place] < NOISE
    mean = np.exp(rng.normal(2, 1, lacking.sum()))
    columns[place, lacking] = rng.poisson(mean) - rng.random(lacking.sum())
    return replace(tube, columns=columns)


@pytest.mark.parametrize(("share", "smeared"), [((0.4, 0.4), True), ((0.4, 0.4), False), ((0.4, 0.02), False)])
def test_a_shared_border_amid_the_events_of_one_tube_is_doubtful_there(
    share: tuple[float, float], smeared: bool
) -> None:
    first, second = (replace(_planted({"CD4": part}, seed=i), sample_id=f"V{i}") for i, part in enumerate(share))
    if smeared:
        second = _smeared(second, "CD4", 2)
    strategy = _strategy("name: CD4, parent: root, above: {marker: CD4, by: valley}")
    before, after = il.gate([first, second], strategy, patients={"V0": "P1", "V1": "P1"})
    assert "no_valley" not in _flags(before, "CD4")
    assert ("no_valley" in _flags(after, "CD4")) == smeared


@pytest.mark.parametrize("steps", [[40.0], [8.0, 40.0]])
def test_a_border_that_could_as_well_be_in_another_valley_is_doubtful(steps: list[float]) -> None:
    rng = np.random.default_rng(3)
    mean = np.resize([0.1, *steps], 900) * np.exp(rng.normal(0, 0.4, 900))
    tube = replace(_planted({"CD4": 0.5}, n=900), columns=(rng.poisson(mean) - rng.random(900))[None].astype("f4"))
    gated = il.gate(tube, _strategy("name: CD4, parent: root, above: {marker: CD4, by: valley}"))
    assert ("wide_interval" in _flags(gated, "CD4")) == (len(steps) > 1)


def test_stimulated_cells_depleted_of_b_cells_are_gated_as_by_hand() -> None:
    """By hand: CD3 and CD8 at the valley of their histogram, dim CD4 above all but 5 % of the cells without CD3."""
    tube = il.read_fcs(data_folder("flow/cytof_pbmc_stim") / "130515_C2_stim_CD19-.fcs")
    gated = il.gate(tube, "cytof")
    t_cell = tube["CD3"] > 5
    cd8 = t_cell & (tube["CD8"] > 13)
    cd4 = t_cell & ~cd8 & (tube["CD4"] > np.quantile(tube["CD4"][~t_cell], 0.95))
    for name, by_hand in (("CD3", t_cell), ("T_CD8", cd8), ("CD4", cd4)):
        assert f1(gated.mask(name), by_hand) > 0.97, name
    assert "no_border" in _flags(gated, "B")
    assert not gated.mask("B").any()


def test_published_counts_written_as_files_go_from_init_to_report(tmp_path, capsys) -> None:
    tables = catalyst_files(data_folder("flow/catalyst_paired_pbmc/catalyst_pbmc"), tmp_path / "fcs")
    study, out = tmp_path / "study", tmp_path / "out"
    assert main(["init", "--fcs", str(tmp_path / "fcs"), str(study)]) == 0
    fill_sheet(study)
    assert main(["check", str(study)]) == 0
    assert main(["run", str(study), "-o", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    capsys.readouterr()
    assert "arcsinh(x / 5)" in (out / "report.html").read_text()
    run = il.read_run(out)
    counts = run.counts.set_index(["sample_id", "population"])
    for name, table in tables.items():
        assert len(table) == counts.loc[(name, "root"), "n_events"]
        assert counts.loc[(name, "CD4"), "definition"] == "CD4.CD4pos"
        gated = run.tube(name)
        t_cell = gated.mask("CD3")
        # counts that leave no doubt: a channel without its metal reads three at most, a positive cell tens
        for marker, surely, within in (("CD45", 50, t_cell | True), ("CD3", 30, t_cell | True), ("CD4", 60, t_cell)):
            population = gated.mask({"CD45": "leukocytes"}.get(marker, marker))
            counted = table[marker].to_numpy()
            assert population[within & (counted > surely)].all(), (name, marker)
            assert not population[within & (counted < NOISE)].any(), (name, marker)
        cd7 = table["CD7"].to_numpy()
        assert gated.mask("CD8")[t_cell & (table["CD4"].to_numpy() < NOISE) & (cd7 > 60)].all(), name
    # untreated tubes have a background of CD4 between the two groups
    flags = counts["flag"].fillna("").xs("CD4", level="population")
    assert {name: flags[name] for name in tables if flags[name]} == {
        "PBMC_patient1_Ref": "wide_interval",
        "PBMC_patient2_Ref": "no_valley",
        "PBMC_patient3_Ref": "drift;wide_interval",
    }
