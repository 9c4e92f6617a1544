"""What is wrong between study.yaml, its sheet and the files that it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from immunolab.config import Document
from immunolab.errors import Problem, allowed_hint, nearest
from immunolab.input_files import is_there
from immunolab.schema.clinical import PHASES
from immunolab.study.choices import CellLabels, PlannedComparison, QualityChoice
from immunolab.study.sample import Sample
from immunolab.study.trial import Trial


def absent_files(named: Iterable[tuple[tuple[str, ...], object]], document: Document) -> Iterator[Problem]:
    """Yield a problem for each file that study.yaml names and that is not there.

    Parameters
    ----------
    named
        Place in study.yaml, and what it names: a path, or something else, which is passed over.
    document
        Study.yaml.
    """
    folder = Path(document.file).parent
    for place, path in named:
        if isinstance(path, Path) and not is_there(path):
            folder_there = is_there(path.parent) and path.parent.is_dir()
            beside = [item.name for item in path.parent.iterdir()] if folder_there else []
            hint = f"{nearest(path.name, beside)} paths are relative to {folder}".strip()
            written = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
            yield document.problem(place, f"file '{written}' does not exist", hint)


def outside(code: Path | None, document: Document) -> Iterator[Problem]:
    """Yield a problem for code that is not in the study's own folder, where whoever reads the study sees it.

    Parameters
    ----------
    code
        File of the laboratory's threshold methods.
    document
        Study.yaml.
    """
    if code is not None and not code.resolve().is_relative_to(Path(document.file).parent.resolve()):
        text = "names code outside the study's folder"
        yield document.problem(("methods_module",), text, "copy the file into the study's folder and read it there")


def quality_problems(
    quality: QualityChoice, comparison: PlannedComparison, samples: tuple[Sample, ...], document: Document
) -> Iterator[Problem]:
    """Yield a problem for what borders cannot follow, and for a reference that is no batch.

    Parameters
    ----------
    quality, comparison
        As study.yaml chooses them.
    samples
        Of the sheet.
    document
        Study.yaml.
    """
    held = {s.sample_id for s in samples if s.bridge or s.patient_id in comparison.bridges}
    batched = any(s.batch for s in samples if not s.control_of and s.sample_id not in held)
    if quality.bridge == "follow" and not held:
        hint = "name the material and the batch of each in the columns bridge and batch, or write 'bridge: report'"
        text = "no row of the sheet is a bridging control: no border can follow one"
        yield document.problem(("quality", "bridge"), text, hint)
    elif quality.bridge == "follow" and not batched:
        text = "no patient's row names its batch: no border can follow from batch to batch"
        yield document.problem(("quality", "bridge"), text, "fill the column batch, or write 'bridge: report'")
    batches = {s.batch for s in samples if s.batch}
    if quality.reference and quality.reference not in batches:
        hint = nearest(quality.reference, batches) or f"batches: {', '.join(sorted(batches)) or 'none'}"
        yield document.problem(("quality", "reference"), f"no sample is of batch '{quality.reference}'", hint)


def comparison_problems(
    comparison: PlannedComparison, trial: Trial | None, samples: tuple[Sample, ...], document: Document
) -> Iterator[Problem]:
    """Yield a problem for each visit, phase or bridging control of the comparison that the study does not have.

    Parameters
    ----------
    comparison
        As study.yaml chooses it.
    trial
        Gives the visits; without one the sheet does.
    samples
        Of the sheet.
    document
        Study.yaml.
    """
    visits = trial.visit_names if trial else tuple(dict.fromkeys(s.visit for s in samples if s.visit))
    asked = (comparison.before, comparison.after) != (PlannedComparison.before, PlannedComparison.after)
    if len(visits) == 1 and not asked:
        return  # nothing was asked to be compared, and nothing can be
    allowed = (*(PHASES if trial else ()), *visits)
    known = {s.patient_id for s in samples}
    for i, name in enumerate(comparison.bridges):
        if name not in known:
            hint = nearest(name, known) or "name the patient_id of the bridging control's rows"
            yield document.problem(("comparison", "bridges", i), f"no sample of the sheet is of '{name}'", hint)
    for key in ("before", "after"):
        name = getattr(comparison, key)
        if name not in allowed:
            kind = "phase or visit" if trial else "visit of the sheet"
            yield document.problem(("comparison", key), f"'{name}' is no {kind}", allowed_hint(name, allowed))


def specimen_problems(comparison: PlannedComparison, samples: tuple[Sample, ...], sheet: Path) -> Iterator[Problem]:
    """Yield a problem for each panel that mixes whole blood with frozen PBMC: freezing loses cells and markers.

    Parameters
    ----------
    comparison
        Whether a mixture is meant.
    samples
        Of the sheet.
    sheet
        Its file.
    """
    for panel in () if comparison.mixed_specimens else dict.fromkeys(s.panel for s in samples):
        own = [s for s in samples if s.panel == panel and not s.control_of]
        n = Counter(s.specimen for s in own)
        if n["whole_blood"] and n["frozen_pbmc"]:
            name = f"panel {panel}: " if panel else ""
            text = (
                f"{name}{n['whole_blood']} samples are whole blood and {n['frozen_pbmc']} frozen PBMC: granulocytes, "
                "freezing and thawing change shares and stains, so that their change is no patient's"
            )
            hint = "give each its own panel, or write 'comparison: {mixed_specimens: true}' if this is meant"
            yield Problem(str(sheet), "column specimen", text, hint)


def sort_problems(cells: CellLabels, samples: tuple[Sample, ...], sheet: Path) -> Iterator[Problem]:
    """Yield a problem where samples are declared as sorted and a reference labels them, as `immunolab.label` does.

    Parameters
    ----------
    cells
        What labels single cells.
    samples
        Of the sheet.
    sheet
        Its file.
    """
    sorts = Counter(s.sorted_as for s in samples if s.sorted_as)
    if cells.reference and sorts:
        declared = ", ".join(f"{name} ({n})" for name, n in sorts.items())
        text = f"samples are declared as sorted: {declared}; a reference calls all its labels, whatever the sort"
        yield Problem(str(sheet), "column sorted", text, "empty the column, or leave single_cells out of study.yaml")
