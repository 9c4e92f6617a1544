"""Two gatings of the same tubes: how far they agree, as tables, figures and one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from immunolab.comparison.gating_agreement import gating_agreement
from immunolab.errors import InputError, Problem
from immunolab.plots.bland_altman import PANELS, agreement_overview, bland_altman_page
from immunolab.plots.figure_files import png, save
from immunolab.plots.numbers import number
from immunolab.plots.two_gates import is_drawn, two_gates
from immunolab.progress import progress
from immunolab.report.agree_page import PagePicture, agree_page, in_words
from immunolab.results.run import Run
from immunolab.schema.agreement import GATING_AGREEMENT, GATING_PAIRS, UNMATCHED
from immunolab.schema.files import write_atomically
from immunolab.vocabulary.display_names import display_name
from immunolab.vocabulary.panel import read_panel
from immunolab.workflow.agree_pairs import alone_reason, paired_tubes, same_problems
from immunolab.workflow.agree_sides import Side, files_side, read_side
from immunolab.workflow.agree_tube import TubeAgreement, TubePair, compare_tube, gated_pair

PAGE = "agreement.html"
_PICTURES = 12  # tubes drawn: what is looked at in a few minutes (judgement)
_OF_ONE = 2  # pictures of one population at most, so that one bad gate does not hide the next
_LEAST = 50  # events in either gating from which a picture shows more than chance; the limit of quantification


@dataclass(frozen=True, eq=False, repr=False)
class GatingAgreement:
    """How far two gatings agree.

    Attributes
    ----------
    words
        What the gatings are called.
    populations, tubes, unmatched
        Rows of `GATING_AGREEMENT`, `GATING_PAIRS` and `UNMATCHED`.
    page
        The page that was written; None where no folder was named.
    """

    words: tuple[str, str]
    populations: pd.DataFrame
    tubes: pd.DataFrame
    unmatched: pd.DataFrame
    page: Path | None = None

    def __repr__(self) -> str:
        return in_words(self.populations, self.words, int(self.tubes["sample_id"].nunique()))

    def _repr_html_(self) -> str:
        table = self.populations[["population", "n_tubes", "bias", "ratio", "concordance", "cv", "f1", "kappa"]]
        return f"<p>{escape(repr(self))}</p>{table.to_html(index=False, float_format=number, na_rep='')}"


@dataclass(frozen=True)
class _Compared:
    """Sides, tubes and what was found."""

    a: Side
    b: Side
    events: Side
    pairs: tuple[TubePair, ...]
    found: dict[str, TubeAgreement] = field(default_factory=dict)


def agree(
    a: Run | Path | str,
    b: Run | Path | str,
    *,
    out: Path | str | None = None,
    files: Sequence[Path | str] = (),
    panel: Path | str | None = None,
    same: Mapping[str, str] | None = None,
    words: tuple[str, str] | None = None,
) -> GatingAgreement:
    """Compare two gatings of the same tubes.

    Parameters
    ----------
    a, b
        Each a run or its folder, a FlowJo workspace, Gating-ML, a strategy (YAML or the name of a shipped one), a
        folder that `immunolab gate` wrote, or counts of another program (CSV).
    out
        Folder for tables, figures and page; None writes nothing.
    files
        FCS files, where neither side is a run.
    panel
        Channels and markers, for files without marker names.
    same
        Population of the first -> population of the second, by name or path, for those that are named otherwise.
    words
        What the gatings are called; by default the names of their files.

    Returns
    -------
    GatingAgreement
        Tables, and the page that was written.

    Raises
    ------
    InputError
        A side cannot be read, the two have no tube or no population in common, or a word of ``same`` means none, or
        several.
    """
    sides = _sides(a, b, words)
    given = _files(files, panel)
    first, second, pairs = paired_tubes(*sides, given)
    compared = _Compared(first, second, given, pairs)
    names = sides[0].word, sides[1].word
    same = dict(same or {})
    for pair in progress(iter(compared.pairs), len(compared.pairs), "comparing"):
        compared.found[pair.name] = compare_tube(compared.a, compared.b, compared.events, pair, same)
    problems = list(same_problems(same, list(compared.found.values()), names))
    if problems:
        raise InputError(problems)
    tubes = GATING_PAIRS.frame([row for one in compared.found.values() for row in one.rows])
    populations = gating_agreement(tubes)
    unmatched = UNMATCHED.frame(list(_unmatched(compared)))
    if tubes.empty:
        raise InputError(_nothing(compared, names))
    found = GatingAgreement(names, populations, tubes, unmatched)
    return found if out is None else _write(found, compared, Path(out))


def _sides(a: Run | Path | str, b: Run | Path | str, words: tuple[str, str] | None) -> tuple[Side, Side]:
    problems: list[Problem] = []
    sides: list[Side] = []
    for place, source in enumerate((a, b)):
        try:
            sides.append(read_side(source, words[place] if words else ""))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    if sides[0].word == sides[1].word:
        sides = [replace(side, word=f"{side.word} ({letter})") for side, letter in zip(sides, "AB", strict=True)]
    return sides[0], sides[1]


def _files(files: Sequence[Path | str], panel: Path | str | None) -> Side:
    paths = [Path(file) for file in files]
    stems = [path.stem for path in paths]
    absent = [path for path in paths if not path.is_file()]
    problems = [Problem(str(path), "", "the file does not exist", "check the path") for path in absent]
    problems += [
        Problem(str(path), "", f"several files have the stem '{path.stem}'", "compare them one by one")
        for path in paths
        if stems.count(path.stem) > 1
    ]
    if problems:
        raise InputError(problems)
    return files_side(dict(zip(stems, paths, strict=True)), read_panel(panel) if panel else None)


def _unmatched(compared: _Compared) -> Iterator[dict[str, object]]:
    """Yield rows of `UNMATCHED`."""
    for letter, side in zip("ab", (compared.a, compared.b), strict=True):
        other = compared.b if letter == "a" else compared.a
        seen = {getattr(pair, letter).sample_id for pair in compared.pairs}
        for tube in side.tubes or ():
            if tube.sample_id not in seen:
                reason = alone_reason(tube, side, other, compared.events)
                yield {"what": "tube", "name": tube.sample_id, "side": letter, "reason": reason}
    for name, one in compared.found.items():
        if one.unread:
            counted = "compared by counts only" if one.rows else "not compared"
            yield {"what": "events", "name": name, "reason": f"{counted}: {one.unread}"}
    for letter, side in zip("ab", (compared.a, compared.b), strict=True):
        only: dict[str, int] = {}
        for one in compared.found.values():
            for path in getattr(one, f"only_{letter}"):
                only[path] = only.get(path, 0) + 1
        for path, n in only.items():
            yield {
                "what": "population",
                "name": path,
                "side": letter,
                "reason": f"only {side.word} has it, in {n} tubes",
            }


def _nothing(compared: _Compared, names: tuple[str, str]) -> list[Problem]:
    """Return why nothing can be compared."""
    if not compared.pairs:
        examples = [", ".join(t.sample_id for t in (side.tubes or ())[:3]) for side in (compared.a, compared.b)]
        text = f"{names[0]} and {names[1]} have no tube in common (first: {examples[0]}; second: {examples[1]})"
        return [Problem("", "tubes", text, "both must be gatings of the same FCS files")]
    first = next((one for one in compared.found.values() if one.only_a or one.only_b), None)
    if first is None:
        return [Problem("", name, one.unread) for name, one in compared.found.items() if one.unread]
    shown = "; second: ".join(", ".join(paths[:5]) for paths in (first.only_a, first.only_b))
    text = f"no population has the same path or name (first: {shown})"
    return [Problem("", "populations", text, "say which are the same: --same 'CD4+=CD4'")]


def _write(found: GatingAgreement, compared: _Compared, out: Path) -> GatingAgreement:
    """Write tables, figures and page."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(str(out), "", f"cannot be made: {error.strerror}", "name another folder")) from None
    for table, rows in (
        (GATING_AGREEMENT, found.populations),
        (GATING_PAIRS, found.tubes),
        (UNMATCHED, found.unmatched),
    ):
        table.write(rows, out / f"{table.name}.csv")
    names = f"{found.words[0]} and {found.words[1]}"
    differ = found.populations[~are_equal(found.tubes, found.populations)]
    overview = []
    if len(differ):
        alt = f"Ratio, concordance and F1 of {names}, of the {len(differ)} populations that differ in any tube"
        overview.append(_kept(agreement_overview(differ, found.words), out, "overview", alt))
    differences = []
    for page, start in enumerate(range(0, len(differ), PANELS), 1):
        rows = differ.iloc[start : start + PANELS]
        shown = ", ".join(display_name(str(name)) for name in rows["population"])
        alt = f"Difference of each tube against the mean of both gatings, with bias and limits of agreement: {shown}"
        differences.append(_kept(bland_altman_page(found.tubes, rows, found.words), out, f"bland_altman_{page}", alt))
    worst = list(_worst_pictures(found, compared, out))
    text = agree_page(
        found.populations,
        found.unmatched,
        found.words,
        n_tubes=int(found.tubes["sample_id"].nunique()),
        overview=overview,
        differences=differences,
        worst=worst,
    )
    write_atomically(out / PAGE, lambda part: part.write_text(text, encoding="utf-8"))
    return GatingAgreement(found.words, found.populations, found.tubes, found.unmatched, out / PAGE)


def _kept(drawn: object, out: Path, name: str, alt: str, caption: str = "") -> PagePicture:
    """Write a figure as PNG and PDF and return its picture for the page."""
    for suffix in (".png", ".pdf"):
        save(drawn, out / "figures" / f"{name}{suffix}")  # type: ignore[arg-type]
    return PagePicture(png(drawn), alt, caption or f"{alt}. figures/{name}.pdf")  # type: ignore[arg-type]


def are_equal(tubes: pd.DataFrame, populations: pd.DataFrame) -> pd.Series:
    """Return which populations have the same percents in all tubes, and the same events where these were read.

    Parameters
    ----------
    tubes
        Rows of `GATING_PAIRS`.
    populations
        Rows of `GATING_AGREEMENT`.
    """
    apart = tubes["difference"].astype(float).fillna(0.0).abs() + (1.0 - tubes["f1"].astype(float).fillna(1.0))
    most = apart.groupby([tubes["path_a"], tubes["path_b"]]).max()
    keys = pd.MultiIndex.from_frame(populations[["path_a", "path_b"]])
    return pd.Series(most.reindex(keys).to_numpy() == 0.0, index=populations.index)


def worst_rows(tubes: pd.DataFrame) -> pd.DataFrame:
    """Return the tubes and populations in which gates themselves differ most, worst first.

    A gate is judged by the events that both gatings have in its parent, so that a population is not named for a gate
    above it. Events are ranked by how many of those in either gating are in one only.

    Parameters
    ----------
    tubes
        Rows of `GATING_PAIRS`.
    """
    known = tubes[tubes["n_both"].notna()].copy()
    either = (known["n_a_shared"] + known["n_b_shared"] - known["n_both"]).astype(float)
    known["apart"] = np.where(either >= _LEAST, 1.0 - known["n_both"].astype(float) / either.clip(lower=1), 0.0)
    return known[known["apart"] > 0].sort_values("apart", ascending=False, kind="stable")


def _worst_pictures(found: GatingAgreement, compared: _Compared, out: Path) -> Iterator[PagePicture]:
    """Yield pictures of the worst gates; combined gates follow from others, and a population has two at most."""
    pairs = {pair.name: pair for pair in compared.pairs}
    drawn: Counter[tuple[str, str]] = Counter()
    combined: set[tuple[str, str]] = set()
    for row in worst_rows(found.tubes).to_dict("records"):
        paths = str(row["path_a"]), str(row["path_b"])
        if drawn[paths] >= _OF_ONE or paths in combined:
            continue
        gated = gated_pair(compared.a, compared.b, compared.events, pairs[str(row["sample_id"])])
        if isinstance(gated, str):
            continue
        if not any(is_drawn(one, path) for one, path in zip(gated, paths, strict=True)):
            combined.add(paths)
            continue
        drawn[paths] += 1
        place = drawn.total()
        population = display_name(str(row["population"]))
        caption = (
            f"{row['sample_id']}, {population}: of the events in either gate and in both parents, "
            f"{number(100 * row['apart'])} % are in one only; F1 over the tube {number(float(row['f1']))}. "
            f"figures/worst_{place}.pdf"
        )
        alt = f"Both gates of {population} in {row['sample_id']}"
        yield _kept(two_gates(*gated, *paths, found.words), out, f"worst_{place}", alt, caption)
        if place == _PICTURES:
            return
