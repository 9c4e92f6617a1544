"""What the console shows and does not: closed outputs, words of files that would steer a terminal."""

import os
import subprocess
import sys

import numpy as np
import pytest
from fcs_builder import write_fcs

from immunolab.cli import main
from immunolab.cli.words import shown

PROGRAM = [sys.executable, "-m", "immunolab"]


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_left_changes_no_exit_code(tmp_path, stream):
    path = write_fcs(tmp_path / "a.fcs", np.ones((3, 2)), ["FL1", "FL2"])
    ways = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: closed_pipe()}
    done = subprocess.run([*PROGRAM, "inspect", str(path)], **ways, text=True, check=False)
    assert done.returncode == 0
    assert not done.stderr


@pytest.mark.parametrize(("words", "code"), [("trials", 0), ("inspect absent.fcs", 1)])
def test_closed_outputs_leave_the_exit_code_of_the_work(tmp_path, words, code):
    shell = f"exec '{sys.executable}' -m immunolab {words} >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], cwd=tmp_path, check=False).returncode == code


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_under_the_output_is_no_success():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "trials"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_no_word_of_a_file_steers_the_terminal(tmp_path, capsys):
    words = {"$CYT": "\x1b]0;owned\x07", "$P1S": "CD4\x1b[2J", "$BYTEORD": "\x1b[31m"}
    path = write_fcs(tmp_path / "a.fcs", np.ones((3, 1)), ["\x9bFL1"], keywords=words)
    assert main(["inspect", str(path)]) == 1
    words.pop("$BYTEORD")
    path = write_fcs(tmp_path / "\x1b[2Jb.fcs", np.ones((3, 1)), ["\x9bFL1"], keywords=words)
    assert main(["inspect", str(path)]) == 0
    assert main(["inspect", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out + err)
    assert "\\u001b[2Jb.fcs" in out


def test_lines_tabs_and_letters_of_every_alphabet_are_shown_as_they_are():
    text = "a\tb\nµ 漢字 🧬"
    assert shown(text) == text


def test_letters_that_an_output_cannot_hold_are_spelled_out(tmp_path):
    path = write_fcs(tmp_path / "a.fcs", np.ones((3, 1)), ["FL1"], keywords={"$P1S": "漢"})
    done = subprocess.run(
        [*PROGRAM, "inspect", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "\\u6f22" in done.stdout
