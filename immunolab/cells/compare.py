"""Labelled cells of several patients and visits compared: shares and scores of populations, genes within one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.cells.population_tree import parents_of
from immunolab.cells.pseudobulk import FEWEST_CELLS, pseudobulk, response_by_sample
from immunolab.comparison.expression import expression_change, why_untested
from immunolab.comparison.plan import Adjust, Plan
from immunolab.comparison.table import Comparison, compare_endpoints
from immunolab.errors import InputError, Problem, nearest
from immunolab.events.cells import check_anndata, has_genes, is_cell_data
from immunolab.loaders.single_cell import interpret_cells
from immunolab.schema.cells import EXPRESSION, PSEUDOBULK
from immunolab.schema.endpoints import BY_SCORE, SCORE
from immunolab.schema.flags import Flag
from immunolab.vocabulary.signatures import signature

if TYPE_CHECKING:
    from anndata import AnnData

_WHOLE = "all cells"  # parent of labels that a column of obs gives
_TOP_GENES = 10  # of a table in a notebook


@dataclass(frozen=True)
class Expression:
    """The genes of a subset at two visits.

    Attributes
    ----------
    population
        The subset.
    table
        Rows of the table ``expression_*``, the most certain genes first.
    counts
        Rows of the table ``pseudobulk_*``: what was compared.
    left_out
        Patient and visit -> cells, where they are too few.
    notes
        Why nothing or not everything was tested, in words.
    """

    population: str
    table: pd.DataFrame
    counts: pd.DataFrame
    left_out: Mapping[str, int]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """Return what was compared and how many genes changed, as lines for a terminal."""
        return "\n".join([*self._lines(), *(f"note: {note}" for note in self.notes)])

    def write(self, path: Path | str) -> tuple[Path, Path]:
        """Write the table, and beside it the summed counts as STEM_counts.csv; returns both paths.

        Parameters
        ----------
        path
            Of the table's CSV.
        """
        table = Path(path)
        counts = table.with_name(f"{table.stem}_counts.csv")
        EXPRESSION.write(self.table, table)
        PSEUDOBULK.write(self.counts, counts)
        return table, counts

    def __repr__(self) -> str:
        return "; ".join(self._lines())

    def _repr_html_(self) -> str:
        shown = self.table[["gene", "log2_fold", "ci_low", "ci_high", "p_value", "q_value"]].head(_TOP_GENES)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return f"<p>{escape(repr(self))}</p>{shown.to_html(index=False, float_format='{:.3g}'.format)}{notes}"

    def _lines(self) -> Iterator[str]:
        for cohort in dict.fromkeys(self.table["cohort"].fillna("")):
            own = self.table[self.table["cohort"].fillna("") == cohort]
            tested, found = own["p_value"].notna(), own["q_value"] < 0.05
            up, down = int((found & (own["log2_fold"] > 0)).sum()), int((found & (own["log2_fold"] < 0)).sum())
            name = f"{self.population}{f', {cohort}' if cohort else ''}"
            yield (
                f"{name}: {own['contrast'].iloc[0]}, {own['n_pairs'].iloc[0]} pairs, "
                f"{int(tested.sum()):,} of {len(own):,} genes tested, q < 0.05: {up} up, {down} down"
            )


def compare_expression(
    cells: AnnData,
    population: str,
    *,
    patient: str,
    visit: str,
    before: str,
    after: str,
    labels: str = "",
    arm: str = "",
    batch: str = "",
) -> Expression:
    """Compare the genes of a subset between two visits, within patients.

    The cells of a patient's visit are added up first, so that n is patients (Squair et al. 2021, Nat Commun 12:5692).

    Parameters
    ----------
    cells
        Cells with raw counts, labelled by `immunolab.label`, or with a column of labels.
    population
        The subset: a population of ``obsm["populations"]``, or a value of ``labels``.
    patient, visit
        Columns of ``obs``.
    before, after
        Visits.
    labels
        Column of ``obs`` with the user's own labels; "" takes what `immunolab.label` wrote.
    arm, batch
        Columns of ``obs``: each arm is compared by itself, and changes are adjusted for batch. A batch that coincides
        with the visit leaves every gene untested.

    Returns
    -------
    Expression
        Its ``table`` has a row a gene; ``il.pl.volcano`` draws it.

    Raises
    ------
    InputError
        Columns, visits or a population that are not there, cells without a patient or a visit, a visit of a patient in
        two arms or batches, or no raw counts.
    """
    data = _prepared(cells)
    samples, of_cell = _samples(data, patient, visit, before, after, arm, batch)
    data.obs["sample_id"] = pd.Categorical(of_cell)
    members = _members(data, population, labels)
    used = set(samples.loc[samples["visit"].isin((before, after)), "sample_id"])
    bulk = pseudobulk(data, members & np.isin(of_cell, list(used)))
    counts = bulk.counts.T
    table = expression_change(counts, samples, before=before, after=after)
    left_out = {name: n for name, n in bulk.left_out.items() if name in used}
    return Expression(population, table, counts_table(counts), left_out, tuple(_notes(table, left_out)))


def counts_table(counts: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `PSEUDOBULK` of genes x samples, without genes that have no count."""
    some = counts[counts.any(axis=1)]
    frame = some.rename(columns=lambda name: f"count_{name}")
    frame.insert(0, "gene", some.index)
    return PSEUDOBULK.check(frame.reset_index(drop=True))


def counts_of_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return genes x samples of rows of `PSEUDOBULK`."""
    counts = table.set_index("gene")
    return counts.rename(columns=lambda name: str(name).removeprefix("count_"))


def _notes(table: pd.DataFrame, left_out: Mapping[str, int]) -> Iterator[str]:
    if left_out:
        named = ", ".join(f"{name} ({n})" for name, n in left_out.items())
        yield f"fewer than {FEWEST_CELLS} cells, left out: {named}"
    if table.empty:
        yield f"not tested: {why_untested(table)}"
    for cohort in dict.fromkeys(table["cohort"].fillna("")):
        reason = why_untested(table[table["cohort"].fillna("") == cohort])
        if reason:
            yield f"{f'{cohort}: ' if cohort else ''}not tested: {reason}"


def compare_cells(
    cells: AnnData,
    *,
    patient: str,
    visit: str,
    before: str,
    after: str,
    labels: str = "",
    arm: str = "",
    batch: str = "",
    scores: Mapping[str, Sequence[str] | str] | None = None,
    adjust: Adjust = "bh",
    seed: int = 0,
) -> Comparison:
    """Compare shares and scores of populations between two visits, within patients, as flow is compared.

    Parameters
    ----------
    cells
        Labelled by `immunolab.label`, or with a column of labels.
    patient, visit, before, after, labels, arm, batch
        See `compare_expression`. With ``labels`` every share is of all cells of the patient's visit.
    scores
        Population -> names of signatures of the vocabulary (``IFN_response``), scored in its cells.
    adjust, seed
        See `immunolab.compare`.

    Returns
    -------
    Comparison
        Pairs, shifts and visits, counts analysed as counts; ``il.pl.paired`` and ``il.pl.forest`` draw it.

    Raises
    ------
    InputError
        As `compare_expression`, or an unknown signature, or scores of cells without genes.
    ComparisonError
        A visit that is not there.
    """
    data = _prepared(cells)
    samples, of_cell = _samples(data, patient, visit, before, after, arm, batch)
    data.obs["sample_id"] = pd.Categorical(of_cell)
    rows = [*_shares(data, of_cell, labels), *_scores(data, labels, scores or {})]
    table = pd.DataFrame(rows).merge(
        samples.rename(columns={"arm": "cohort"}), on="sample_id", how="left", validate="many_to_one"
    )
    batches = {s: b for s, b in zip(samples["sample_id"], samples["batch"], strict=True) if b}
    plan = Plan(before, after, adjust=adjust, seed=seed, batch=batches if len(set(batches.values())) > 1 else {})
    return compare_endpoints(table, plan, where="cells", arm_rows=True)


def _prepared(cells: AnnData) -> AnnData:
    """Return cells under the storage contract that may be written to, with the populations that were found."""
    check_anndata(cells)
    data = cells.copy() if is_cell_data(cells) else interpret_cells(cells)
    for name in ("populations", "immunolab_probability"):
        if name in cells.obsm:
            data.obsm[name] = cells.obsm[name].set_axis(data.obs_names)
    return data


def _samples(
    cells: AnnData, patient: str, visit: str, before: str, after: str, arm: str, batch: str
) -> tuple[pd.DataFrame, NDArray[np.object_]]:
    """Return a row for each visit of a patient, and of each cell the name of its row."""
    columns = {"patient_id": patient, "visit": visit, "cohort": arm, "batch": batch}
    named = {what: column for what, column in columns.items() if column}
    problems = [
        Problem("cells", f"obs, column {column}", "there is no such column", nearest(column, cells.obs.columns))
        for column in named.values()
        if column not in cells.obs
    ]
    if problems:
        raise InputError(problems)
    table = pd.DataFrame({what: cells.obs[column].astype("string").fillna("") for what, column in named.items()})
    table = table.assign(**{what: "" for what in columns if what not in table})
    visits = [name for name in dict.fromkeys(table["visit"]) if name]
    problems = [
        Problem("cells", f"obs, column {visit}", f"no cell has visit '{word}'", f"visits: {', '.join(visits)}")
        for word in dict.fromkeys((before, after))
        if word not in visits
    ]
    table["sample_id"] = table["patient_id"] + " " + table["visit"]
    rows = table.drop_duplicates().reset_index(drop=True)
    problems += _nameless(table, {"patient": patient, "visit": visit})
    twice = rows[rows.duplicated("sample_id")]
    problems += [
        Problem("cells", str(name), "its cells are of several arms or batches", "a visit of a patient has one of each")
        for name in dict.fromkeys(twice["sample_id"])
    ]
    if problems:
        raise InputError(problems)
    return rows, table["sample_id"].to_numpy(dtype=object)


def _nameless(table: pd.DataFrame, columns: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for cells without a patient or a visit: together they would be counted as one more patient."""
    for word, column in columns.items():
        n = int((table["patient_id" if word == "patient" else word] == "").sum())
        if n:
            text, hint = f"{n:,} of {len(table):,} cells name no {word}", f"cells[cells.obs['{column}'].notna()]"
            yield Problem("cells", f"obs, column {column}", text, f"leave them out: {hint}")


def _populations(cells: AnnData, labels: str) -> tuple[Mapping[str, NDArray[np.bool_]], Mapping[str, str]]:
    """Return which cells are in each population, and the parent of each."""
    if labels:
        if labels not in cells.obs:
            raise InputError(
                Problem("cells", f"obs, column {labels}", "there is no such column", nearest(labels, cells.obs.columns))
            )
        own = cells.obs[labels].astype("string").fillna("").to_numpy(dtype=object)
        names = [name for name in dict.fromkeys(own) if name]
        return {name: own == name for name in names}, dict.fromkeys(names, _WHOLE)
    if "populations" not in cells.obsm:
        hint = "label them with immunolab.label(cells), or name a column of obs: labels='cell_type'"
        raise InputError(Problem("cells", "", "the cells have no labels", hint))
    table = cells.obsm["populations"]
    members = {str(name): table[name].to_numpy(dtype=bool) for name in table}
    return members, {name: parent for name, parent in parents_of(members).items() if parent}


def _members(cells: AnnData, population: str, labels: str) -> NDArray[np.bool_]:
    members, _ = _populations(cells, labels)
    if population not in members:
        hint = f"{nearest(population, members)} there are: {', '.join(members)}".strip()
        raise InputError(Problem("cells", "population", f"no cells are called '{population}'", hint))
    return members[population]


def _shares(cells: AnnData, of_cell: NDArray[np.object_], labels: str) -> Iterator[dict[str, object]]:
    members, parents = _populations(cells, labels)
    chance = {} if labels else cells.obsm.get("immunolab_probability", {})
    for sample in dict.fromkeys(of_cell):
        own = of_cell == sample
        for name, parent in parents.items():
            n = int((members[name] & own).sum())
            above = members[parent] & own if parent in members else own
            of = int(above.sum())
            # ambient RNA hid CD4 from CD8 in a sample: they are not parted there, which is no share of 0 %
            unasked = of > 0 and name in chance and bool(np.isnan(chance[name].to_numpy()[above]).all())
            yield {
                "sample_id": sample,
                "endpoint": f"{name}_pct_{parent}".replace(" ", "_"),
                "population": name,
                "parent": parent,
                "value": 100.0 * n / of if of and not unasked else np.nan,
                "unit": "%",
                "n_events": n,
                "n_parent": of,
                "flag": Flag.NO_BORDER if unasked else None,
            }


def _scores(cells: AnnData, labels: str, scores: Mapping[str, Sequence[str] | str]) -> Iterator[dict[str, object]]:
    if scores and not has_genes(cells):
        raise InputError(Problem("cells", "scores", "scores need genes, and the cells have none", "leave scores= out"))
    for population, names in scores.items():
        inside = _members(cells, population, labels)
        for name in (names,) if isinstance(names, str) else names:
            signature(name)  # unknown ones are named
            for row in response_by_sample(cells, inside, name).to_dict("records"):
                yield {
                    "sample_id": row["sample_id"],
                    "endpoint": f"{name}_in_{population}".replace(" ", "_"),
                    "population": population,
                    "parent": None,
                    "definition": f"{BY_SCORE}{name}",
                    "value": row["value"],
                    "unit": SCORE,
                    "n_events": row["n_cells"],
                    "n_parent": None,
                    "flag": row["flag"],
                }
