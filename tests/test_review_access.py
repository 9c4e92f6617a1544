"""Who gets into a review, and that nothing says whose tube it is before the review is closed."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from review_server import Client, reviewed
from test_pipeline import GATES

from immunolab.review.blinding import Blinding
from immunolab.review.serve import masked_console
from immunolab.simulation import simulate
from immunolab.study.sheet import read_study
from immunolab.workflow.run import run

TREG = "/lymphocytes/CD3/CD4/Treg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose sheet has names of every kind, and its run; one tube is gone since."""
    place = tmp_path_factory.mktemp("blind")
    folder = place / "Trial-Zwolle"
    simulate("sle_nct02084238", patients=3, seed=5, folder=folder, visits=["W0", "W10"], events=800)
    (folder / "gates.yaml").write_text(GATES)
    sheet = pd.read_csv(folder / "samples.csv")
    patients = sheet["patient_id"].map(dict(zip(sheet["patient_id"].unique(), ["Hamlet", "Ophelia", "7"], strict=True)))
    sheet["date"] = [f"2024-03-0{i + 1}" for i in range(len(sheet))]
    sheet["cohort"] = patients.map({"Hamlet": "placebo", "Ophelia": "verum", "7": "verum"})
    sheet["batch"] = "Elsinore"
    sheet["nurse"] = "Rosencrantz"
    files = [f"fcs/{patient}_{visit}_raw.fcs" for patient, visit in zip(patients, sheet["visit"], strict=True)]
    for before, after in zip(sheet["file"], files, strict=True):
        (folder / before).rename(folder / after)
    sheet["file"], sheet["patient_id"] = files, patients
    sheet["sample_id"] = [f"{patient}-{visit}" for patient, visit in zip(patients, sheet["visit"], strict=True)]
    sheet = sheet.drop(columns=["study_day"])
    sheet.to_csv(folder / "samples.csv", index=False)
    (folder / "study.yaml").write_text(
        "study: Denmark\nsheet: samples.csv\npanels: {surface: {strategy: gates.yaml}}\n"
        "comparison: {before: W0, after: W10}\n"
    )
    run(folder, out=place / "out", tables_only=True, jobs=1)
    return place


@pytest.fixture(scope="module")
def client(made: Path) -> Iterator[Client]:
    with reviewed(made / "out", reader="open") as client:
        yield client


def identifiers(folder: Path) -> set[str]:
    """Return every word of the sheet that says whose tube it is."""
    sheet = pd.read_csv(folder / "samples.csv", dtype=str)
    columns = ["sample_id", "patient_id", "visit", "file", "cohort", "batch", "nurse", "date", "panel"]
    found = {value for column in columns for value in sheet[column].dropna()}
    found |= {Path(file).name for file in sheet["file"]} | {Path(file).stem for file in sheet["file"]}
    days = {date.fromisoformat(day).strftime(form) for day in sheet["date"] for form in ("%d-%b-%Y", "%d.%m.%Y")}
    return found | days | {"Denmark", str(folder), folder.name}


def found_in(text: str, words: set[str]) -> set[str]:
    bare = re.sub(r'"(density|shades)": ?"[^"]*"', "", text)  # pictures are base64: no words
    bare = re.sub(r"-?\d+\.\d+(e-?\d+)?|(?<=[ :\[,])\d+(?=[,\]} ])", "", bare)  # numbers of the picture
    return {word for word in words if re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", bare, re.IGNORECASE)}


def test_no_answer_before_closing_names_anything_of_a_tube(made: Path) -> None:
    words = identifiers(made / "Trial-Zwolle")
    with reviewed(made / "out", reader="first") as client:
        gates = client.get("session")["gates"]
        for gate in gates:
            tubes = client.get("tubes", gate=gate["path"])
            client.get("pictures", gate=gate["path"])
        for row in tubes:
            client.drag(row["tube"], TREG)
        tube = tubes[0]["tube"]
        client.post("save", tube=tube, gate=TREG, scope="all", reason="other", comment="left of the valley")
        client.post("decide", tube=tube, gate=TREG, decision="reject", comment="")
        client.post("undo")
        client.post("decide_all", tubes=[row["tube"] for row in tubes], gate=TREG, decision="accept")
        client.post("discard", tube=tube)
        for path in ("/", "/static/app.js", "/static/editor.css", "/nothing", "/api/overlay?tube=T1&gate=/CD3"):
            client.request("GET", path)
        status, _ = client.request("GET", "/api/agreement")
        assert status >= 400
        for word in words:  # asked by name: the answer is no, and does not say whether there is such a tube
            client.error("open", tube=word, gate=TREG)
            client.request("GET", f"/api/tubes?gate=/{word.replace(' ', '+').replace('/', '%2F')}")
        assert found_in("\n".join(client.captured), words) == set()
        client.post("close")
        client.get("tubes", gate=TREG)
        assert {"Hamlet-W0", "Ophelia-W10", "placebo"} <= found_in(client.captured[-1], words)


def test_an_error_of_a_tube_that_cannot_be_read_names_its_code(made: Path) -> None:
    lost = made / "Trial-Zwolle" / "fcs" / "Ophelia_W0_raw.fcs"
    content = lost.read_bytes()
    with reviewed(made / "out", reader="second") as client:
        lost.unlink()
        try:
            rows = client.get("tubes", gate=TREG)
            answers = [client.request("POST", "/api/open", {"tube": row["tube"], "gate": TREG}) for row in rows]
        finally:
            lost.write_bytes(content)
    refused = [
        (row["tube"], json.loads(text)["error"])
        for row, (status, text) in zip(rows, answers, strict=True)
        if status != 200
    ]
    assert len(refused) == 1
    tube, words = refused[0]
    assert tube in words
    assert found_in(words, identifiers(made / "Trial-Zwolle")) == set()


def test_codes_and_order_are_the_seed_s(made: Path) -> None:
    study = read_study(made / "Trial-Zwolle")
    first, again, other = (Blinding(study, study.samples, {"CD4", "BV421-A"}, seed, blind=True) for seed in (1, 1, 2))
    assert first.tubes == again.tubes
    assert first.tubes != other.tubes
    assert (
        first.text("CD4 of Hamlet-W0 at W0 on 02-MAR-2024, BV421-A")
        == f"CD4 of {first.tube('Hamlet-W0')} at … on …, BV421-A"
    )


def test_a_patient_whose_name_is_a_number_is_masked_in_messages_and_counts_stay(made: Path) -> None:
    study = read_study(made / "Trial-Zwolle")
    blinding = Blinding(study, study.samples, {"CD4"}, 1, blind=True)
    assert "7" not in blinding.text("patient 7 has no tube").split()
    assert (
        blinding.outgoing(["5.7 times the others, in 7 of 9 tubes", "7"])[0] == "5.7 times the others, in 7 of 9 tubes"
    )
    assert blinding.outgoing(["7"]) != ["7"]


def test_what_is_logged_while_a_review_is_blind_names_nobody(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = read_study(made / "Trial-Zwolle")
    blinding = Blinding(study, study.samples, set(), 1, blind=True)
    handler = logging.StreamHandler(sys.stderr)
    log = logging.getLogger("immunolab")
    log.addHandler(handler)
    try:
        with masked_console(blinding):
            log.warning("%s was read twice", "Hamlet_W0_raw.fcs")
            warnings.warn("Ophelia-W10 has no date", stacklevel=1)
    finally:
        log.removeHandler(handler)
    said = capsys.readouterr().err
    assert f"{blinding.tube('Hamlet-W0')} was read twice" in said
    assert found_in(said, identifiers(made / "Trial-Zwolle")) == set()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("GET", "/api/session", {"Cookie": ""}, None, 401),
        ("GET", "/api/session", {"Cookie": "immunolab_review_1=x"}, None, 401),
        ("GET", "/", {"Cookie": ""}, None, 401),
        ("GET", "/?token=wrong", {}, None, 403),
        ("GET", "/?token=", {}, None, 403),
        ("GET", "/api/session", {"Host": "review.example:80"}, None, 421),
        ("GET", "/api/session", {"Host": "127.0.0.1"}, None, 421),
        ("GET", "/api/session", {"Origin": "http://127.0.0.1:1"}, None, 403),
        ("GET", "/api/session", {"Sec-Fetch-Site": "cross-site"}, None, 403),
        ("POST", "/api/close", {"Origin": "http://evil.example"}, b"{}", 403),
        ("POST", "/api/close", {"Origin": "null"}, b"{}", 403),
        ("POST", "/api/close", {"Content-Type": "text/plain"}, b"{}", 415),
        ("POST", "/api/decide", {}, b"[" * 100_000, 400),
        ("POST", "/api/decide", {}, b'{"tube": NaN}', 400),
        ("POST", "/api/decide", {}, b"\xff\xfe", 400),
        ("POST", "/api/decide", {}, b'{"tube": "T1", "gate": 3, "decision": "accept", "comment": ""}', 400),
        ("POST", "/api/decide", {}, b'{"tube": "' + b"x" * 300_000 + b'"}', 413),
        ("POST", "/api/open", {}, b'{"tube": "../../etc", "gate": "/lymphocytes"}', 400),
        ("POST", "/api/session", {}, b"{}", 405),
        ("GET", "/api/close", {}, None, 405),
        ("GET", "/static/../server.py", {}, None, 404),
        ("GET", "/static/%2e%2e%2fserver.py", {}, None, 404),
        ("GET", "/static/..%2f..%2fversion.py", {}, None, 404),
        ("GET", "/static//etc/passwd", {}, None, 404),
        ("GET", "/static/app.html", {}, None, 404),
        ("GET", "/samples/Hamlet-W0/views.npz", {}, None, 404),
    ],
)  # fmt: skip
def test_what_is_not_of_the_page_is_refused(client, method, path, headers, body, status) -> None:  # type: ignore[no-untyped-def]
    found, _ = client.request(method, path, body, **{name.replace("-", "_"): value for name, value in headers.items()})
    assert found == status
    assert not client.get("session")["closed"]


def test_every_answer_forbids_frames_caches_and_other_sources(client: Client) -> None:
    for path in ("/", "/api/session", "/static/app.js", "/nothing"):
        client.request("GET", path)
        heads = {name.lower(): value for name, value in client.last.getheaders()}
        assert heads["cache-control"] == "no-store"
        assert heads["x-frame-options"] == "DENY"
        assert heads["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in heads["content-security-policy"]
        assert not {"date", "server", "last-modified", "etag", "access-control-allow-origin"} & heads.keys()


def test_a_request_that_is_larger_than_it_says_is_cut_off(client: Client) -> None:
    """Sent in chunks without a length: counted while it comes."""
    head = f"POST /api/undo HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nOrigin: http://127.0.0.1:{client.port}\r\n"
    head += f"Cookie: {client.cookie}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as line:
        line.sendall(head.encode())
        try:
            for _ in range(20):
                line.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
        except OSError:
            pass  # the server has hung up
        assert b" 413 " in line.recv(4096)


def test_a_websocket_is_refused(client: Client) -> None:
    head = f"GET /api/session HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nCookie: {client.cookie}\r\n"
    head += "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    head += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YWJjZGVmZ2hpamtsbW5vcA==\r\n\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as line:
        line.sendall(head.encode())
        assert b" 101 " not in line.recv(4096).splitlines()[0]


def test_a_link_opens_once(client: Client) -> None:
    status, words = client.request("GET", f"/?token={client.used}")
    assert status == 403
    assert b"used before" in words
