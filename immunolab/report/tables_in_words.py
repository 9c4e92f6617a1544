"""Tables of the page in words: codes as what they mean, changes on the scale that is read, nothing twice."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from immunolab.plots.numbers import back, scale_word
from immunolab.results.findings.words import capital
from immunolab.vocabulary.display_names import display_name, with_display_names

_DEATHS = {
    "complete_pairs": "patients who died left out",
    "joint_rank": "a death is worse than any slope",
    "deaths_reversed": "the opposite: a death is better than any slope",
}
_TESTS = {
    "binomial": "share of responders against the registered rate",
    "mcnemar": "change of response between two visits",
    "gee": "trend of response over the visits",
    "fisher": "response in two groups",
}
_MISSING = {"non_response": "counts as none", "left_out": "is left out"}


def in_words(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as the page shows it; the CSV keeps codes and scales.

    Parameters
    ----------
    name
        Of a table of a run.
    table
        Its rows.
    """
    return _CHANGED[name](table) if name in _CHANGED else table


def rules_of_events(estimand: pd.DataFrame) -> str:
    """Return when each intercurrent event is one, and where that comes from.

    Parameters
    ----------
    estimand
        The table of this name.
    """
    rules = estimand[["event", "rule", "source"]].drop_duplicates().fillna("")
    said = (
        f"{str(row.event).replace('_', ' ')}: {row.rule}" + (f" ({row.source})" if row.source else "")
        for row in rules.itertuples()
    )
    return f"{capital('; '.join(said))}."


def _endpoints_together(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row for the endpoints that are alike in all other columns: most events touch all of them.

    Rule and source are an event's, not a value's: `rules_of_events` says them once.
    """
    table = table.drop(columns=["rule", "source"])
    others = [column for column in table.columns if column != "endpoint"]
    alike = table.groupby(others, sort=False, dropna=False)["endpoint"].agg("; ".join).reset_index()
    return alike[list(table.columns)]


def _not_assessed_together(table: pd.DataFrame) -> pd.DataFrame:
    """Return what happened first, and one row for the patients of whom an event cannot be known for one reason."""
    table = table.assign(detail=table["detail"].str.replace("_", " "))
    unknown = table["assessed"] == "no"
    others = [column for column in table.columns if column != "patient_id"]
    alike = table[unknown].groupby(others, sort=False, dropna=False)["patient_id"].agg(", ".join).reset_index()
    return pd.concat([table[~unknown], alike], ignore_index=True)[list(table.columns)]


def _on_the_scale_that_is_read(table: pd.DataFrame) -> pd.DataFrame:
    """Return changes with their limits as ratios or differences: a ratio beside limits of its logarithm misleads."""
    scales = table["estimate_scale"]
    read = {
        column: [
            value if pd.isna(value) else back(value, scale) for value, scale in zip(table[column], scales, strict=True)
        ]
        for column in ("estimate", "ci_low", "ci_high")
    }
    words = ["" if pd.isna(scale) else scale_word(str(scale)) for scale in scales]
    return (
        table.assign(**read, estimate_scale=words).drop(columns="fold").rename(columns={"estimate_scale": "change_as"})
    )


def _deaths(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(rule=table["rule"].map(_DEATHS))


def _response_tests(table: pd.DataFrame) -> pd.DataFrame:
    words = {column: table[column].map(meant) for column, meant in (("test", _TESTS), ("missing_as", _MISSING))}
    return table.assign(score=table["score"].map(display_name), **words).rename(
        columns={"missing_as": "a_missing_response"}
    )


def _by_response(table: pd.DataFrame) -> pd.DataFrame:
    named = table.assign(score=table["score"].map(display_name)) if "score" in table else table
    return named.rename(columns={"told_at": "response_at"})


def _events(table: pd.DataFrame) -> pd.DataFrame:
    rules = table["rule"].map(with_display_names, na_action="ignore")
    return table.assign(score=table["score"].map(display_name), rule=rules)


_CHANGED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "dose_sensitivity": _on_the_scale_that_is_read,
    "estimand": _endpoints_together,
    "event_counts": _events,
    "intercurrent_events": _not_assessed_together,
    "joint_rank": _deaths,
    "response_tests": _response_tests,
    "shifts_by_response": _by_response,
}
