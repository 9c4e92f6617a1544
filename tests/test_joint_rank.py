"""Deaths beside slopes: ranks, exact p and both bounds worked out by hand; how often a null trial is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from immunolab.comparison.joint_rank import Death, joint_rank, rank_biserial, with_deaths
from immunolab.errors import InputError
from immunolab.study.trial import load_trial

SLOPES = {"P1": -0.5, "P2": -0.2, "P3": 0.1, "P4": -0.3, "P5": 0.4}
LATER, LATEST = Death(100, True), Death(10, True)


def test_deaths_rank_beyond_every_slope_and_the_earlier_further_out() -> None:
    values = with_deaths(list(SLOPES.values()), [LATEST, LATER, Death(250, False)], -1, "joint_rank")
    assert np.argsort(values).tolist()[:3] == [6, 5, 0]  # the earlier death in follow-up, the later one, the steepest
    assert values[7] == values.max()  # who died on the drug did worse on the drug
    np.testing.assert_allclose(values[:5], list(SLOPES.values()))


def test_reversed_deaths_are_the_mirror_and_slopes_stay() -> None:
    given = (list(SLOPES.values()), [LATEST, LATER], -1)
    there, back = with_deaths(*given, "joint_rank"), with_deaths(*given, "deaths_reversed")
    np.testing.assert_allclose(there[:5], back[:5])
    np.testing.assert_allclose(there[5:], -back[5:])
    assert len(with_deaths(*given, "complete_pairs")) == 5


def test_a_score_that_rises_when_it_gets_worse_turns_the_sign() -> None:
    assert with_deaths([0.5], [LATER], 1, "joint_rank")[1] > 0.5
    assert with_deaths([0.5], [LATER], -1, "joint_rank")[1] < -0.5


def test_ranks_and_exact_p_by_hand() -> None:
    """Ranks of size: 0.1, 0.2, 0.3, 0.4, 0.5 are 1 to 5; two deaths in follow-up take 6 and 7, both negative."""
    rows = {row["rule"]: row for row in joint_rank(SLOPES, {"P6": LATER, "P7": LATEST}, 8, -1)}
    assert {(r["n_slopes"], r["n_deaths_earlier"], r["n_deaths_later"], r["n_left_out"]) for r in rows.values()} == {
        (5, 0, 2, 1)
    }
    assert {r["role"] for r in rows.values()} == {"exploratory"}
    # complete pairs: positive ranks 1 (P3) and 4 (P5), so W+ = 5 of 15; 10 of 32 sign vectors give 5 or less
    assert rows["complete_pairs"]["rank_biserial"] == pytest.approx((5 - 10) / 15)
    assert rows["complete_pairs"]["p_value"] == pytest.approx(2 * 10 / 32)
    # with deaths: W+ = 5 of 28; 10 subsets of 1..7 add up to 5 or less
    assert rows["joint_rank"]["rank_biserial"] == pytest.approx((5 - 23) / 28)
    assert rows["joint_rank"]["p_value"] == pytest.approx(2 * 10 / 128)
    # reversed: W- = 2 + 3 + 5 = 10, W+ = 18
    assert rows["deaths_reversed"]["rank_biserial"] == pytest.approx((18 - 10) / 28)
    assert rows["joint_rank"]["method"] == "exact signed rank"


def test_who_has_both_slopes_is_not_counted_as_lost() -> None:
    rows = joint_rank(SLOPES, {"P1": LATER, "P6": LATER}, 6, -1)
    assert {(r["n_slopes"], r["n_deaths_later"], r["n_left_out"]) for r in rows} == {(5, 1, 0)}


def test_nobody_with_slopes() -> None:
    rows = {row["rule"]: row for row in joint_rank({}, {"P1": LATER}, 2, -1)}
    assert rows["complete_pairs"]["p_value"] is None
    assert np.isnan(rows["complete_pairs"]["rank_biserial"])
    assert rows["joint_rank"]["rank_biserial"] == -1
    assert rows["deaths_reversed"]["rank_biserial"] == 1
    assert np.isnan(rank_biserial([0.0, 0.0]))


def test_a_null_trial_is_called_in_five_percent_only_where_deaths_fall_evenly() -> None:
    """What the documentation says of the test: fair with deaths of either period alike, not when they come late."""
    rng, n, called = np.random.default_rng(8), 250, {True: 0, False: 0}
    for even in called:
        for _ in range(n):
            slopes = {f"S{i}": float(d) for i, d in enumerate(rng.normal(0, 0.6, 10))}
            deaths = {
                f"D{i}": Death(int(rng.integers(1, 160)), bool(rng.random() < 0.5) if even else True) for i in range(3)
            }
            rows = joint_rank(slopes, deaths, 13, -1)
            called[even] += next(r for r in rows if r["rule"] == "joint_rank")["p_value"] < 0.05
    assert called[True] / n < 0.09  # 0.05 and three standard errors
    assert called[False] / n > 0.12


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (
            "{id: s, statistic: slope_difference, variable: FVC, periods: [[W0, W24], [W24, W48]], deaths: survial, "
            "direction: decrease, source: x}",
            "'survial' is no time_to_event endpoint",
        ),
        (
            "{id: s, statistic: slope_difference, variable: FVC, periods: [[W0, W24], [W24, W48]], deaths: survival, "
            "source: x}",
            "deaths rank beyond a difference of slopes whose direction is known",
        ),
        (
            "{id: s, statistic: paired_change, variable: FVC, contrast: [W0, W24], direction: decrease, "
            "deaths: survival, source: x}",
            "paired_change has no key 'deaths'",
        ),
        (  # the later period is the drug's, so an increase is no worse period
            "{id: s, statistic: slope_difference, variable: FVC, periods: [[W0, W22], [W22, W24]], deaths: survival, "
            "direction: increase, source: x}",
            "the direction says which period is worse only where the drug comes first",
        ),
    ],
)
def test_deaths_that_a_trial_file_cannot_mean(tmp_path: Path, endpoint: str, message: str) -> None:
    shipped = Path(load_trial("als_nct04952155").file).name
    source = (Path(__file__).parents[1] / "immunolab" / "study" / "trials" / shipped).read_text(encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(source.replace("endpoints:\n", f"endpoints:\n  - {endpoint}\n"), encoding="utf-8")
    with pytest.raises(InputError) as error:
        load_trial(mine)
    (problem,) = error.value.problems
    assert message in problem.message
    assert problem.place.isdigit()
