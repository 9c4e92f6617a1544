"""The locked analysis plan: every change of its file is found, every change of the study is said in words."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
from builders import REPOSITORY

from immunolab.analysis_plan.lock import LOCK_FILE, lock_text, locked, read_lock
from immunolab.analysis_plan.seen import PlanSeen, plan_tables
from immunolab.audit.log import AuditLog
from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.schema.overrides import OVERRIDES
from immunolab.study.sheet import read_study
from immunolab.workflow.check import check_study
from immunolab.workflow.plan import check_plan, lock_plan

BY, AT = "A. Planner", "2026-03-01T09:30:00Z"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a study with its trial and strategy as files, and its locked plan; copied by the tests that change it."""
    study = tmp_path_factory.mktemp("plan") / "study"
    shutil.copytree(REPOSITORY / "sample_data" / "sle", study, ignore=shutil.ignore_patterns("truth"))
    own = files("immunolab.study.trials").joinpath("sle_nct02084238.yaml").read_text(encoding="utf-8")
    (study / "trial.yaml").write_text(own)
    (study / "gates.yaml").write_text(
        files("immunolab.gating.strategies").joinpath("treg_th17_tfh_teff.yaml").read_text(encoding="utf-8")
    )
    text = (study / "study.yaml").read_text()
    text = text.replace("sle_nct02084238", "trial.yaml").replace("strategy: treg_th17_tfh_teff", "strategy: gates.yaml")
    (study / "study.yaml").write_text(text)
    lock_plan(study, by=BY, at=AT)
    return study


@pytest.fixture
def study(planned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planned, tmp_path / "study"))


def _replace(study: Path, name: str, old: str, new: str) -> None:
    text = (study / name).read_text()
    assert old in text, old
    (study / name).write_text(text.replace(old, new, 1))


def _words(study: Path) -> list[str]:
    return [one.words for one in check_plan(study)[1]]


def test_a_study_as_planned_has_no_deviation_and_the_lock_is_logged(study: Path) -> None:
    plan, found = check_plan(study)
    assert (found, plan.number, plan.by) == ((), 1, BY)
    entry = AuditLog(study).entries()[0]
    assert (entry.kind, entry.by, entry.at, entry.fields["sha256"]) == ("plan_locked", BY, AT, plan.sha256)


def test_comments_spaces_and_sources_are_no_deviation(study: Path) -> None:
    for name in ("study.yaml", "trial.yaml", "gates.yaml"):
        text = (study / name).read_text()
        (study / name).write_text(
            "# a comment\n\n" + text.replace("source: registry", "source:   protocol 2") + "\n# end\n"
        )
    _replace(
        study, "study.yaml", "comparison:\n  before: baseline", "comparison:\n\n  before:    'baseline'  # as said"
    )
    assert _words(study) == []


Change = Callable[[Path], None]


def _in(name: str, old: str, new: str) -> Change:
    return lambda study: _replace(study, name, old, new)


def _without(name: str, pattern: str) -> Change:
    def drop(study: Path) -> None:
        text = (study / name).read_text()
        shorter = re.sub(pattern, "", text, count=1, flags=re.MULTILINE)
        assert shorter != text, pattern
        (study / name).write_text(shorter)

    return drop


_NEW = "  - {id: c9, statistic: paired_change, variable: C9, contrast: [W0, W4], source: me}\ncovariates:"
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "role": (
        _in("trial.yaml", "score: SRI_4, role: primary", "score: SRI_4, role: exploratory"),
        ["endpoint sri: role planned primary, now exploratory"],
    ),
    "endpoint left out": (
        _without("trial.yaml", r"^  - \{id: c4, .*\n"),
        [
            "endpoint c4 (secondary) is planned and is no longer in the study",
            "secondary endpoints are not adjusted together as planned, but without c4: their q is another",
        ],
    ),
    "new endpoint": (
        _in("trial.yaml", "covariates:", _NEW),
        [
            "endpoint c9 (secondary) is not in the plan",
            "secondary endpoints are not adjusted together as planned, but with c9: their q is another",
        ],
    ),
    "visits compared": (
        _in("trial.yaml", "C3, visits: [W0, W10], contrast: [W0, W10]", "C3, visits: [W0, W10], contrast: [W0, W4]"),
        ["endpoint c3: visits compared planned W0, W10, now W0, W4"],
    ),
    "parent": (
        _in("trial.yaml", "population: Th1, parent: CD4,", "population: Th1, parent: CD4_mem,"),
        [
            "endpoint th1_pct_cd4: parent planned CD4, now CD4_mem",
            "endpoint th1_pct_cd4_absolute (exploratory) is planned and is no longer in the study",
        ],
    ),
    "direction": (
        _in("trial.yaml", "[W0, W10],\n     direction: decrease", "[W0, W10],\n     direction: increase"),
        ["endpoint dsdna: direction planned decrease, now increase"],
    ),
    "gate": (
        _in("gates.yaml", "{x: CD25, y: CD127, of: CD4_naive}", "{x: CD25, y: CD127, of: CD4_mem}"),
        ["population Treg: gate, of planned CD4_naive, now CD4_mem"],
    ),
    "definition": (
        _in("gates.yaml", "definition: Tfr.CXCR5posCD45RAneg", "definition: Tfr.CXCR5pos"),
        ["population Tfr: definition planned Tfr.CXCR5posCD45RAneg, now Tfr.CXCR5pos"],
    ),
    "noise": (_in("study.yaml", "noise: 15.0", "noise: 9"), ["inter-assay CV planned 15, now 9"]),
    "moderation": (
        _in("study.yaml", "noise: 15.0", "noise: 15.0\n  moderated: false"),
        ["comparison, borrowing of variance (moderated) planned yes, now no"],
    ),
    "family": (
        _in("trial.yaml", "covariates:", "families:\n  - {name: serum, endpoints: [c3, c4], rule: holm}\ncovariates:"),
        [
            "secondary endpoints are not adjusted together as planned, but without c3, c4: their q is another",
            "families, serum planned none, now endpoints c3, c4, role none, rule holm, gate none",
        ],
    ),
    "estimand": (
        _in("trial.yaml", "rise: 5, strategy: treatment_policy", "rise: 5, strategy: hypothetical"),
        ["estimand, events, rescue steroids, strategy planned treatment_policy, now hypothetical"],
    ),
    "exclusion": (
        _in("study.yaml", "comparison:", "quality: {clean: false}\ncomparison:"),
        ["cut faulty stretches planned yes, now no"],
    ),
    "window": (
        _in("trial.yaml", "target_day: 71, window: [69, 73]", "target_day: 71, window: [69, 80]"),
        ["trial, visits, W10, window planned 69, 73, now 69, 80"],
    ),
    "sample left out": (
        _without("samples.csv", r"^SLE003_W10,.*\n"),
        ["sample SLE003_W10 (SLE003 W10) was in the sheet when the plan was locked and is left out now"],
    ),
    "visit of a sample": (
        _in("samples.csv", "W10,fcs/SLE003_W10.fcs,SLE,surface,71", "W8,fcs/SLE003_W10.fcs,SLE,surface,57"),
        ["sample SLE003_W10: visit planned W10, now W8"],
    ),
    "table left out": (
        _without("study.yaml", r"^adverse_events.*\n"),
        ["tables, adverse events planned adverse_events.csv, now none"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_of_the_study_is_a_deviation_in_words(study: Path, name: str) -> None:
    change, words = CHANGES[name]
    change(study)
    assert [one for one in _words(study) if not one.startswith("definitions, ")] == words


def test_a_sample_that_was_added_and_a_gate_that_moved_name_what_they_touch(study: Path) -> None:
    shutil.copy(study / "fcs" / "SLE001_W0.fcs", study / "fcs" / "new.fcs")
    with (study / "samples.csv").open("a") as sheet:
        sheet.write("SLE009_W0,SLE009,W0,fcs/new.fcs,SLE,surface,1,B1,700\n")
    CHANGES["gate"][0](study)
    gate, added = check_plan(study)[1]
    assert added.words == "1 sample was added to the sheet since the plan was locked: SLE009_W0"
    assert {"treg_pct_cd4", "treg_th17_ratio", "th17_pct_cd4", "th1_pct_cd4"} <= set(gate.endpoints)  # not Treg: of it
    assert not {"c3", "sri"} & set(gate.endpoints)


def test_every_character_of_a_lock_file_counts(tmp_path: Path) -> None:
    first = locked((), {"endpoints": {"a": {"role": "primary", "x": 1.5}}}, by=BY, at=AT, reason="", version="1")
    second = locked([first], {"endpoints": {}}, by=BY, at=AT, reason="größer", version="1")
    content = lock_text([first, second]).encode()
    file = tmp_path / LOCK_FILE
    file.write_bytes(content)
    assert [one.number for one in read_lock(tmp_path)] == [1, 2]
    for place in range(len(content)):
        flipped = bytes([content[place] ^ 1])
        for other in (flipped, b"", content[place : place + 1] * 2):
            file.write_bytes(content[:place] + other + content[place + 1 :])
            with pytest.raises(InputError, match="was changed after it was locked") as found:
                read_lock(tmp_path)
            assert len(found.value.problems) == 1


def test_characters_of_a_real_lock_file_count(study: Path) -> None:
    content = (study / LOCK_FILE).read_bytes()
    for place in range(0, len(content), 499):  # every position by benchmarks/locked_plan.py, which takes minutes
        (study / LOCK_FILE).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(InputError, match="was changed after it was locked"):
            read_lock(study)


def _hashed_again(study: Path) -> None:
    """Change a plan as someone would who knows how its hash is made."""
    plan = json.loads((study / LOCK_FILE).read_text())["plans"][0]
    plan["content"]["comparison"]["moderated"] = False
    again = locked((), plan["content"], by=plan["by"], at=plan["at"], reason="", version=plan["version"])
    (study / LOCK_FILE).write_text(lock_text([again]))


def test_a_plan_that_was_hashed_again_is_not_the_one_of_the_log(study: Path) -> None:
    _hashed_again(study)
    text = "plan.lock.json  plan 1 is not the one that the log says was locked"
    assert text in [str(one).partition("\n")[0] for one in check_study(study).problems]
    with pytest.raises(InputError, match="plan 1 is not the one that the log says was locked"):
        check_plan(study)


def test_locking_again_needs_a_reason_and_keeps_the_earlier_plans(study: Path) -> None:
    CHANGES["noise"][0](study)
    with pytest.raises(InputError, match="is locked already") as found:
        lock_plan(study, by=BY, at=AT)
    assert "--reason" in str(found.value)
    lock_plan(study, by="B", at="2026-04-01T00:00:00Z", reason="a new assay")
    plans = read_lock(study)
    assert [(one.number, one.by, one.reason) for one in plans] == [(1, BY, ""), (2, "B", "a new assay")]
    assert plans[1].before == plans[0].sha256
    assert _words(study) == []
    assert [one.fields["plan"] for one in AuditLog(study).entries()] == [1, 2]


def test_a_changed_plan_is_locked_anew_only_with_a_reason_and_the_log_says_what_was_lost(study: Path) -> None:
    sha256 = read_lock(study)[0].sha256
    (study / LOCK_FILE).write_text((study / LOCK_FILE).read_text().replace("treg", "Treg", 1))
    with pytest.raises(InputError, match="was changed after it was locked"):
        lock_plan(study, by=BY, at=AT)
    lock_plan(study, by=BY, at=AT, reason="the file was damaged")
    assert AuditLog(study).entries()[-1].fields["lost"] == [sha256]
    assert check_plan(study)[1] == ()
    (study / LOCK_FILE).unlink()
    assert "is missing: the plan that entry 2 of the log says was locked" in str(check_study(study).problems[0])


def test_a_plan_cannot_be_locked_at_a_url_or_by_nobody(study: Path) -> None:
    with pytest.raises(InputError, match="copy the study into a folder of this computer"):
        lock_plan("s3://bucket/study", by=BY, at=AT)
    with pytest.raises(InputError, match="nobody is named"):
        lock_plan(study, by=" ", at=AT, reason="x")
    assert len(read_lock(study)) == 1


def test_the_commands(study: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "check", str(study)]) == 0
    assert f"the study is as in plan 1, locked by {BY} on {AT}" in capsys.readouterr().out
    CHANGES["noise"][0](study)
    assert main(["plan", "check", str(study)]) == 1
    assert "deviation: inter-assay CV planned 15, now 9" in capsys.readouterr().out
    assert main(["plan", "lock", str(study), "--by", "B", "--reason", "a new assay"]) == 0
    assert "plan 2, locked by B" in capsys.readouterr().out
    assert main(["plan", "show", str(study)]) == 0
    assert "(replaced)" in (shown := capsys.readouterr().out)
    assert "sri: responder proportion" in shown
    assert main(["plan", "unblind", str(study), "--by", "B", "--comment", "arms to Dr C"]) == 0
    capsys.readouterr()
    assert main(["audit", str(study / "study.yaml"), "--csv", str(tmp_path / "log.csv")]) == 0
    out = capsys.readouterr().out
    assert "3 entries, none changed" in out
    assert "arms to Dr C" in out
    assert (tmp_path / "log.csv").read_text().count("\n") == 4
    (study / "review" / "audit.jsonl").write_bytes(
        b"".join((study / "review" / "audit.jsonl").open("rb").readlines()[1:])
    )
    assert main(["audit", str(study)]) == 1
    assert "entry 1 was removed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-03-01T04:00:00-07:00", "on 2026-03-01T04:00:00-07:00, after the plan was locked"),  # 11:00 UTC
        ("2026-03-01T11:00:00+02:00", None),  # 09:00 UTC
        ("2026-02-28", None),
        ("2026-03-01", "on 2026-03-01, which counts as after the plan was locked"),
        ("2026-03-02", "on 2026-03-02, after the plan was locked"),
        ("2026-04-02", "on 2026-04-02, after unblinding"),
        ("", "without a date, which counts as after unblinding"),
    ],
)
def test_an_override_by_hand_is_late_by_its_date_and_where_that_does_not_say_so(
    study: Path, at: str, words: str | None
) -> None:
    AuditLog(study).append("unblinded", {}, by=BY, at="2026-04-01T12:00:00Z")
    (plan,) = read_lock(study)
    seen = PlanSeen.of(plan, plan.content, AuditLog(study).entries())
    row = dict.fromkeys(OVERRIDES.names) | {
        "sample_id": "SLE001_W0", "population": "Treg", "path": "/lymphocytes/CD3/CD4/Treg", "id": "1", "change": "1",
        "status": "applied", "override": "CD25 from 900", "reason": "control", "reader": "AB", "at": at or None,
    }  # fmt: skip
    endpoints = read_study(study).endpoints
    found = plan_tables(seen, endpoints, OVERRIDES.frame([row]))
    said = list(found["plan_deviations"]["words"])
    name = "gate Treg of sample SLE001_W0 was moved by AB"
    assert said == ([] if words is None else [f"{name} {words}" if at else f"{name}, {words}"])
    changed = (found["plan_endpoints"]["status"] == "changed").any()
    assert changed == ("unblinding" in (words or ""))
