"""Examples in docstrings of the public names give what they show, run at the root of the project."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator

import pytest
from builders import REPOSITORY

import immunolab as il

_WITHOUT = {  # these take a run or files of their own: docs/quick_tour.md, the notebooks and CONTRIBUTING.md show them
    "Plan",
    "Run",
    "agree",
    "background_corrected",
    "cluster_abundance",
    "compare_cells",
    "compare_endpoints",
    "compare_expression",
    "contact_sheet",
    "deidentify",
    "export",
    "forest",
    "label",
    "paired_lines",
    "pool",
    "read_acs",
    "read_cells",
    "read_run",
    "read_strategy",
    "run",
    "simulate",
    "threshold_method",
    "to_mudata",
}


def _examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in il.__all__:
        thing = getattr(il, name)
        if not inspect.ismodule(thing):
            yield from finder.find(thing, f"il.{name}", globs={"il": il})
    drawing = getattr(il, "pl", None)
    for name in getattr(drawing, "__all__", ()):
        yield from finder.find(getattr(drawing, name), f"il.pl.{name}", globs={"il": il})
    yield from finder.find(type(il.gate(_tube(), "treg_th17_tfh_teff")), "GatedTube", globs={"il": il})


def _tube() -> object:
    return il.read_fcs(REPOSITORY / "sample_data" / "sle" / "fcs" / "SLE001_W0.fcs")


EXAMPLES = {test.name: test for test in _examples() if test.examples}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_shows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(EXAMPLES[name], out=said.append)
    assert runner.failures == 0, "".join(said)


def test_every_public_name_has_an_example_or_is_shown_elsewhere() -> None:
    shown = {name.split(".")[1] for name in EXAMPLES if name.startswith("il.")}
    functions = {name for name in il.__all__ if not inspect.ismodule(getattr(il, name))}
    assert functions - shown - _WITHOUT == set()
    assert _WITHOUT & shown == set(), "has an example now"
