"""Endpoints: one class a statistic, chosen in one place; each measures itself from counts worked by hand."""

from __future__ import annotations

import ast
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from builders import REPOSITORY
from source_trees import trees

from immunolab.errors import InputError
from immunolab.intervals import NORMAL_95, jeffreys_percent
from immunolab.quantify import endpoint_values
from immunolab.schema.contrast import Contrast, side_visits
from immunolab.schema.records import from_plain, record_types, to_plain
from immunolab.study import endpoints
from immunolab.study.endpoints import (
    STATISTICS,
    AbsoluteCount,
    BeadCount,
    Joint,
    LogRatio,
    PercentOfParent,
    SampleCounts,
    StimulatedMinusUnstimulated,
)
from immunolab.study.trial import builtin_trials, load_trial

COUNTS = pd.DataFrame(
    {
        "population": ["root", "lymphocytes", "CD4", "Treg", "Th17", "Tconv"],
        "path": ["/", "/lymphocytes", "/lymphocytes/CD4", "/lymphocytes/CD4/Treg", "/lymphocytes/CD4/Th17", "/Tconv"],
        "n_events": [1000, 800, 400, 20, 0, 380],
        "definition": [None, None, None, "Treg.x", None, None],
        "flag": [None, None, None, "low_events", None, None],
    }
)
STATED = {"id": "e", "source": "s"}


def test_percent_ratio_and_absolute_count_by_hand() -> None:
    counts = SampleCounts(COUNTS, [Joint("Th17", "Tconv", 0)], lymphocytes_per_ul=1600.0)
    treg = PercentOfParent(**STATED, population="Treg", parent="CD4").measure(counts)
    assert (treg.value, treg.n_events, treg.n_parent, treg.definition, treg.flag) == (
        5.0,
        20,
        400,
        "Treg.x",
        "low_events",
    )
    assert PercentOfParent(**STATED, population="Th17", parent="Tconv").measure(counts).value == 0  # by shared events
    assert PercentOfParent(**STATED, population="Tfh", parent="CD4").measure(counts) is None
    assert AbsoluteCount(**STATED, population="Treg").measure(counts).value == 1600 * 20 / 800
    uncounted = AbsoluteCount(**STATED, population="Treg").measure(SampleCounts(COUNTS))
    assert uncounted.value is None
    assert "no_lymphocyte_count" in uncounted.flag
    ratio = LogRatio(**STATED, numerator="Treg", denominator="Th17", parent="CD4").measure(counts)
    assert ratio.value == 20.5 / 0.5
    assert ratio.population == "Treg/Th17"
    assert ratio.flag == "low_events;zero_events"


def test_a_share_of_a_population_without_a_border_is_withheld() -> None:
    """Conventional CD4 without Treg's border is all of CD4, which no percentage may be of."""
    flags = [None, None, None, "no_border", None, "no_border"]
    counts = SampleCounts(COUNTS.assign(flag=flags), [Joint("Th17", "Tconv", 0)], lymphocytes_per_ul=1600.0)
    asked = {
        parent: PercentOfParent(**STATED | {"id": parent}, population="Th17", parent=parent)
        for parent in ("CD4", "Tconv")
    }
    rows = {row["endpoint"]: row for row in endpoint_values(asked.values(), counts)}
    assert (rows["CD4"]["value"], rows["CD4"]["flag"]) == (0, None)
    assert (rows["Tconv"]["value"], rows["Tconv"]["flag"]) == (None, "no_border")


def test_limits_are_of_counting_and_of_the_gates() -> None:
    counts, gate_sd = SampleCounts(COUNTS), {("Treg", "CD4"): 0.1, ("Th17", "CD4"): 0.2}
    endpoint = PercentOfParent(**STATED, population="Treg", parent="CD4")
    found = endpoint.with_limits(endpoint.measure(counts), gate_sd)
    assert (found.count_low, found.count_high) == jeffreys_percent(20, 400)
    centre = math.log(20.5 / 380.5)
    assert found.gate_low == pytest.approx(100 / (1 + math.exp(-(centre - NORMAL_95 * 0.1))))
    ratio = LogRatio(**STATED, numerator="Treg", denominator="Th17", parent="CD4")
    limited = ratio.with_limits(ratio.measure(counts), gate_sd)
    assert limited.gate_high / limited.value == pytest.approx(math.exp(NORMAL_95 * math.hypot(0.1, 0.2)))
    assert "count_low" not in limited.row()  # of a ratio it is not known


def test_every_statistic_survives_json() -> None:
    types = record_types(endpoints)
    declared = [endpoint for name in builtin_trials() for endpoint in load_trial(name).expanded_endpoints()]
    # no built-in trial registers cytokines after stimulation, nor counts by beads
    declared.append(BeadCount(**STATED, population="Treg"))
    declared.append(StimulatedMinusUnstimulated(**STATED, population="Th17_ICS", parent="CD3CD8neg", stimulation="PMA"))
    assert {endpoint.statistic for endpoint in declared} == set(STATISTICS)
    assert list(from_plain(json.loads(json.dumps(to_plain(declared))), types)) == declared


def test_a_key_of_another_statistic_is_named_with_its_owner(tmp_path: Path) -> None:
    text = (REPOSITORY / "immunolab" / "study" / "trials" / "sle_nct02084238.yaml").read_text(encoding="utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("population: Treg,", "population: Treg, numerator: Th17,", 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_trial(mine)
    (problem,) = caught.value.problems
    assert "percent_of_parent has no key 'numerator'" in problem.message
    assert problem.hint.startswith("it belongs to log_ratio; keys of percent_of_parent: id, source")


def test_a_contrast_is_written_one_way_and_a_plus_in_a_name_is_no_join() -> None:
    assert str(Contrast("W0", "W10")) == "W10 - W0"
    assert side_visits("W0+W2", {"W0", "W2"}) == ["W0", "W2"]
    assert side_visits("V1+V2", {"V1+V2", "V1"}) == ["V1+V2"]
    assert side_visits("gone", {"V1"}) == ["gone"]


def test_only_this_room_asks_for_the_statistic() -> None:
    room = Path("study/endpoints")
    assert [path for path, tree in trees().items() if room not in path.parents and _asks(tree)] == []


def _asks(tree: ast.AST) -> bool:
    """Whether code decides by ``.statistic``: compares it, matches it, looks it up or reads a part of it."""
    deciding: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.Match | ast.match_case):
            deciding.append(node)
        elif isinstance(node, ast.Subscript):
            deciding.append(node.slice)
        elif isinstance(node, ast.Attribute) and node.attr in ("startswith", "endswith", "partition", "split"):
            deciding.append(node.value)
    inside = [node for part in deciding for node in ast.walk(part)]
    return any(isinstance(node, ast.Attribute) and node.attr == "statistic" for node in inside)


@pytest.mark.parametrize(
    "text", ['e.statistic == "a"', '"a" in (e.statistic, 1)', "D[e.statistic]", 'e.statistic.startswith("a")']
)
def test_the_walk_sees_code_that_asks_for_the_statistic(text: str) -> None:
    assert _asks(ast.parse(text))
    assert not _asks(ast.parse("row(statistic=e.statistic)"))
