"""Declared families: gates, fixed sequences, max-T, negative controls, and faults of a declaration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from immunolab.comparison.declared_families import with_declared_families
from immunolab.comparison.plan import Plan
from immunolab.comparison.table import compare_endpoints
from immunolab.config import parse_yaml
from immunolab.errors import InputError
from immunolab.study.endpoints import PercentOfParent, ResponderProportion
from immunolab.study.families import DeclaredFamily, family_problems
from immunolab.study.sheet import read_study

NO_PAIRS = pd.DataFrame(columns=["cohort", "endpoint", "patient_id", "shift"])


def _table(p: dict[str, float], families: dict[str, str]) -> pd.DataFrame:
    table = pd.DataFrame({"endpoint": list(p), "p_value": list(p.values()), "cohort": None, "role": "secondary"})
    return table.assign(family=table["endpoint"].map(families), q_value=np.nan, adjustment="", method="paired t, logit")


def _holm_rejects(p: dict[str, float], level: float) -> set[str]:
    out: set[str] = set()
    for rank, name in enumerate(sorted(p, key=p.__getitem__)):
        if p[name] > level / (len(p) - rank):
            break
        out.add(name)
    return out


def _sequence_rejects(p: dict[str, float], level: float) -> set[str]:
    out: set[str] = set()
    for name, value in p.items():
        if value > level:
            break
        out.add(name)
    return out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("first", "second"), list(product(["serial", "parallel"], repeat=2)))
def test_adjusted_p_behind_gates_is_the_least_level_that_rejects(seed, first, second):
    rng = np.random.default_rng(seed)
    names = {"a": ["a1", "a2", "a3"], "b": ["b1", "b2"], "c": ["c1", "c2"]}
    p = {
        name: float(value)
        for name, value in zip([name for own in names.values() for name in own], rng.uniform(0, 1, 7) ** 3, strict=True)
    }
    families = (
        DeclaredFamily("a", tuple(names["a"]), rule="bonferroni"),
        DeclaredFamily("b", tuple(names["b"]), rule="bonferroni" if second == "parallel" else "holm", gate=first),
        DeclaredFamily("c", tuple(names["c"]), rule="fixed_sequence", gate=second),
    )

    def rejected(level: float) -> set[str]:
        """Walk down the families as the procedure is described, at one level."""
        own = {k: {name: p[name] for name in names[k]} for k in names}
        a = {name for name in own["a"] if own["a"][name] <= level / 3}
        level = level * len(a) / 3 if first == "parallel" else level * (len(a) == 3)
        if second == "parallel":
            b = {name for name in own["b"] if own["b"][name] <= level / 2} if level else set()
        else:
            b = _holm_rejects(own["b"], level) if level else set()
        level = level * len(b) / 2 if second == "parallel" else level * (len(b) == 2)
        return a | b | (_sequence_rejects(own["c"], level) if level else set())

    [found] = with_declared_families([_table(p, {n: k for k in names for n in names[k]})], [NO_PAIRS], families)
    q = found.set_index("endpoint")["q_value"]
    for name in p:
        if q[name] < 1:
            assert name in rejected(q[name] * (1 + 1e-9))
            assert name not in rejected(q[name] * (1 - 1e-6))
        else:
            assert name not in rejected(0.999)


def test_a_gate_is_closed_where_one_above_was_not_tested():
    families = (DeclaredFamily("a", ("a1", "a2"), rule="holm"), DeclaredFamily("b", ("b1",), gate="serial"))
    table = _table({"a1": 0.001, "a2": np.nan, "b1": 0.001}, {"a1": "a", "a2": "a", "b1": "b"})
    [found] = with_declared_families([table], [NO_PAIRS], families)
    assert found["q_value"].isna().tolist() == [False, True, True]
    assert found["adjustment"].iloc[2] == (
        "Holm over 1 endpoints of 'b', behind 'a' (serial gate, closed: not all of them were tested)"
    )
    absent = with_declared_families([table.drop(index=1)], [NO_PAIRS], families)[0]  # not compared at all
    assert np.isnan(absent["q_value"].iloc[1])


def _rows(changes: dict[str, float], n: int = 8, sd: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    rows = []
    for endpoint, change in changes.items():
        for p in range(n):
            for visit, shift in (("W0", 0.0), ("W10", change)):
                share = 1 / (1 + np.exp(-(-2.5 + shift + rng.normal(0, sd))))
                rows.append((f"P{p}", visit, endpoint, rng.binomial(50_000, share)))
    table = pd.DataFrame(rows, columns=["patient_id", "visit", "endpoint", "n_events"])
    return table.assign(n_parent=50_000, cohort="", unit="%", value=table["n_events"] / 500)


def test_max_t_of_a_declared_family_flips_patients_whole():
    roles = dict.fromkeys("abc", "secondary")
    plan = Plan("W0", "W10", roles=roles, families=(DeclaredFamily("trio", ("a", "b", "c"), rule="max_t"),))
    found = compare_endpoints(_rows({"a": 0.8, "b": 0.0, "c": -0.8}), plan).shifts.set_index("endpoint")
    assert (found["family"] == "trio").all()
    assert found.loc["a", "q_value"] == found.loc["c", "q_value"] == 2 / 2**8  # the least that eight patients allow
    assert found.loc["b", "q_value"] > 0.05
    assert found["adjustment"].iloc[0].startswith("max-T sign flip of patients, step-down, exact, over 3 endpoints")
    with_batch = _rows({"a": 0.8, "b": 0.0, "c": -0.8})
    with_batch["batch"] = ["A" if int(p[1:]) % 2 else "B" for p in with_batch["patient_id"]]
    with_batch.loc[with_batch["patient_id"].eq("P1") & with_batch["visit"].eq("W10"), "batch"] = "B"
    instead = compare_endpoints(with_batch, plan).shifts
    assert (
        instead["adjustment"].iloc[0].startswith("Holm over 3 endpoints of 'trio' (max-T flips plain shifts; a, b, c")
    )


def test_negative_controls_are_in_no_family_and_tested_for_equivalence():
    roles = dict.fromkeys(["treg", "flat", "wild", "moved", "score"], "secondary")
    rows = pd.concat([_rows({"treg": 0.8, "flat": 0.0, "moved": 0.9}), _rows({"wild": 0.0}, sd=0.9)])
    score = pd.DataFrame({"patient_id": [f"P{i}" for i in range(8)] * 2, "visit": ["W0"] * 8 + ["W10"] * 8})
    score = score.assign(endpoint="score", value=np.arange(16) % 5, unit="points", cohort="")
    controls = {"flat": None, "wild": 1.5, "moved": 1.25, "score": None}
    plan = Plan("W0", "W10", roles=roles, controls=controls)
    found = compare_endpoints(pd.concat([rows, score]), plan).shifts.set_index("endpoint")
    assert found.loc["treg", "adjustment"] == "Holm over 1 secondary endpoints"
    assert found.loc["treg", "q_value"] == found.loc["treg", "p_value"]
    words = {name: found.loc[name, "equivalence"] for name in controls}
    assert words == {
        "flat": "equivalent",
        "wild": "not_shown_equivalent",
        "moved": "beyond_margin",
        "score": "not_tested",
    }
    assert found.loc[list(controls), "q_value"].isna().all()
    assert (found.loc[list(controls), "family"] == "negative controls").all()
    assert "margin odds ratio 0.667 to 1.5, assumed, none is declared" in found.loc["flat", "adjustment"]
    assert "margin odds ratio 0.8 to 1.25, declared" in found.loc["moved", "adjustment"]
    assert "no margin of equivalence is declared" in found.loc["score", "adjustment"]
    assert "W_CONTROL_MOVED" in found.loc["moved", "warnings"]
    low, high = (found.loc["flat", c] for c in ("ci_low", "ci_high"))
    assert max(-low, high) < np.log(1.5)  # within the 95 % limits, so within the 90 % ones


DECLARED = """
families:
  - {name: first, endpoints: [treg, response], gate: serial}
  - {name: second, endpoints: [tre, th1, treg], rule: bh, gate: parallel}
  - {name: second, rule: fixed_sequence, role: secondary, gate: serial}
  - {name: empty}
"""


def test_every_fault_of_declared_families_is_named_at_once():
    document = parse_yaml(DECLARED, "study.yaml")
    families = tuple(
        DeclaredFamily(**{k: tuple(v) if isinstance(v, list) else v for k, v in one.items()})
        for one in document.data["families"]
    )
    endpoints = [
        PercentOfParent(id="treg", source="x", population="Treg", parent="CD4"),
        PercentOfParent(id="th1", source="x", population="Th1", parent="CD4", negative_control=True),
        ResponderProportion(id="response", source="x", score="SRI_4"),
    ]
    text = "\n".join(map(str, family_problems(families, endpoints, document)))
    for part in (
        "no family is above the first one",
        "'response' (responder_proportion) is not compared between visits",
        "a parallel gate after 'first' needs rule: bonferroni",
        "no endpoint is named 'tre'",
        "did you mean 'treg'?",
        "'th1' is a negative control",
        "'treg' is in the family 'first' too",
        "family 'second' is duplicated",
        "'second' above has rule bh",
        "a fixed sequence needs its order",
        "family 'empty' needs endpoints or a role",
    ):
        assert part in text


def test_study_yaml_declares_families_and_margins(tmp_path):
    (tmp_path / "samples.csv").write_text("sample_id,patient_id,visit,file\ns,P1,W0,s.fcs\n")
    (tmp_path / "s.fcs").write_bytes(b"")
    text = """study: x
comparison: {before: W0, after: W0, moderated: false}
endpoints:
  - {id: treg, statistic: percent_of_parent, population: Treg, parent: CD4, role: primary, source: x}
  - {id: th1, statistic: percent_of_parent, population: Th1, parent: CD4, source: x, MARGIN}
families:
  - {name: one, role: primary, rule: holm}
"""
    (tmp_path / "study.yaml").write_text(text.replace("MARGIN", "negative_control: true, margin: 1.25"))
    study = read_study(tmp_path)
    assert study.families == (DeclaredFamily("one", role="primary"),)
    assert [e.margin for e in study.endpoints] == [None, 1.25]
    assert not study.comparison.moderated
    (tmp_path / "study.yaml").write_text(text.replace("MARGIN", "margin: 1.25").replace("role: primary, rule", "rule"))
    with pytest.raises(InputError) as raised:
        read_study(tmp_path)
    text = "\n".join(map(str, raised.value.problems))
    assert "a margin of equivalence is of negative controls" in text
    assert "family 'one' needs endpoints or a role, one of them" in text
