"""A review through its server: what a reader does comes back, and nothing else gets in."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from review_server import finished_run, reviewed
from test_pipeline import GATES

from immunolab.simulation import Options, simulate
from immunolab.workflow.run import run

TREG = "/lymphocytes/CD3/CD4/Treg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_run(tmp_path_factory.mktemp("review"))


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "place")) / "out"


def test_a_gate_is_moved_saved_taken_back_and_accepted(out: Path) -> None:
    with reviewed(out) as client:
        session = client.get("session")
        assert [gate["name"] for gate in session["gates"]] == ["lymphocytes", "CD3", "CD4", "Treg"]
        tubes = client.get("tubes", gate=TREG)
        drawn = client.get("pictures", gate=TREG)["tubes"]
        assert {one["tube"] for one in drawn} == {one["tube"] for one in tubes}
        tube = tubes[0]["tube"]
        before = tubes[0]["n"]
        after = client.drag(tube, TREG, by=0.1)
        assert next(row["n"] for row in after["rows"] if row["path"] == TREG) < before
        saved = client.post("save", tube=tube, gate=TREG, scope="tube", reason="wrong_population", comment="too low")
        assert saved["changed"] == [{"tube": tube, "gates": [TREG]}]
        assert client.post("undo")["session"]["redo"] == "move Treg"
        assert client.post("redo")["session"]["undo"] == "move Treg"
        client.post("decide", tube=tube, gate=TREG, decision="accept", comment="")
        assert client.get("session")["gates"][-1]["n_decided"] == 1
    with reviewed(out) as client:  # begun again: everything is there, under the same codes
        row = next(one for one in client.get("tubes", gate=TREG) if one["tube"] == tube)
        assert (row["decision"], row["overridden"]) == ("accept", True)
        assert client.post("close")["session"]["study"] == "Hidden name"
        assert "closed" in client.error("undo")


def test_an_fmo_control_is_shown_on_the_axes_of_its_tube_and_other_gates_have_none(tmp_path: Path) -> None:
    simulate(
        "sle_nct02084238",
        patients=1,
        seed=5,
        folder=tmp_path / "study",
        visits=["W0"],
        events=1500,
        options=Options(fmo=True),
    )
    (tmp_path / "study" / "gates.yaml").write_text(GATES)
    (tmp_path / "study" / "study.yaml").write_text(
        "study: stained\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
    )
    run(tmp_path / "study", out=tmp_path / "out", tables_only=True, jobs=1)
    with reviewed(tmp_path / "out") as client:
        (row,) = client.get("tubes", gate=TREG)
        state = client.post("open", tube=row["tube"], gate=TREG)["answers"][-1]
        control = client.get("overlay", tube=row["tube"], gate=TREG)
        assert control["label"].startswith("FMO control without CD25")
        shade = np.frombuffer(base64.b64decode(control["density"]), dtype=np.uint8).reshape(48, 48)
        at = next(h["x"] for gate in state["gates"] if gate["active"] for h in gate["handles"] if "x" in h["along"])
        beyond = int(np.count_nonzero(shade[:, int(48 * at) + 1 :]))
        assert beyond <= 0.05 * np.count_nonzero(shade)  # without the antibody nothing is CD25 positive
        none = client.get("overlay", tube=row["tube"], gate="/lymphocytes")  # an answer: a browser logs each 404
        assert none.keys() == {"none"}
        assert "no control for this gate" in none["none"]


def test_what_is_dragged_and_not_saved_is_apart_from_what_is_saved(out: Path) -> None:
    with reviewed(out) as client:
        own, other = [one["tube"] for one in client.get("tubes", gate=TREG)][:2]
        assert client.post("open", tube=other, gate=TREG)["answers"][-1]["unsaved"] == []
        assert client.drag(own, TREG)["unsaved"] == ["Treg"]
        client.post("discard", tube=own)
        assert client.post("open", tube=own, gate=TREG)["answers"][-1]["unsaved"] == []
        after = client.drag(own, TREG, by=0.1)
        assert client.drag(other, "/lymphocytes/CD3")["unsaved"] == ["CD3"]
        client.post("save", tube=own, gate=TREG, scope="all", reason="wrong_population", comment="")
        assert client.post("open", tube=own, gate=TREG)["answers"][-1]["unsaved"] == []
        assert client.post("open", tube=other, gate=TREG)["answers"][-1]["unsaved"] == ["CD3"]
        rows = {one["tube"]: one for one in client.get("tubes", gate=TREG)}
        percent = next(row["percent"] for row in after["rows"] if row["path"] == TREG)
        assert rows[own]["percent"] == pytest.approx(percent, abs=1e-4)
        client.post("undo")
        for tube, unsaved in ((own, []), (other, ["CD3"])):
            assert client.post("open", tube=tube, gate=TREG)["answers"][-1]["unsaved"] == unsaved


def test_tubes_that_are_accepted_at_once_are_taken_back_at_once(out: Path) -> None:
    with reviewed(out) as client:
        tubes = [one["tube"] for one in client.get("tubes", gate=TREG)]
        client.post("decide", tube=tubes[0], gate=TREG, decision="reject", comment="too few")
        answer = client.post("decide_all", tubes=tubes, gate=TREG, decision="accept")
        assert answer["session"]["undo"] == f"accept Treg in {len(tubes)} tubes"
        assert "no such tube" in client.error("decide_all", tubes=["T99"], gate=TREG, decision="accept")
    with reviewed(out) as client:  # begun again
        said = {one["tube"]: (one["decision"], one["comment"]) for one in client.get("tubes", gate=TREG)}
        assert said == {tube: ("accept", "too few" if tube == tubes[0] else "") for tube in tubes}
        client.post("undo")
        said = {one["tube"]: one["decision"] for one in client.get("tubes", gate=TREG)}
        assert said == {tube: "reject" if tube == tubes[0] else "undecided" for tube in tubes}
        client.post("decide", tube=tubes[0], gate=TREG, decision="undecided", comment="")
        assert client.get("tubes", gate=TREG)[0]["decision"] == "undecided"
    entries = [json.loads(line) for line in (out.parent / "study/review/audit.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in entries].count("decision") == len(tubes) + 2


def test_the_densest_bin_has_the_darkest_shade(out: Path) -> None:
    with reviewed(out) as client:
        for gate in client.get("session")["gates"]:
            for one in client.get("pictures", gate=gate["path"])["tubes"]:
                assert max(base64.b64decode(one["density"])) == 255
