"""Tables of two gatings of the same tubes, and of two readers."""

from __future__ import annotations

from immunolab.schema.column import Column
from immunolab.schema.shared_columns import FLAG, POPULATION, SAMPLE
from immunolab.schema.table import Table

_A, _B = "the first gating", "the second gating"


def _path(of: str, letter: str) -> Column:
    return Column(f"path_{letter}", "text", f"lineage in {of}, '/' between populations")


def _count(name: str, meaning: str) -> Column:
    return Column(name, "integer", meaning, "events", True, low=0)


def _number(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, "number", meaning, unit, True)


_F1 = "2 n_both / (n_a + n_b), over the events of the tube"
_KAPPA = "Cohen's kappa of this gate: over the events that both gatings have in the parent"

GATING_PAIRS = Table(
    "agreement_tubes",
    "each population of each tube in two gatings",
    (
        SAMPLE,
        POPULATION,
        _path(_A, "a"),
        _path(_B, "b"),
        _count("n_a", f"events in {_A}"),
        _count("n_b", f"events in {_B}"),
        _count("n_parent_a", f"events in the parent in {_A}"),
        _count("n_parent_b", f"events in the parent in {_B}"),
        _number("percent_a", f"percent of the parent in {_A}; empty where it is withheld", "%"),
        _number("percent_b", f"percent of the parent in {_B}; empty where it is withheld", "%"),
        _number("difference", "percent_b - percent_a", "percentage points"),
        _number("ratio", "percent_b / percent_a, where both are above zero", "ratio"),
        _count("n_both", "events in both; empty where the events could not be read"),
        _count("n_both_parents", "events in the parents of both"),
        _count("n_a_shared", f"of these, events in {_A}"),
        _count("n_b_shared", f"of these, events in {_B}"),
        Column("f1", "number", _F1, "0 to 1", True, low=0, high=1),
        Column("kappa", "number", _KAPPA, "-1 to 1", True, low=-1, high=1),
        FLAG,
    ),
    key=("sample_id", "path_a", "path_b"),
    files=("agree: agreement_tubes.csv",),
)

GATING_AGREEMENT = Table(
    "agreement_populations",
    "how far two gatings of the same tubes agree on each population",
    (
        POPULATION,
        _path(_A, "a"),
        _path(_B, "b"),
        Column("n_tubes", "integer", "tubes with a percent in both", "tubes", low=0),
        Column("n_withheld", "integer", "tubes in which either gating has no percent", "tubes", low=0),
        _number("mean_a", f"mean percent of the parent in {_A}", "%"),
        _number("mean_b", f"mean percent of the parent in {_B}", "%"),
        _number("bias", "mean of second less first", "percentage points"),
        _number("bias_ci_low", "lower 95 % limit of bias", "percentage points"),
        _number("bias_ci_high", "upper 95 % limit of bias", "percentage points"),
        _number("limit_low", "lower limit of agreement: bias - 1.96 sd", "percentage points"),
        _number("limit_high", "upper limit of agreement: bias + 1.96 sd", "percentage points"),
        Column("n_ratio", "integer", "tubes with a percent above zero in both", "tubes", low=0),
        _number("ratio", "geometric mean of second over first", "ratio"),
        _number("ratio_ci_low", "lower 95 % limit of ratio", "ratio"),
        _number("ratio_ci_high", "upper 95 % limit of ratio", "ratio"),
        _number("ratio_limit_low", "lower limit of agreement of the ratio", "ratio"),
        _number("ratio_limit_high", "upper limit of agreement of the ratio", "ratio"),
        _number("concordance", "Lin's concordance correlation (1989)", "-1 to 1"),
        _number("concordance_ci_low", "its lower 95 % limit (Lin 2000)", "-1 to 1"),
        _number("concordance_ci_high", "its upper 95 % limit (Lin 2000)", "-1 to 1"),
        _number("cv", "coefficient of variation between the gatings, root mean square over tubes", "%"),
        Column("n_event_tubes", "integer", "tubes whose events were read", "tubes", True, low=0),
        _number("f1", f"{_F1}, all tubes together", "0 to 1"),
        _number("f1_lowest", "of the tube with the lowest", "0 to 1"),
        _number("kappa", f"{_KAPPA}, all tubes together", "-1 to 1"),
        _number("kappa_lowest", "of the tube with the lowest", "-1 to 1"),
        FLAG,
    ),
    key=("path_a", "path_b"),
    notes="References: Bland and Altman 1986 and 1999; Lin 1989, with the variance of 2000; Cohen 1960.",
    files=("agree: agreement_populations.csv",),
)

UNMATCHED = Table(
    "agreement_unmatched",
    "tubes and populations that only one gating has, and tubes whose events could not be read",
    (
        Column("what", "text", "what is missing", allowed=("tube", "population", "events")),
        Column("name", "text", "sample_id or path"),
        Column("side", "text", "the gating that has it; empty for events", nullable=True, allowed=("a", "b")),
        Column("reason", "text", "in words"),
    ),
    files=("agree: agreement_unmatched.csv",),
)

READERS = Table(
    "readers_agreement",
    "how far two readers of a run agree on each gate, once both have closed their reviews",
    (
        Column("reader_a", "text", "the reader whose review was opened first"),
        Column("reader_b", "text", "the other reader"),
        POPULATION,
        Column("path", "text", "lineage from root, '/' between populations"),
        Column("n_tubes", "integer", "tubes with a percent by both readers' gates", "tubes", low=0),
        Column("n_moved", "integer", "tubes in which either reader moved this gate", "tubes", low=0),
        _number("cv", "coefficient of variation between the readers, root mean square over tubes", "%"),
        _number("concordance", "Lin's concordance correlation of the percents (1989)", "-1 to 1"),
        _number("concordance_ci_low", "its lower 95 % limit (Lin 2000)", "-1 to 1"),
        _number("concordance_ci_high", "its upper 95 % limit (Lin 2000)", "-1 to 1"),
        _number("f1", "of events, all tubes together", "0 to 1"),
        _number("kappa_events", _KAPPA, "-1 to 1"),
        Column("n_decided", "integer", "tubes that both readers accepted or rejected", "tubes", low=0),
        Column("n_same", "integer", "of these, tubes with the same decision", "tubes", low=0),
        _number("kappa_decisions", "Cohen's kappa of accept and reject; empty where both use one word only", "-1 to 1"),
        _number("kappa_decisions_ci_low", "its lower 95 % limit", "-1 to 1"),
        _number("kappa_decisions_ci_high", "its upper 95 % limit", "-1 to 1"),
        FLAG,
    ),
    key=("reader_a", "reader_b", "path"),
    notes="Tubes that neither reader changed are in the percents as they are: both have the same gates there.",
    files=("agree: readers_agreement.csv",),
)

TABLES = (GATING_PAIRS, GATING_AGREEMENT, UNMATCHED, READERS)
