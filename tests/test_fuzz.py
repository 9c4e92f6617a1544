"""Damaged files of every kind: each is read or refused in words, in time; the long run is benchmarks/fuzz.py."""

import pytest
from mutant_kinds import KINDS
from mutants import Kind, mutant, try_mutants

from immunolab.errors import DataFileError

# mutants of a kind: a second or two of each; the first of those that benchmarks/fuzz.py makes
N, OF_SLOW_KINDS = 40, {"FlowJo 9 and 10": 8, "h5ad": 12, "compare": 12, "strategy": 20, "study.yaml": 20}


@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_are_read_or_refused(name):
    n = OF_SLOW_KINDS.get(name, N)
    tries = try_mutants(KINDS[name], n)
    assert tries.n == tries.read + tries.refused == n, dict(tries.examples)


@pytest.mark.parametrize("name", KINDS)
def test_the_sound_examples_are_read_and_nothing_is_lost(name, tmp_path):
    kind = KINDS[name]
    path = tmp_path / f"sound{kind.suffix}"
    for raw in kind.sound():
        path.write_bytes(raw)
        assert kind.lost(raw, kind.read(path)) == ""


def test_mutants_are_the_same_in_every_run_and_differ_from_what_they_were_made_of():
    kind = KINDS["strategy"]
    made = [mutant(kind, seed) for seed in range(20)]
    assert made == [mutant(kind, seed) for seed in range(20)]
    assert len(set(made) - set(kind.sound())) > 15


def reads(fault):
    def read(path):
        fault(path)

    return Kind(".txt", lambda: [b"a,b\n"], lambda rng, raw: raw, read)


def forever(path):
    while True:
        pass


@pytest.mark.parametrize(
    ("fault", "called"),
    [
        (lambda path: 1 / 0, "ZeroDivisionError in ?"),
        (lambda path: (_ for _ in ()).throw(DataFileError("")), "refused without a word"),
        (forever, "took too long"),
    ],
    ids=["foreign", "wordless", "endless"],
)
def test_what_no_reader_may_do_is_found(fault, called, monkeypatch):
    monkeypatch.setattr("mutants.SECONDS", 0.05)
    assert dict(try_mutants(reads(fault), 2).failures) == {called: 2}
