"""The tests of a trial's registered responses: reference rate, change between visits, trend, arms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.arms import Arms, arms_of
from immunolab.comparison.binary import exact_binomial, fisher, gee_trend, mcnemar
from immunolab.comparison.estimate import Estimate, untested
from immunolab.schema.comparison import RESPONSE_TESTS
from immunolab.study.endpoints import Endpoint
from immunolab.study.sheet import Study
from immunolab.study.visit_order import visits_in_order

Array = NDArray[np.float64]

_FOUR_WEEKS = 28.0  # days that the odds ratio of a trend is for
_LEAST_VISITS = 3  # of a trend; of two, McNemar's test is exact
_RULES = ("non_response", "left_out")  # what a missing response counts as; the first is the denominator of all enrolled


@dataclass(frozen=True)
class _Registered:
    """Responses of an endpoint's visits: ``(n, V)`` 1, 0 or NaN by cohort, at the visits it is registered at."""

    endpoint: Endpoint
    visits: tuple[str, ...]
    by_cohort: Mapping[str, pd.DataFrame]

    def matrix(self, cohort: str, rule: str) -> Array:
        values = self.by_cohort[cohort].to_numpy(dtype=float)
        return np.where(np.isnan(values), 0.0, values) if rule == "non_response" else values


def tests_of_study(responses: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Return `response_tests` of a study's endpoints, with the days of its trial and its arms.

    Parameters
    ----------
    responses
        Rows of `RESPONSES`.
    study
        Endpoints, trial and arms.
    """
    days = study.trial.target_days if study.trial else {}
    arms = (study.arms.control, study.arms.active) if study.arms else ("", ())
    return response_tests(responses, study.endpoints, days, arms)


def response_tests(
    responses: pd.DataFrame,
    endpoints: Iterable[Endpoint],
    days: Mapping[str, int],
    arms: tuple[str, tuple[str, ...]] = ("", ()),
) -> pd.DataFrame:
    """Return the tests of every endpoint that is a proportion of responders.

    Each is made twice: with a missing response as none, of all patients enrolled, and with those patients left out.

    Parameters
    ----------
    responses
        Rows of `RESPONSES`.
    endpoints
        Those of responders are tested: at the last registered visit against the endpoint's reference rate, where there
        is one; between its ``contrast``, else the first and last registered visit (McNemar); over three registered
        visits and more (GEE).
    days
        Planned study day by visit; without them visits are one apart.
    arms
        Control and active arms as declared, see `arms.arms_of`; compared at the last registered visit (Fisher).

    Returns
    -------
    DataFrame
        Rows of `RESPONSE_TESTS`.
    """
    rows: list[dict[str, object]] = []
    for endpoint in endpoints:
        found = _registered(responses, endpoint, days) if endpoint.response else None
        if found is None:
            continue
        for rule in _RULES:
            for cohort in found.by_cohort:
                rows += _of_cohort(found, cohort, rule, days)
            compared, _ = arms_of(found.by_cohort, *arms)
            rows += _between_arms(found, compared, rule) if compared else ()
    return RESPONSE_TESTS.frame(rows)


def _registered(responses: pd.DataFrame, endpoint: Endpoint, days: Mapping[str, int]) -> _Registered | None:
    own = responses[responses["score"] == endpoint.response]
    if not len(own):
        return None
    met = ((patient, visit, None) for patient, visit in zip(own["patient_id"], own["visit"], strict=True))
    visits = endpoint.visits or tuple(visits_in_order(met, days))
    codes = own["response"].map({"responder": 1.0, "non_responder": 0.0})
    by_cohort = {}
    for cohort, rows in own.assign(code=codes).groupby(own["cohort"].fillna(""), sort=False):
        wide = rows.pivot(index="patient_id", columns="visit", values="code")
        by_cohort[str(cohort)] = wide.reindex(columns=list(visits))
    return _Registered(endpoint, visits, by_cohort)


def _of_cohort(found: _Registered, cohort: str, rule: str, days: Mapping[str, int]) -> Iterator[dict[str, object]]:
    endpoint, values = found.endpoint, found.matrix(cohort, rule)
    nobody = found.by_cohort[cohort].isna().all(axis=0).to_numpy()
    last = values[:, -1]
    if (rate := endpoint.reference_rate) is not None:
        some = last[np.isfinite(last)]
        result = exact_binomial(int(some.sum()), some.size, rate) if not nobody[-1] else _not_seen(found.visits[-1])
        yield _row(found, cohort, rule, "binomial", found.visits[-1:], result, reference_percent=rate)
    pair = endpoint.contrast or (found.visits[0], found.visits[-1])
    if len(found.visits) > 1 and set(pair) <= set(found.visits):
        sides = [found.visits.index(visit) for visit in pair]
        unseen = [found.visits[side] for side in sides if nobody[side]]
        result = _not_seen(unseen[0]) if unseen else mcnemar(*(values[:, side] for side in sides))
        yield _row(found, cohort, rule, "mcnemar", pair, result)
    if len(found.visits) >= _LEAST_VISITS:
        planned = np.array([days.get(visit, np.nan) for visit in found.visits], dtype=float)
        dated = bool(np.isfinite(planned).all())
        at = planned if dated else np.arange(planned.size, dtype=float)
        result = gee_trend(values[:, ~nobody], at[~nobody], _FOUR_WEEKS if dated else 1.0)
        visits = tuple(v for v, none in zip(found.visits, nobody, strict=True) if not none)
        yield _row(found, cohort, rule, "gee", visits, result, per="4 weeks" if dated else "visit")


def _between_arms(found: _Registered, arms: Arms, rule: str) -> Iterator[dict[str, object]]:
    def counted(cohort: str) -> tuple[int, int]:
        last = found.matrix(cohort, rule)[:, -1]
        return int(np.nansum(last)), int(np.isfinite(last).sum())

    for arm in arms.active:
        result = fisher(counted(arm), counted(arms.control))
        yield _row(found, f"{arm} - {arms.control}", rule, "fisher", found.visits[-1:], result)


def _not_seen(visit: str) -> Estimate:
    return untested(0, f"not tested: no patient was evaluable at {visit}")


_ESTIMATE_IS = {
    "binomial": "responders, %",
    "mcnemar": "odds of a change into response to one out of it",
    "gee": "odds ratio of response per {per} more",
    "fisher": "odds ratio of response, arm to control",
}


def _row(
    found: _Registered,
    cohort: str,
    rule: str,
    test: str,
    visits: tuple[str, ...],
    result: Estimate,
    *,
    per: str = "",
    reference_percent: float | None = None,
) -> dict[str, object]:
    return {
        "cohort": cohort or None,
        "endpoint": found.endpoint.id,
        "role": found.endpoint.role,
        "score": found.endpoint.response,
        "test": test,
        "visits": " ".join(visits),
        "missing_as": rule,
        "n": result.n,
        "estimate": _finite(result.estimate),
        "estimate_is": _ESTIMATE_IS[test].format(per=per),
        "ci_low": _finite(result.ci_low),
        "ci_high": _finite(result.ci_high),
        "p_value": result.p_value,
        "reference_percent": reference_percent,
        "method": result.method,
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
