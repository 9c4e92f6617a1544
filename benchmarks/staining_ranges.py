"""How far constants of the flags `staining` and `at_scatter_end` may move before failures fall silent.

``python benchmarks/staining_ranges.py [--only SET ...] [-o FOLDER]`` gates labelled tubes, as they are and with
missing and exchanged antibodies, signals in another's channel and other gains (``perturbations.py``), once, and flags
them again with one constant at a time halved, doubled, or as far as it goes. A constant that was chosen with these
sets in view holds elsewhere only if any of them could have been left out: where one set alone changes with it, it was
chosen for that set.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from labelled_tube import Labelled, compensated
from perturbations import changes
from perturbed_tubes import TRIALS, outcome_of
from real_set import RealSet
from real_sets import SETS
from real_tubes import _gate, compare, markdown

from immunolab.gating import coexpression as check
from immunolab.gating import plausibility
from immunolab.gating.tubes import GatedTube
from immunolab.vocabulary.coexpression import Coexpression, coexpression

_HEAD = """Each tube alone: as it is, with antibodies missing or exchanged, signals in another's channel, three times
the gain, noise, and populations removed. What changes of silent failures and of right results with a flag.

"""
_KINDS = ("none", "antibody", "reagents", "spillover", "compensated", "gain x3, all", "noise, all", "removed")
Rules = Callable[[Coexpression], Coexpression]


@dataclass(frozen=True)
class Checked:
    """A gated tube of a set, and what is true of it."""

    data: RealSet
    kind: str
    gated: GatedTube
    before: dict[str, int]


def _least(value: float) -> Rules:
    return lambda rules: replace(rules, rise=replace(rules.rise, least=value))


def _most(value: float) -> Rules:
    return lambda rules: replace(rules, independent=replace(rules.independent, most=value))


# name, value in use, others; a module's attribute or a change of the rules
CONSTANTS: tuple[tuple[str, float, tuple[float, ...], tuple[object, str] | Callable[[float], Rules]], ...] = (
    ("together, apart: percent of the cells", 50, (25, 75), (check, "_HALF")),
    ("rise: least rank correlation", 0.1, (0.05, 0.2), _least),
    ("independent: greatest rank correlation", 0.8, (0.4, 0.65, 0.9), _most),
    ("exchanged: chance over even that says nothing", 0.05, (0.025, 0.1), (check, "_EVEN")),
    ("exchanged: fewest comparisons", 2, (1, 3), (check, "_FEWEST_SIGNS")),
    ("at_scatter_end: percent of the events", 50, (25, 75), (plausibility, "_MOST")),
)


def gate_all(name: str) -> Iterator[Checked]:
    """Yield the tubes of a set, as they are and changed, gated alone."""
    data, trial = SETS[name](), TRIALS[name]
    for number in trial.tubes:
        tube = compensated(data.tubes[number])
        start = Labelled(tube, tuple(data.expected[tube.sample_id]), trial.displayed)
        before = {one.population: one.n for one in start.expected}
        for kind, _, change in changes(trial.markers, trial.populations, trial.scatter):
            if not kind.startswith(_KINDS):
                continue
            one = change(start)
            changed = replace(data, tubes=[one.tube], expected={tube.sample_id: list(one.expected)}, shown=())
            gated = _gate(one.tube, changed) if len(one.tube) else ""
            if isinstance(gated, GatedTube):
                yield Checked(changed, kind, gated, before)


def counts(name: str, tubes: list[Checked]) -> dict[str, int]:
    """Return silent failures and flagged right results of tubes that are flagged again."""
    found = {"wrong": 0, "silent": 0, "right": 0, "flagged": 0}
    for one in tubes:
        again = replace(one.gated, memberships=plausibility.checked(one.gated.memberships, one.gated.tube))
        for row in compare(name, "alone", one.data, again.sample_id, again):
            outcome = outcome_of(row, one.before[row["population"]])
            spoken = row["rank"] in ("unusable", "doubtful")
            found["wrong"] += outcome == "wrong"
            found["silent"] += outcome == "wrong" and not spoken
            found["right"] += outcome == "right"
            found["flagged"] += outcome == "right" and spoken
    return found


def sweep(name: str) -> dict[tuple[str, float], dict[str, int]]:
    """Return the counts of a set as used ("", 0), and with each constant at each other value."""
    tubes = list(gate_all(name))
    found = {("", 0.0): counts(name, tubes)}
    for what, _, values, place in CONSTANTS:
        for value in values:
            with _changed(place, value):
                found[what, value] = counts(name, tubes)
    return found


def by_constant(found: dict[str, dict[tuple[str, float], dict[str, int]]]) -> pd.DataFrame:
    """Return a row for each constant and value: what changes, by set.

    Parameters
    ----------
    found
        Set to what `sweep` returns.
    """
    base = {name: rows["", 0.0] for name, rows in found.items()}
    total = {word: sum(one[word] for one in base.values()) for word in ("wrong", "silent", "right", "flagged")}
    words = "{silent} of {wrong} wrong results silent, {flagged} of {right} right ones flagged".format(**total)
    table = [{"constant": "as used", "used": "", "value": "", "changes": words}]
    for what, used, values, _ in CONSTANTS:
        for value in values:
            changed = [
                f"{name} {rows[what, value][word] - base[name][word]:+d} {word}"
                for name, rows in found.items()
                for word in ("silent", "flagged")
                if rows[what, value][word] != base[name][word]
            ]
            table.append(
                {
                    "constant": what,
                    "used": f"{used:g}",
                    "value": f"{value:g}",
                    "changes": ", ".join(changed) or "nothing",
                }
            )
    return pd.DataFrame(table)


class _changed:
    """One constant at another value."""

    def __init__(self, place: tuple[object, str] | Callable[[float], Rules], value: float) -> None:
        if isinstance(place, tuple):
            self.owner, self.name = place
            self.value: object = value
        else:
            self.owner, self.name = check, "coexpression"
            rules = place(value)(coexpression())
            self.value = lambda: rules
        self.used = getattr(self.owner, self.name)

    def __enter__(self) -> None:
        setattr(self.owner, self.name, self.value)

    def __exit__(self, *_: object) -> None:
        setattr(self.owner, self.name, self.used)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    text = markdown(by_constant({name: sweep(name) for name in options.only}))
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "staining_ranges.md").write_text(f"{_HEAD}{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
