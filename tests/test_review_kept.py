"""What a reader answered is kept: through a kill, beside a second reader, and in the file that the next run takes."""

from __future__ import annotations

import gc
import math
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from review_server import Client, reviewed
from test_pipeline import GATES

from immunolab.audit.log import AuditLog
from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.gating.overrides import read_overrides, write_overrides
from immunolab.gating.strategy import Rectangle
from immunolab.results.record import read_run
from immunolab.review import open_tubes
from immunolab.review.opening import open_review
from immunolab.review.session import Decision, SavedChange, Session
from immunolab.simulation import simulate
from immunolab.workflow.run import run

CD3, TREG = "/lymphocytes/CD3", "/lymphocytes/CD3/CD4/Treg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two patients at two visits and its finished run, side by side."""
    place = tmp_path_factory.mktemp("kept")
    simulate("sle_nct02084238", patients=2, seed=5, folder=place / "study", visits=["W0", "W10"], events=1500)
    (place / "study" / "gates.yaml").write_text(GATES)
    (place / "study" / "study.yaml").write_text(
        "study: Elsinore\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    run(place / "study", out=place / "out", tables_only=True, jobs=1)
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place"))


def save(client: Client, tube: str, gate: str, scope: str = "tube", by: float = 0.1) -> dict[str, list[str]]:
    client.drag(tube, gate, by=by)
    answer = client.post("save", tube=tube, gate=gate, scope=scope, reason="wrong_population", comment="too low")
    return {one["tube"]: one["gates"] for one in answer["changed"]}


def rows(client: Client, gate: str) -> dict[str, dict[str, object]]:
    return {one["tube"]: one for one in client.get("tubes", gate=gate)}


def test_a_moved_border_is_in_the_file_with_where_it_was_and_its_entry_in_the_log(place: Path) -> None:
    with reviewed(place / "out") as client:
        before = rows(client, CD3)
        tube = next(iter(before))
        client.drag(tube, CD3)
        assert not (place / "study" / "overrides.yaml").exists()  # nothing is kept of what is only dragged
        client.post("save", tube=tube, gate=CD3, scope="tube", reason="other", comment="two clouds")
        after = rows(client, CD3)[tube]
        client.post("close")
        sample = next(one for one in rows(client, CD3).values() if one["overridden"])["tube"]
    (one,) = read_overrides(place / "study" / "overrides.yaml")
    assert (one.sample_id, one.path, one.reader, one.comment) == (sample, CD3, "ann", "two clouds")
    assert isinstance(one.gate, Rectangle)
    assert isinstance(one.was, Rectangle)
    assert (one.was.lower, one.gate.lower[0] > 2.5) == ((2.5,), True)  # the strategy file's border
    assert one.percent_before == pytest.approx(before[tube]["percent"])
    assert one.percent_after == pytest.approx(after["percent"], abs=1e-4)
    assert one.percent_after < one.percent_before
    entry = next(e for e in AuditLog(place / "study").entries() if e.kind == "override")
    assert one.entry == entry.hash
    assert AuditLog(place / "study").problems() == []
    counted = read_run(place / "out").tube(sample).regate(_with(place, sample, one)).percent("CD3", of="lymphocytes")
    assert counted == pytest.approx(one.percent_after)


def _with(place: Path, sample: str, one):  # type: ignore[no-untyped-def]
    strategy = read_run(place / "out").tube(sample).strategy
    moved = tuple(replace(p, gate=one.gate) if p.path == one.path else p for p in strategy.populations)
    return replace(strategy, populations=moved)


@pytest.mark.parametrize(("scope", "tubes"), [("tube", 1), ("patient", 2), ("batch", 4), ("all", 4)])
def test_a_scope_moves_the_gate_in_its_tubes_and_undo_takes_it_back_in_all(place: Path, scope: str, tubes: int) -> None:
    file = place / "study" / "overrides.yaml"
    with reviewed(place / "out") as client:
        every = rows(client, TREG)
        tube, group = next((one["tube"], one["group"]) for one in every.values())
        changed = save(client, str(tube), TREG, scope)
        assert len(changed) == tubes
        if scope == "patient":
            assert {every[name]["group"] for name in changed} == {group}
        assert len(read_overrides(file)) == tubes
        assert {name for name, one in rows(client, TREG).items() if one["overridden"]} == changed.keys()
        client.post("undo")
        assert read_overrides(file) == ()
        assert not any(one["overridden"] for one in rows(client, TREG).values())
        client.post("redo")
        assert len(read_overrides(file)) == tubes
    kinds = [entry.kind for entry in AuditLog(place / "study").entries()]
    assert kinds == ["review_opened", "override", "undo", "redo"]


def test_a_moved_gate_is_counted_in_the_scope_s_other_tubes_and_below_it(place: Path) -> None:
    with reviewed(place / "out") as client:
        before = rows(client, TREG)
        tube = next(iter(before))
        save(client, tube, CD3, "all", by=0.2)
        end = time.monotonic() + 20
        while not client.get("session")["settled"] and time.monotonic() < end:
            time.sleep(0.05)
        after = rows(client, TREG)
    assert not any(one["behind"] for one in after.values())
    assert all(after[name]["n"] < before[name]["n"] for name in before)


def test_a_tube_that_cannot_be_counted_with_a_moved_gate_says_so_and_has_no_number(place: Path) -> None:
    with reviewed(place / "out", blind=False) as client:
        client.drag("SLE001_W0", TREG, by=0.1)
        for lost in (place / "study").rglob("*SLE001_W10*.fcs"):
            lost.unlink()
        fields = {"scope": "patient", "reason": "wrong_population", "comment": ""}
        client.post("save", tube="SLE001_W0", gate=TREG, **fields)
        end = time.monotonic() + 20
        while not client.get("session")["settled"] and time.monotonic() < end:
            time.sleep(0.05)
        found = rows(client, TREG)
    assert {name for name, one in found.items() if one["failed"]} == {"SLE001_W10"}
    assert "could not be counted" in str(found["SLE001_W10"]["why"])
    assert found["SLE001_W10"]["percent"] is None


def test_two_names_that_are_kept_alike_are_two_readers(place: Path) -> None:
    with open_review(place / "out", reader="A Berg"):
        pass
    wanted = pytest.raises(InputError, match="'A_Berg' would go on with the review by 'A Berg'")
    with wanted, open_review(place / "out", reader="A_Berg"):
        pass
    with open_review(place / "out", reader="A Berg") as review:
        assert review.session.reader == "A Berg"


def test_an_answer_that_is_given_while_answers_are_listed_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AuditLog(tmp_path) as log:
        session = Session(log, "review", "ann", lambda: "2026-01-01T00:00:00Z")
        session.decide(Decision("first", TREG, "accept"))
        held, other = session._held, threading.Thread(target=session.decide, args=[Decision("second", TREG, "reject")])

        def meanwhile() -> list[Decision | SavedChange]:
            found = list(held())
            other.start()
            other.join(0.5)
            return found

        with monkeypatch.context() as patch:
            patch.setattr(session, "_held", meanwhile)
            assert session.decisions.keys() == {("first", TREG)}
        other.join()
        assert session.decisions.keys() == {("first", TREG), ("second", TREG)}


def test_a_second_reader_sees_nothing_of_the_first_and_does_not_change_what_runs(place: Path) -> None:
    with reviewed(place / "out", reader="ann") as client:
        first = rows(client, TREG)
        tube = next(iter(first))
        save(client, tube, TREG)
        client.post("decide", tube=tube, gate=TREG, decision="reject", comment="of ann")
    applied = (place / "study" / "overrides.yaml").read_bytes()
    with reviewed(place / "out", reader="bob") as client:
        second = rows(client, TREG)
        assert not client.get("session")["applies"]
        assert not any(one["overridden"] or one["comment"] for one in second.values())
        assert sorted(one["percent"] for one in second.values()) == sorted(one["percent"] for one in first.values())
        for name in second:
            save(client, name, TREG)
        client.post("close")
    assert (place / "study" / "overrides.yaml").read_bytes() == applied
    (kept,) = (place / "study" / "review").glob("bob-*/overrides.yaml")
    assert {one.reader for one in read_overrides(kept)} == {"bob"}
    assert len(read_overrides(kept)) == 4


def test_two_reviews_of_one_study_at_once_are_refused_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_review(place / "out", reader="ann"):
        assert main(["review", str(place / "out"), "--reader", "bob", "--no-browser"]) == 1
    assert "another process is writing" in capsys.readouterr().err


def test_what_is_taken_out_of_the_file_by_hand_is_withdrawn_in_the_log(place: Path) -> None:
    file = place / "study" / "overrides.yaml"
    with reviewed(place / "out") as client:
        first, second = list(rows(client, TREG))[:2]
        save(client, first, TREG)
        save(client, second, TREG)
        file.write_text("overrides: []\n")
        assert "changed while the review was open" in client.error("undo")
    with reviewed(place / "out") as client:
        found = rows(client, TREG)
        assert [found[first]["overridden"], found[second]["overridden"]] == [False, True]  # the last may be of a kill
    assert [entry.kind for entry in AuditLog(place / "study").entries()].count("override_withdrawn") == 1


def test_what_is_changed_in_the_file_by_hand_is_what_the_page_shows(place: Path) -> None:
    file = place / "study" / "overrides.yaml"
    with reviewed(place / "out") as client:
        tube = next(iter(rows(client, CD3)))
        save(client, tube, CD3)
    (kept,) = read_overrides(file)
    higher = Rectangle(kept.gate.dimensions, (kept.gate.lower[0] + 0.5,), kept.gate.upper)  # type: ignore[union-attr]
    write_overrides([replace(kept, gate=higher)], file)
    with reviewed(place / "out") as client:
        client.post("open", tube=tube, gate=CD3)
        state = client.post("edit", tube=tube, message={"type": "gate", "path": CD3})["answers"][-1]
        (shown,) = (gate for gate in state["gates"] if gate["active"])
        assert shown["handles"][0]["values"]["x"] == pytest.approx(150 * math.sinh(higher.lower[0]), rel=1e-3)
        save(client, tube, TREG)
    assert read_overrides(file)[0].gate == higher


def test_an_override_by_hand_that_the_run_has_not_is_refused(place: Path) -> None:
    (place / "study" / "overrides.yaml").write_text(
        "overrides:\n- {sample: SLE001_W0, threshold: {CD3: 900}, reason: other, comment: x, reader: ann}\n"
    )
    with pytest.raises(InputError, match="run the study again"), open_review(place / "out"):
        pass


def test_a_run_that_is_made_again_under_an_open_review_is_noticed(place: Path) -> None:
    with reviewed(place / "out") as client:
        tube = next(iter(rows(client, TREG)))
        record = place / "out" / "run.zip"
        record.write_bytes(record.read_bytes() + b"\0")
        assert "run again" in client.error("decide", tube=tube, gate=TREG, decision="accept", comment="")


@pytest.fixture
def killed(place: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "immunolab", "review", str(place / "out"), "--reader", "ann", "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def test_a_kill_loses_nothing_that_was_answered(place: Path, killed: subprocess.Popen[str]) -> None:
    assert killed.stdout is not None
    said = [killed.stdout.readline() for _ in range(3)]
    port, token = re.search(r":(\d+)/\?token=(\S+)", said[1]).groups()  # type: ignore[union-attr]
    client = Client(int(port))
    assert client.enter(token) == 303
    first, second, third, _ = rows(client, TREG)
    save(client, first, TREG, "patient")
    client.post("decide", tube=second, gate=TREG, decision="accept", comment="as it is")
    client.drag(third, TREG)  # not saved: the browser is gone in the middle of it
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not any(word in "".join(said) for word in ("SLE001", "W10", "Elsinore", str(place)))
    with reviewed(place / "out", reader="ann") as again:
        found = rows(again, TREG)
        assert {name for name, one in found.items() if one["overridden"]} >= {first}
        assert (found[second]["decision"], found[second]["comment"]) == ("accept", "as it is")
        assert sum(one["overridden"] for one in found.values()) == 2
        assert again.get("session")["undo"] == "accept Treg"
    assert AuditLog(place / "study").problems() == []


def test_a_kill_between_log_and_file_is_made_good(place: Path) -> None:
    file = place / "study" / "overrides.yaml"
    with reviewed(place / "out") as client:
        first, second = list(rows(client, TREG))[:2]
        save(client, first, TREG)
        before = file.read_bytes()
        save(client, second, TREG)
        after = file.read_bytes()
    file.write_bytes(before)  # as it was when the log had the second and the file had not
    with reviewed(place / "out"):
        assert file.read_bytes() == after


def test_a_tube_that_leaves_takes_its_events_with_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the garbage collector, which comes when it likes: eight tubes of 300,000 events were 400 MB."""
    run = read_run(place / "out")
    monkeypatch.setattr(open_tubes, "MOST_EVENTS", 2000)
    tubes = open_tubes.OpenTubes(run.tube, lambda _: {})
    first, second = (sample.sample_id for sample in run.study.samples[:2])
    gc.disable()
    try:
        events = weakref.ref(tubes.editor(first).scene.tube)
        tubes.receive(first, {"type": "gate", "path": TREG})
        tubes.editor(second)
        assert events() is None
    finally:
        gc.enable()
