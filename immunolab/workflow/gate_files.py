"""Gate files without a study: one strategy, many tubes; tables, gate files and agreement out."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.gating.gate_source import Gates, named_strategy, read_gates
from immunolab.progress import progress
from immunolab.schema.gating import AGREEMENT, COUNTS, FAILURES, SCALES, THRESHOLDS, Specimen
from immunolab.schema.table import Gathered
from immunolab.vocabulary.panel import read_panel
from immunolab.workflow.gate_file import GatedFile, GateJob, Unread, gate_file
from immunolab.workflow.gate_summary import review_text
from immunolab.workflow.scales import scale_rows, scaled_gates
from immunolab.workflow.tasks import Failure, Task
from immunolab.workflow.workers import MEMORY_PER_FILE_BYTE, Workers, memory_budget, run_tasks

if TYPE_CHECKING:
    from immunolab.gating.following.template import Template
    from immunolab.gating.reference import Reference

log = logging.getLogger("immunolab")


@dataclass(frozen=True)
class GateOptions:
    """How files are gated.

    Attributes
    ----------
    jobs
        Tubes at once.
    memberships
        Also write which events are in which population.
    against
        A workspace or Gating-ML file, counts as CSV, or a CSV of one label an event (one file only).
    wsp
        Also write a FlowJo workspace here.
    specimen
        What the tubes hold; None leaves it to the strategy.
    seed
        Of the gates placed by data.
    follow
        Carry drawn gates from the files that the gate file names to the others.
    templates
        Files that the gates were drawn on; naming any means follow.
    panel
        Table of channels and markers (CSV or YAML), for files that do not name their markers.
    """

    jobs: int = 1
    memberships: bool = False
    against: Path | None = None
    wsp: Path | None = None
    specimen: Specimen | None = None
    seed: int = 0
    follow: bool = False
    templates: tuple[Path, ...] = ()
    panel: Path | None = None


@dataclass(frozen=True)
class GateOutcome:
    """What gating files came to.

    Attributes
    ----------
    out
        The folder written.
    done
        sample_ids gated, wholly or in part.
    problems
        Files that could not be read.
    failures
        Rows of `FAILURES`: samples, or single gates of one, that could not be gated.
    agreement
        As `immunolab.gating.agreement.agreement` gives it, when there was something to compare with.
    review
        Numbers that are withheld or doubtful, in words.
    """

    out: Path
    done: tuple[str, ...]
    problems: tuple[Problem, ...]
    failures: pd.DataFrame
    agreement: pd.DataFrame | None
    review: str


def gate_files(
    files: Sequence[Path | str], strategy: Path | str, out: Path | str, options: GateOptions | None = None
) -> GateOutcome:
    """Gate FCS files; write ``counts.csv``, ``thresholds.csv``, ``scales.csv``, ``failures.csv``, ``gates/STEM.xml``.

    Parameters
    ----------
    files
        FCS files with different stems.
    strategy
        YAML (gates placed by data are placed file by file, on scales that the files choose together), Gating-ML
        ``.xml``, FlowJo ``.wsp``, or the name of a shipped strategy.
    out
        Output folder.
    options
        Defaults where None.

    Raises
    ------
    InputError
        Nothing can be done: the strategy or what to compare with cannot be read, two files share a stem, it is
        unclear which file gates were drawn on, or no file is there. Lists all such problems at once.
    """
    options = options or GateOptions()
    paths = [Path(file) for file in files]
    problems = _shared_stems(paths)
    absent = [path for path in paths if not path.is_file()]
    missing = [_missing(path) for path in absent]
    problems += [_missing(path) for path in options.templates if not path.is_file()]
    gates, reference, panel = None, None, None
    try:
        panel = read_panel(options.panel) if options.panel else None
    except ImmunolabError as error:
        problems += _problems(error)
    try:
        gates = read_gates(named_strategy(strategy)).of(options.specimen)
    except ImmunolabError as error:
        problems += _problems(error)
    try:
        reference = _reference(options.against) if options.against else None
    except ImmunolabError as error:
        problems += _problems(error)
    if problems or gates is None or len(missing) == len(paths):
        raise InputError([*missing, *problems])
    Path(out).mkdir(parents=True, exist_ok=True)
    there = [path for path in paths if path not in absent]
    gates = scaled_gates(gates, there, Workers(jobs=options.jobs, memory=memory_budget()), panel)
    templates = _templates(gates, there, options, panel)
    workspace = options.wsp is not None
    job = GateJob(gates, reference, Path(out), options.memberships, workspace, options.seed, templates, panel)
    _name_absent(gates, there)
    gathered = _Tables(Gathered(COUNTS), Gathered(THRESHOLDS))
    results = _gate_all(there, job, options.jobs, gathered)
    return _write(results, gathered, missing, job, options)


def _reference(file: Path) -> Reference:
    from immunolab.gating.reference import Reference  # what few runs need is imported when they do: a start is felt

    return Reference.read(file)


def _templates(
    gates: Gates, files: Sequence[Path], options: GateOptions, panel: Mapping[str, str] | None
) -> tuple[Template, ...]:
    if not (options.follow or options.templates):
        return ()
    from immunolab.workflow.follow import read_templates

    return read_templates(gates, files, options.templates, panel)


@dataclass(frozen=True)
class _Tables:
    counts: Gathered
    thresholds: Gathered

    def add(self, result: GatedFile | Unread | Failure) -> GatedFile | Unread | Failure:
        """Take a tube's rows and return the rest of it."""
        if not isinstance(result, GatedFile):
            return result
        self.counts.add([vars(count) for count in result.counts])
        self.thresholds.add([vars(threshold) for threshold in result.thresholds])
        return replace(result, counts=(), thresholds=())


def _gate_all(
    paths: Sequence[Path], job: GateJob, jobs: int, gathered: _Tables
) -> dict[Path, GatedFile | Unread | Failure]:
    tasks = [Task(path.stem, "gate", path, path.stat().st_size * MEMORY_PER_FILE_BYTE) for path in paths]
    pool = Workers(jobs=jobs, memory=memory_budget())
    done = progress(run_tasks(partial(gate_file, job=job), tasks, pool), len(tasks), "gating")
    found = {task.argument: gathered.add(result) for task, result in done}
    return {path: found[path] for path in paths}


def _write(
    results: Mapping[Path, GatedFile | Unread | Failure],
    gathered: _Tables,
    missing: list[Problem],
    job: GateJob,
    options: GateOptions,
) -> GateOutcome:
    gated = {path: result for path, result in results.items() if isinstance(result, GatedFile)}
    problems = missing + [result.problem for result in results.values() if isinstance(result, Unread)]
    order = [path.stem for path in gated]
    counts = gathered.counts.frame(order)
    absent: list[dict[str, object]] = [
        {"sample_id": Path(one.file).stem, "file": one.file, "stage": "read", "error": one.message, "hint": one.hint}
        for one in missing
    ]
    failures = FAILURES.frame(absent + _failures(results))
    COUNTS.write(counts, job.out / "counts.csv")
    THRESHOLDS.write(gathered.thresholds.frame(order), job.out / "thresholds.csv")
    FAILURES.write(failures, job.out / "failures.csv")
    SCALES.write(SCALES.frame(list(scale_rows({"": job.gates}))), job.out / "scales.csv")
    _log_notes(gated)
    if options.wsp and gated:
        from immunolab.gating.exchange.flowjo_out import write_workspace

        for left in write_workspace([tube.sample for tube in gated.values() if tube.sample], options.wsp):
            log.info("%s: %s", options.wsp.name, left)
    table = _agreement(counts, gated, job.out) if job.reference else None
    return GateOutcome(job.out, tuple(order), tuple(problems), failures, table, review_text(counts))


def _log_notes(gated: Mapping[Path, GatedFile]) -> None:
    """Log each note once, with the file it is of, or how many files share it."""
    files: dict[str, list[str]] = defaultdict(list)
    for path, tube in gated.items():
        for note in tube.notes:
            files[note].append(path.name)
    for note, names in files.items():
        log.info("%s: %s", names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more files", note)


def _agreement(counts: pd.DataFrame, gated: Mapping[Path, GatedFile], out: Path) -> pd.DataFrame:
    from immunolab.gating.agreement import agreement

    references = [tube.reference for tube in gated.values() if tube.reference is not None]
    known = [one.events for one in references if one.events is not None and len(one.events)]
    table = agreement(
        counts,
        pd.concat([one.counts for one in references]) if references else counts.iloc[:0],
        pd.concat(known) if known else None,
        binned={key: bounds for one in references for key, bounds in one.binned.items()},
    )
    AGREEMENT.write(table, out / "agreement.csv")
    from immunolab.plots.agreement import agreement_plot
    from immunolab.plots.figure_files import save
    from immunolab.plots.style import HALF, figure

    fig = figure(HALF, HALF * 0.8)
    agreement_plot(table, fig.add_subplot())
    for suffix in (".png", ".pdf"):
        save(fig, out / "figures" / f"agreement{suffix}")
    return table


def _failures(results: Mapping[Path, GatedFile | Unread | Failure]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for path, result in results.items():
        place = {"sample_id": path.stem, "file": str(path)}
        if isinstance(result, Failure):
            rows.append(place | {"stage": result.stage, "error": result.error, "hint": result.hint or None})
        elif isinstance(result, GatedFile):
            rows += [
                place | {"stage": "gate", "error": f"{one.place}: {one.message}", "hint": one.hint or None}
                for one in result.left_out
            ]
        else:
            one = result.problem
            rows.append(place | {"stage": "read", "error": one.message, "hint": one.hint or None})
    return rows


def _shared_stems(paths: Sequence[Path]) -> list[Problem]:
    """Return a problem for each stem that several files share: results are named by it."""
    by_stem = defaultdict(list)
    for path in paths:
        by_stem[path.stem].append(str(path))
    return [
        Problem(", ".join(files), "", f"{len(files)} files share the stem '{stem}'", "gate them in separate runs")
        for stem, files in by_stem.items()
        if len(files) > 1
    ]


def _missing(path: Path) -> Problem:
    if path.is_dir():
        return Problem(str(path), "", "is a folder, not a file", "name the files in it, as in FOLDER/*.fcs")
    return Problem(str(path), "", "there is no such file", "check the path")


def _problems(error: ImmunolabError) -> list[Problem]:
    if isinstance(error, InputError):
        return list(error.problems)
    return [Problem(error.where, "", error.message, error.hint)]


def _name_absent(gates: Gates, paths: Sequence[Path]) -> None:
    """Say which files of a workspace were not given; that is no fault."""
    given = {path.name.lower() for path in paths}
    samples = gates.names()
    absent = [names[0] for names in samples if not given & {name.lower() for name in names}]
    if absent and len(absent) < len(samples):
        log.info("the gate file also has gates for %d files not given: %s", len(absent), ", ".join(absent[:5]))
