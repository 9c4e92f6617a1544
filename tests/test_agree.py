"""Two gatings of the same tubes: definitions against references, runs against runs and gate files, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import data_folder
from matplotlib.text import Text
from planted import planted_tube

from immunolab.cli import main
from immunolab.comparison.concordance import cohen_kappa, cv_between, lin_concordance
from immunolab.comparison.gating_agreement import gating_agreement
from immunolab.errors import InputError
from immunolab.events.transforms import Asinh
from immunolab.gating.strategy import Dimension, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.plots.two_gates import two_gates
from immunolab.results.two_gatings import matched_paths
from immunolab.schema.agreement import GATING_AGREEMENT, GATING_PAIRS, UNMATCHED
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.workflow.agree import agree

# Bland and Altman 1986, table 1, first measurements: peak flow by Wright meter and mini Wright meter, l/min
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_concordance_is_that_of_stata_on_bland_and_altmans_peak_flows() -> None:
    # Steichen and Cox, "concord", Stata Technical Bulletin 43: rho_c .943, interval by z .850 to .979
    found = lin_concordance(WRIGHT, MINI)
    assert round(found.value, 3) == 0.943
    assert (round(found.low, 3), round(found.high, 3)) == (0.850, 0.979)
    assert found.n == 17


def test_concordance_by_hand() -> None:
    # means 2 and 3, variances 2/3 and 8/3 over n, covariance 4/3: 2 * 4/3 / (2/3 + 8/3 + 1) = 8/13
    assert lin_concordance([1, 2, 3], [1, 3, 5]).value == pytest.approx(8 / 13)
    assert lin_concordance([1, 2, 3, np.nan], [1, 2, 3, 9]).value == 1.0
    assert np.isnan(lin_concordance([2, 2], [2, 2]).value)
    assert np.isnan(lin_concordance([1, 2], [2, 1]).low)


def test_kappa_by_hand_and_its_interval_as_statsmodels_has_it() -> None:
    table = [[20, 5], [10, 15]]  # .7 agree, .5 by chance
    found = cohen_kappa(table)
    assert found.value == pytest.approx(0.4)
    from statsmodels.stats.inter_rater import cohens_kappa

    for own in (table, [[10, 2, 1], [3, 20, 4], [0, 1, 9]]):
        expected = cohens_kappa(np.array(own))
        assert cohen_kappa(own).value == pytest.approx(expected.kappa)
        half = 1.959964 * expected.std_kappa
        assert cohen_kappa(own).high - cohen_kappa(own).value == pytest.approx(half, rel=1e-6)
    assert np.isnan(cohen_kappa([[9, 0], [0, 0]]).value)  # chance alone agrees on everything


def test_cv_between_by_hand() -> None:
    # pairs (9, 11) and (10, 10): sd / mean is sqrt(2) / 10 and 0; root mean square .1
    assert cv_between([9, 10, 0], [11, 10, 0]) == pytest.approx(10.0)


def _pairs(first: list[float], second: list[float]) -> pd.DataFrame:
    rows = [
        {
            "sample_id": f"s{i}", "population": "A", "path_a": "/A", "path_b": "/A", "percent_a": a, "percent_b": b,
            "difference": b - a, "ratio": b / a,
        }
        for i, (a, b) in enumerate(zip(first, second, strict=True))
    ]  # fmt: skip
    return GATING_PAIRS.frame(rows)


def test_bias_and_limits_are_those_of_the_paper() -> None:
    # the same data as percents: mean difference -2.1, sd 38.8, limits of the concord paper -78.097 to 73.861
    row = gating_agreement(_pairs([v / 10 for v in MINI], [v / 10 for v in WRIGHT])).iloc[0]
    assert row["bias"] == pytest.approx(-0.2118, abs=5e-5)
    assert row["limit_low"] == pytest.approx(-7.8097, abs=5e-4)
    assert row["limit_high"] == pytest.approx(7.3861, abs=5e-4)
    doubled = gating_agreement(_pairs([10.0, 20.0, 40.0], [20.0, 40.0, 80.0])).iloc[0]
    assert doubled["ratio"] == pytest.approx(2.0)
    assert doubled["ratio_limit_low"] == pytest.approx(2.0)
    few = gating_agreement(_pairs([10.0, 20.0], [11.0, 21.0])).iloc[0]
    assert few["flag"] == "too_few_pairs"
    assert pd.isna(few["limit_low"])


@pytest.mark.parametrize(
    ("first", "second", "same", "expected"),
    [
        (["/", "/CD3", "/CD3/CD4"], ["/", "/T/CD4", "/T"], {}, [("/CD3/CD4", "/T/CD4")]),
        (["/CD3", "/CD3/CD4"], ["/T", "/T/CD4"], {"CD3": "T"}, [("/CD3", "/T"), ("/CD3/CD4", "/T/CD4")]),
        (["/A/x", "/B/x"], ["/A/x", "/C/x"], {}, [("/A/x", "/A/x")]),  # a name that two populations have means neither
    ],
)
def test_populations_are_matched_by_word_path_or_unique_name(first, second, same, expected) -> None:
    assert matched_paths(first, second, same) == expected


X, Y = Dimension("CD25", Asinh(150.0)), Dimension("CD127", Asinh(150.0))


def _strategy(cd4: float, cd25: float) -> Strategy:
    region = ((cd25, -3.0), (8.0, -3.0), (8.0, 3.0), (cd25, 2.4))
    return Strategy(
        "planted",
        (
            Population("/CD3", Rectangle((Dimension("CD3", Asinh(150.0)),), (2.2,), (None,))),
            Population("/CD3/CD4", Rectangle((Dimension("CD4", Asinh(150.0)),), (cd4,), (None,))),
            Population("/CD3/CD4/Treg", Polygon((X, Y), region)),
        ),
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with five tubes and two strategies; the second's Treg border is half a unit higher."""
    folder = tmp_path_factory.mktemp("tubes")
    for seed in range(5):
        tube, _ = planted_tube(seed, 4_000, weights={"treg": 1.0 + 0.5 * seed})
        names = [c.name for c in tube.channels]
        markers = [c.marker or "" for c in tube.channels]
        write_fcs(folder / f"t{seed}.fcs", names, markers, tube.columns)
    _strategy(2.2, 2.5).save(folder / "first.yaml")
    _strategy(2.2, 3.0).save(folder / "second.yaml")
    return folder


def test_two_strategies_are_compared_event_by_event(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "agreement"
    tubes = sorted(map(str, files.glob("*.fcs")))
    words = ["agree", str(files / "first.yaml"), str(files / "second.yaml"), "--out", str(out), "--files", *tubes]
    assert main([*words, "--names", "low,high", "--quiet"]) == 0
    populations = GATING_AGREEMENT.read(out / "agreement_populations.csv").set_index("population")
    assert populations.loc["CD4", "bias"] == 0
    assert populations.loc["CD4", "f1"] == 1
    rows = GATING_PAIRS.read(out / "agreement_tubes.csv")
    treg = rows[rows["population"] == "Treg"]
    for seed, row in zip(range(5), treg.to_dict("records"), strict=True):
        tube, _ = planted_tube(seed, 4_000, weights={"treg": 1.0 + 0.5 * seed})
        value = {
            c.marker: np.arcsinh(tube.columns[i].astype(float) / 150) for i, c in enumerate(tube.channels) if c.marker
        }
        cd4 = (value["CD3"] >= 2.2) & (value["CD4"] >= 2.2)
        inside = [
            cd4 & (value["CD25"] >= x) & (value["CD127"] <= 2.4 + 0.6 * (value["CD25"] - x) / (8 - x))
            for x in (2.5, 3.0)
        ]
        n = [int(mask.sum()) for mask in inside]
        both = int((inside[0] & inside[1]).sum())
        assert (row["n_a"], row["n_b"], row["n_both"]) == (n[0], n[1], both)
        assert row["n_both_parents"] == cd4.sum()
        assert row["f1"] == pytest.approx(2 * both / sum(n))
        assert row["difference"] == pytest.approx(100 * (n[1] - n[0]) / cd4.sum())
    assert UNMATCHED.read(out / "agreement_unmatched.csv").empty
    page = (out / "agreement.html").read_text(encoding="utf-8")
    assert "low" in page
    assert page.count("data:image/png") == 4  # overview, differences, two of the tubes: only Treg differs
    assert (out / "figures" / "worst_1.pdf").exists()
    assert (out / "figures" / "bland_altman_1.pdf").exists()


def test_counts_of_another_program_are_compared_without_events(files: Path, tmp_path: Path) -> None:
    tubes = sorted(files.glob("*.fcs"))
    out = tmp_path / "gated"
    assert main(["gate", *map(str, tubes), "--strategy", str(files / "first.yaml"), "-o", str(out), "--quiet"]) == 0
    table = tmp_path / "flowjo.csv"
    table.write_text("Sample,CD3,CD3/CD4,CD3/CD4/Treg\nt0.fcs,2000,1000,50\nt1.fcs,2000,1000,60\nother.fcs,1,1,1\n")
    found = agree(out, table)
    rows = found.tubes[found.tubes["population"] == "Treg"]
    assert list(rows["percent_b"]) == [5.0, 6.0]
    assert rows["n_both"].isna().all()
    said = dict(zip(found.unmatched["name"], found.unmatched["reason"], strict=True))
    assert "counts only" in said["t0"]
    assert said["other"] == "only flowjo.csv has it"
    assert "only gated has it" in said["t4"]


def test_what_cannot_be_compared_is_said_with_the_way_out(files: Path, tmp_path: Path) -> None:
    first, second = files / "first.yaml", files / "second.yaml"
    with pytest.raises(InputError, match="--files"):
        agree(first, second)
    with pytest.raises(InputError, match="does not exist"):
        agree(first, second, files=[files / "absent.fcs"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no finished run and no gated files"):
        agree(first, empty)
    table = tmp_path / "counts.csv"
    table.write_text("sample,path,count\nt0,/B,5\n")
    out = tmp_path / "gated"
    assert main(["gate", str(files / "t0.fcs"), "--strategy", str(first), "-o", str(out), "--quiet"]) == 0
    with pytest.raises(InputError, match="no population has the same path or name"):
        agree(out, table)
    assert main(["agree", str(first), str(second), "--same", "CD4"]) == 1


def test_both_gates_are_drawn_on_the_same_events() -> None:
    tube, _ = planted_tube(0, 4_000, sample_id="t0")
    a, b = (gate_tube(tube, TubeGates(_strategy(2.2, x))) for x in (2.5, 3.0))
    fig = two_gates(a, b, "/CD3/CD4/Treg", "/CD3/CD4/Treg", ("low", "high"))
    (ax,) = fig.axes
    colours = {line.get_color() for line in ax.lines}
    assert {"#D55E00", "#0072B2"} <= colours
    texts = [text.get_text() for text in fig.findobj(Text)]
    only = int(np.count_nonzero(a.memberships.masks["/CD3/CD4/Treg"] & ~b.memberships.masks["/CD3/CD4/Treg"]))
    assert any(f"only low: {only:,}; only high: 0 events" in text for text in texts)


def test_a_flowjo_workspace_agrees_with_itself_as_gating_ml() -> None:
    folder = data_folder("flow/flowsom_68983")
    found = agree(folder / "gating.wsp", folder / "gating.wsp", files=[folder / "68983.fcs"], words=("one", "two"))
    rows = found.tubes.set_index("population")
    assert (rows["f1"].dropna() == 1).all()
    assert rows["n_a"].eq(rows["n_b"]).all()
    assert abs(int(rows.loc["T cells", "n_a"]) - 10_745) <= 2  # FlowJo's count
