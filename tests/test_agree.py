"""Two gatings of the same tubes: definitions against references, runs against runs and gate files, errors."""

from __future__ import annotations

from fractions import Fraction
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
from immunolab.gating.same_populations import matched_paths
from immunolab.gating.strategy import Dimension, Polygon, Population, Rectangle, Strategy
from immunolab.gating.tube_gates import TubeGates
from immunolab.gating.tubes import gate_tube
from immunolab.plots.bland_altman import agreement_overview
from immunolab.plots.two_gates import two_gates
from immunolab.report.agree_page import agree_page, in_words
from immunolab.schema.agreement import GATING_AGREEMENT, GATING_PAIRS, UNMATCHED
from immunolab.simulation.fcs_writer import write_fcs
from immunolab.workflow.agree import agree
from immunolab.workflow.agree_pairs import alone_reason, paired_tubes, same_problems
from immunolab.workflow.agree_sides import Side, SideTube, read_side
from immunolab.workflow.agree_tube import TubeAgreement

# Bland and Altman 1986, table 1, first measurements: peak flow by Wright meter and mini Wright meter, l/min
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_concordance_of_bland_and_altmans_peak_flows_by_whole_sums_and_its_interval_by_the_delta_method() -> None:
    """Value: 2 S_xy over S_xx + S_yy + n (difference of means)², in exact fractions.

    Interval: Lin's variance is what first derivatives of Fisher's z give for means and covariances of normal pairs,
    with n - 2 for n. Here these derivatives are numerical, so that nothing of the published formula is used.
    """
    n, sum_x, sum_y = len(WRIGHT), sum(WRIGHT), sum(MINI)
    s_xx, s_yy, s_xy = (
        Fraction(sum(a * b for a, b in zip(one, other, strict=True))) - Fraction(sum(one) * sum(other), n)
        for one, other in ((WRIGHT, WRIGHT), (MINI, MINI), (WRIGHT, MINI))
    )
    value = float(2 * s_xy / (s_xx + s_yy + Fraction((sum_x - sum_y) ** 2, n)))
    found = lin_concordance(WRIGHT, MINI)
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.n == 17

    def z(moments: np.ndarray) -> float:
        apart, xx, yy, xy = moments
        return float(np.arctanh(2 * xy / (xx + yy + apart**2)))

    xx, yy, xy = (float(s / n) for s in (s_xx, s_yy, s_xy))
    at = np.array([(sum_x - sum_y) / n, xx, yy, xy])
    steps = np.diag(1e-5 * np.abs(at))
    slope = np.array([(z(at + step) - z(at - step)) / (2 * step.sum()) for step in steps])
    spread = np.zeros((4, 4))  # n times the covariance of the moments of normal pairs
    spread[0, 0] = xx + yy - 2 * xy
    spread[1:, 1:] = [
        [2 * xx**2, 2 * xy**2, 2 * xx * xy],
        [2 * xy**2, 2 * yy**2, 2 * yy * xy],
        [2 * xx * xy, 2 * yy * xy, xx * yy + xy**2],
    ]
    half = 1.959964 * np.sqrt(slope @ spread @ slope / (n - 2))
    assert np.arctanh(found.high) - np.arctanh(found.value) == pytest.approx(half, rel=1e-5)
    assert np.arctanh(found.value) - np.arctanh(found.low) == pytest.approx(half, rel=1e-5)


def test_concordance_by_hand() -> None:
    # means 2 and 3, variances 2/3 and 8/3 over n, covariance 4/3: 2 * 4/3 / (2/3 + 8/3 + 1) = 8/13
    assert lin_concordance([1, 2, 3], [1, 3, 5]).value == pytest.approx(8 / 13)
    assert lin_concordance([1, 2, 3, np.nan], [1, 2, 3, 9]).value == 1.0
    assert np.isnan(lin_concordance([2, 2], [2, 2]).value)
    assert np.isnan(lin_concordance([1, 2], [2, 1]).low)


def test_kappa_by_hand_and_as_statsmodels_has_it_with_the_exact_interval_of_what_is_agreed_on() -> None:
    table = [[20, 5], [10, 15]]  # .7 agree, .5 by chance
    found = cohen_kappa(table)
    assert found.value == pytest.approx(0.4)
    from statsmodels.stats.inter_rater import cohens_kappa

    for own in (table, [[10, 2, 1], [3, 20, 4], [0, 1, 9]]):
        assert cohen_kappa(own).value == pytest.approx(cohens_kappa(np.array(own)).kappa)
    # R: (binom.test(35, 50)$conf.int - .5) / .5
    assert (found.low, found.high) == pytest.approx((2 * 0.5539177 - 1, 2 * 0.8213822 - 1), abs=1e-6)
    all_agree = cohen_kappa([[4, 0], [0, 4]])
    assert (all_agree.value, all_agree.high) == (1.0, 1.0)
    assert all_agree.low == pytest.approx(2 * 0.025 ** (1 / 8) - 1)  # 8 of 8: the share may be 63 %
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
    # the same data as percents; the paper rounds: mean difference -2.1, sd 38.8. By hand: sum -36, of squares 24120
    row = gating_agreement(_pairs([v / 10 for v in MINI], [v / 10 for v in WRIGHT])).iloc[0]
    differences = [a - b for a, b in zip(WRIGHT, MINI, strict=True)]
    assert (sum(differences), sum(d * d for d in differences)) == (-36, 24120)
    sd = np.sqrt((24120 - 36**2 / 17) / 16) / 10
    assert round(10 * sd, 1) == 38.8
    assert row["bias"] == pytest.approx(-3.6 / 17)
    assert row["limit_low"] == pytest.approx(-3.6 / 17 - 1.96 * sd, rel=1e-4)
    assert row["limit_high"] == pytest.approx(-3.6 / 17 + 1.96 * sd, rel=1e-4)
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
        # as other programs write them: without regard of case, blanks and `+`; a minus is another population
        (["/T Cells/CD4+", "/CD8-", "/Tregs"], ["/s/CD4", "/s/CD8", "/Treg"], {}, [("/T Cells/CD4+", "/s/CD4")]),
        (["/CD4+/CD4 T cells"], ["/CD4", "/L/B"], {}, [("/CD4+/CD4 T cells", "/CD4")]),
        (["/NK cells", "/Mast cells"], ["/NKT cells", "/L/Mast"], {}, [("/Mast cells", "/L/Mast")]),
        (["/NK cells", "/CD8+ T cells"], ["/NK T cells", "/CD8T cells"], {}, [("/CD8+ T cells", "/CD8T cells")]),
        (["/CD4 naive T cells", "/NK_T_cells"], ["/CD4_naive", "/NK"], {}, [("/CD4 naive T cells", "/CD4_naive")]),
        (["/MAIT cells", "/DN T-cells"], ["/MAI", "/DN"], {}, [("/DN T-cells", "/DN")]),
        (["/CD4", "/CD8+/CD4+"], ["/L/CD4", "/L/x"], {}, [("/CD4", "/L/CD4")]),  # the exact name goes first
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
    of_all = found.tubes[found.tubes["population"] == "CD3"]
    assert of_all["n_parent_b"].isna().all()  # the table has no count of all events; 0 would be a number
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


def test_words_of_two_gatings_are_refused_where_one_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agree", "gating.wsp", "--files", "a.fcs", "--names", "A,B"]) == 1
    said = capsys.readouterr().err
    assert "--files" in said
    assert "--names" in said
    assert "immunolab agree A B" in said


def test_words_of_same_that_mean_no_population_or_several_are_refused(files: Path) -> None:
    first, second, tube = files / "first.yaml", files / "second.yaml", files / "t0.fcs"
    with pytest.raises(InputError) as raised:
        agree(first, second, files=[tube], same={"Tregs": "Treg", "CD4": "CD8"})
    texts = [f"{problem.message} {problem.hint}" for problem in raised.value.problems]
    assert texts[0] == "first.yaml has no population 'Tregs' did you mean 'Treg'?"
    assert texts[1].startswith("second.yaml has no population 'CD8'")
    one = TubeAgreement((), only_a=("/T/CD4", "/B/CD4"), only_b=("/CD4",))
    (problem,) = same_problems({"CD4": "CD4"}, [one], ("A", "B"))
    assert "'CD4' is 2 populations of A: /B/CD4, /T/CD4" in problem.message


def test_a_file_name_that_two_tubes_of_a_run_have_is_neither(tmp_path: Path) -> None:
    """Two centres call their file 1.fcs: counts of '1' are of one of them, and nothing says of which."""
    tubes = (SideTube("P1", "a/1.fcs"), SideTube("P2", "b/1.fcs"), SideTube("P3", "c/3.fcs"))
    a, b = Side("run", tubes), Side("counts", (SideTube("1"), SideTube("3"), SideTube("P2")))
    for first, second in ((a, b), (b, a)):
        _, _, pairs = paired_tubes(first, second, Side("files", ()))
        assert {frozenset((pair.a.sample_id, pair.b.sample_id)) for pair in pairs} == {
            frozenset({"P3", "3"}),
            frozenset({"P2"}),
        }
    assert "several tubes go by its name" in alone_reason(tubes[0], a, b, Side("files", ()))
    assert alone_reason(SideTube("P9"), a, b, Side("files", ())) == "only run has it"


def test_twice_and_half_as_much_are_not_equal_percents() -> None:
    even = gating_agreement(_pairs([10.0, 20.0], [20.0, 10.0]))
    assert even["ratio"].iloc[0] == 1.0
    assert "equal" not in in_words(even, ("A", "B"), 2)
    assert "All percents are equal" in in_words(gating_agreement(_pairs([10.0, 0.5], [10.0, 0.5])), ("A", "B"), 2)
    one = in_words(gating_agreement(_pairs([10.0], [20.0])), ("A", "B"), 1)
    assert "not available" not in one
    assert "farthest from 1 in A: 2.00" in one


def test_a_ratio_says_of_how_many_tubes_it_is_where_a_percent_is_zero() -> None:
    pairs = _pairs([10.0, 20.0, 30.0, 40.0], [11.0, 21.0, 31.0, 0.0])
    found = gating_agreement(pairs)
    page = agree_page(found, UNMATCHED.empty(), ("A", "B"), n_tubes=4, overview=(), differences=(), worst=())
    assert ", 3 tubes</td>" in page


def test_an_interval_wider_than_the_limits_is_drawn_whole() -> None:
    found = gating_agreement(_pairs([10.0, 20.0, 40.0], [12.0, 19.0, 52.0]))
    left = agreement_overview(found, ("A", "B")).axes[0]
    assert found["ratio_ci_high"].iloc[0] > found["ratio_limit_high"].iloc[0]
    assert left.get_xlim()[0] < found["ratio_ci_low"].iloc[0]
    assert left.get_xlim()[1] > found["ratio_ci_high"].iloc[0]


def test_counts_given_twice_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "counts.csv"
    table.write_text("sample,path,count\nt0,/CD3,5\nt0.fcs,/CD3,7\n")
    with pytest.raises(InputError, match="several counts of population '/CD3'"):
        read_side(table)


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
    assert not (found.unmatched["what"] == "tube").any()  # the workspace's other tubes are in both
