"""Two readers of one run: agreement of their final gates and of their decisions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from review_server import finished_run, reviewed

from immunolab.audit.log import AuditLog
from immunolab.cli import main
from immunolab.errors import InputError
from immunolab.gating.evaluate import evaluate
from immunolab.results.record import read_run
from immunolab.review.open_tubes import with_gates
from immunolab.review.readers import closed_reviews
from immunolab.schema.agreement import READERS
from immunolab.workflow.agree_readers import agree_readers

TREG = "/lymphocytes/CD3/CD4/Treg"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that two readers have reviewed: the second moved a gate, and they decided differently on a tube."""
    place = finished_run(tmp_path_factory.mktemp("readers"))
    for reader, by, words in (("Ada", None, "aaarr"), ("Ben", 0.1, "aarra")):
        with reviewed(place / "out", reader=reader, blind=False) as client:
            tubes = sorted(row["tube"] for row in client.get("tubes", gate=TREG))
            for tube, word in zip(tubes, words, strict=False):
                decision = "accept" if word == "a" else "reject"
                client.post("decide", tube=tube, gate=TREG, decision=decision, comment="")
            if by is not None:
                client.drag(tubes[0], TREG, by=by)
                client.post("save", tube=tubes[0], gate=TREG, scope="tube", reason="wrong_population", comment="")
            status, said = client.request("GET", "/api/agreement")
            assert (status, b"not closed" in said) == (400, True)
            client.post("close")
            if by is not None:
                found = client.get("agreement")
                assert found["columns"][0] == "Gate"
                assert [row[0] for row in found["rows"]][-1] == "Treg"
    return place / "out"


def test_gates_of_two_readers_are_compared_event_by_event(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["agree", str(out), "-o", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "% (Treg)" in said.out + said.err
    table = READERS.read(tmp_path / "readers_agreement.csv").set_index("path")
    assert list(table["reader_a"].unique()) == ["Ada"]
    assert table.loc["/lymphocytes/CD3", "cv"] == 0
    assert table.loc["/lymphocytes/CD3", "kappa_events"] == 1
    run = read_run(out)
    ben = closed_reviews(AuditLog(run.study.folder), run)[1]
    (moved,) = [one for change in ben.changes for one in change.moved]
    assert moved.path == TREG
    tube = run.tube(moved.sample_id)
    one = tube.memberships.masks[TREG]
    other = evaluate(with_gates(tube.strategy, ben.gates(moved.sample_id)), tube.tube).masks[TREG]
    rows = run.counts[run.counts["path"] == TREG]
    others = int(rows.loc[rows["sample_id"] != moved.sample_id, "n_events"].sum())
    both, n_a, n_b = (int(np.count_nonzero(mask)) + others for mask in (one & other, one, other))
    assert n_a != n_b
    assert table.loc[TREG, "f1"] == pytest.approx(2 * both / (n_a + n_b))
    a, b = (100 * np.count_nonzero(mask) / tube.mask("CD4").sum() for mask in (one, other))
    cv = 100 * np.sqrt((a - b) ** 2 / (2 * ((a + b) / 2) ** 2) / len(rows))
    assert table.loc[TREG, "cv"] == pytest.approx(cv)
    assert table.loc[TREG, "n_moved"] == 1
    # both accept two, both reject one, two differ: .6 agree, .52 by chance
    assert (table.loc[TREG, "n_decided"], table.loc[TREG, "n_same"]) == (5, 3)
    assert table.loc[TREG, "kappa_decisions"] == pytest.approx(0.08 / 0.48)
    assert (tmp_path / "figures" / "readers_1.pdf").exists()


def test_one_reader_alone_is_refused_in_words(out: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(out.parent, tmp_path / "place"))
    shutil.rmtree(place / "study" / "review")
    with pytest.raises(InputError, match="no review of this run is closed, two are needed"):
        agree_readers(place / "out", tmp_path / "agreement")
