"""Whether a finished run can be reproduced: hashes, and every number computed again from the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.report.exports import export_problems
from immunolab.report.manifest import NAME, SCHEMA, hashes, sample_keys
from immunolab.report.table_diff import CHANGED, differences, differs, file_in, file_of, read_written, same
from immunolab.report.verify_across import across_differences
from immunolab.report.verify_audit import audit_differences
from immunolab.report.verify_bridges import bridge_differences, per_ul_by_beads, replicates_of
from immunolab.report.verify_clinic import clinic_differences
from immunolab.report.verify_courses import course_differences
from immunolab.report.verify_estimand import estimand_differences
from immunolab.report.verify_expression import expression_differences
from immunolab.report.verify_overrides import override_differences
from immunolab.report.verify_power import power_differences
from immunolab.report.verify_quality import quality_differences
from immunolab.report.verify_stimulation import stimulation_differences
from immunolab.results.run import Run
from immunolab.schema.bridges import BRIDGES
from immunolab.schema.comparison import ARMS, NOISE, PAIRS, SHIFTS, TIPPING
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.estimand import ESTIMAND
from immunolab.schema.files import STUDY_NAME, input_sha256
from immunolab.schema.flags import withheld
from immunolab.schema.gating import COUNTS
from immunolab.schema.table import Table
from immunolab.study.endpoints import Endpoint

_PAIR_NUMBERS = (
    *("before", "after", "shift", "fold", "ci_low", "ci_high", "p_value", "q_value", "limit", "ratio"),
    *("called_below", "called_above", "batch_effect", "pooled_shift", "pooled_low", "pooled_high"),
)
_SHIFT_NUMBERS = (
    "n_pairs",
    "median_before",
    "median_after",
    "estimate",
    "fold",
    "ci_low",
    "ci_high",
    "p_value",
    "q_value",
    "sensitivity_p_value",
    "ratio_of_medians",
    "pairs_estimate",
    "pairs_ci_low",
    "pairs_ci_high",
    "pairs_p_value",
    "margin",
    "equivalence_p_value",
)
_ARM_NUMBERS = ("estimate", "ci_low", "ci_high", "df", "p_value", "q_value", "n", "n_arm", "n_control")
_SHIFT_WORDS = ("role", "method", "family", "adjustment", "equivalence", "estimand")
_TIPPING_NUMBERS = ("n_pairs", "n_missing", "estimate", "ci_low", "ci_high", "tipping_sd", "tipping_shift")


def verify(run: Run) -> list[Problem]:
    """Return everything in a run's folder that no longer agrees with the run, its manifest or itself.

    Checked are the hashes of inputs, outputs and exported files, percentages against counts, endpoint values against
    counts, pairs and shifts against a fresh comparison of the endpoints table, stimulated tubes against their counts,
    samples against what they were computed from, what was cut from tubes against counts, that nothing in the folder
    is of another study or sample, the estimand's tables against doses, measurements and endpoints, changes of genes
    against their summed counts, the clinic's as `clinic_differences` says, and the study's log, locked plan and
    overrides as `audit_differences` says.

    Parameters
    ----------
    run
        The finished run; its tables are read from the CSV files in its folder.

    Raises
    ------
    InputError
        The run wrote no manifest.
    """
    out = run.folder
    record = _manifest(out)
    found = [*_inputs(run), *_outputs(out, record), *_samples(run, record), *_foreign(run), *export_problems(out)]
    found += audit_differences(run, record)
    frames: dict[str, pd.DataFrame] = {}
    for table in (COUNTS, ENDPOINTS, PAIRS, SHIFTS, NOISE):
        read = read_written(run, table) if table is not NOISE or len(run.table("noise")) else NOISE.empty()
        if isinstance(read, tuple):
            found += read
        else:
            frames[table.name] = read
    if len(frames) == 5:
        found += _percentages(frames["counts"])
        found += _values(frames["endpoints"], frames["counts"], run)
        found += _values(run.table("bridges"), frames["counts"], run, BRIDGES)
        found += _comparison(frames, run)
        found += estimand_differences(run, frames["endpoints"])
    counted = (
        bridge_differences,
        stimulation_differences,
        quality_differences,
        override_differences,
        expression_differences,
    )
    further = (*counted, across_differences, power_differences, clinic_differences)
    return [*found, *(problem for differences_of in further for problem in differences_of(run))]


def _manifest(out: Path) -> dict[str, Any]:
    path = out / NAME
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        hint = "the run in this folder did not finish, or --tables-only left the report out: run the study again"
        raise InputError(Problem(str(path), "", "there is no manifest", hint)) from None
    except ValueError:
        raise InputError(Problem(str(path), "", "is not JSON", "run the study again")) from None
    if record.get("schema") != SCHEMA:
        text = f"schema '{record.get('schema')}' is not {SCHEMA}"
        raise InputError(Problem(str(path), "", text, "verify it with the version that wrote it"))
    return record


def _inputs(run: Run) -> Iterator[Problem]:
    folder = run.study.folder
    for name, digest in run.inputs.items():
        path = folder / name
        if not path.exists():
            yield Problem(name, "", "input is not where it was, so its hash cannot be checked", f"looked in {folder}")
        elif input_sha256(path) != digest:
            yield Problem(name, "", "input differs from the one the run read (sha256)", "run the study again")


def _outputs(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    now, then = hashes(out), record["outputs"]
    for name in sorted(set(now) | set(then)):
        if name not in now:
            yield Problem(name, "", "output is missing", "run the study again")
        elif name not in then:
            yield Problem(name, "", "the manifest does not list this file", "it was added after the run")
        elif now[name] != then[name]:
            yield Problem(name, "", "output differs from the one the run wrote (sha256)", CHANGED)


def _samples(run: Run, record: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield every sample that a later run has computed anew without coming to its tables."""
    then = record.get("samples", {})
    for name, key in sample_keys(run).items():
        if then.get(name, key) != key:
            text = "was computed again from other input by a later run, which did not finish"
            yield Problem(f"samples/{name}", "", text, "run the study again")


def _foreign(run: Run) -> Iterator[Problem]:
    """Yield what another study, or samples that the sheet no longer has, left in the folder."""
    known = {s.sample_id for s in run.study.samples}
    for path in sorted(run.folder.glob("samples/*")):
        if not path.name.startswith(".") and path.name not in known:
            text = "is of no sample of this study's sheet"
            yield Problem(f"samples/{path.name}", "", text, "run the study again, which removes it, or remove it")
    owner = run.folder / STUDY_NAME
    if owner.exists() and (name := owner.read_text(encoding="utf-8").strip()) != run.study.name:
        yield Problem(STUDY_NAME, "", f"the folder is now that of study '{name}'", "run each study into its own folder")


def _percentages(counts: pd.DataFrame) -> Iterator[Problem]:
    rows = counts.to_dict("records")
    n_of = {(row["sample_id"], row["path"]): int(row["n_events"]) for row in rows}
    for row in rows:
        place = f"sample {row['sample_id']}, {row['path']}"
        n, n_parent = int(row["n_events"]), int(row["n_parent"])
        above = str(row["path"]).rsplit("/", 1)[0] or "/"
        parent = n_of.get((row["sample_id"], above), n_parent)
        if row["path"] != "/" and parent != n_parent:
            yield differs(COUNTS, place, "n_parent", n_parent, parent)
        if n > n_parent:
            yield Problem(file_of(COUNTS), place, f"{n} events are more than the parent's {n_parent}", CHANGED)
        wanted = 100.0 * n / n_parent if n_parent and not _withheld(row) else np.nan
        if not same(row["percent_of_parent"], wanted):
            yield differs(COUNTS, place, "percent_of_parent", row["percent_of_parent"], wanted)


def _withheld(row: Mapping[str, Any]) -> bool:
    return withheld(row["flag"])


def _values(endpoints: pd.DataFrame, counts: pd.DataFrame, run: Run, table: Table = ENDPOINTS) -> Iterator[Problem]:
    """Yield every counted endpoint whose events are not those of the counts table, or whose value is not theirs."""
    single = counts[~counts.duplicated(["sample_id", "population"], keep=False)]
    known = {
        (row["sample_id"], row["population"]): (int(row["n_events"]), str(row["path"]))
        for row in single.to_dict("records")
    }
    per_ul = {sample.sample_id: sample.lymphocytes_per_ul for sample in run.study.samples}
    by_beads = per_ul_by_beads(run)
    for row in endpoints.to_dict("records"):
        endpoint = run.declared.get(row["endpoint"])
        if endpoint is None or endpoint.parts is None or pd.isna(row["n_events"]) or pd.isna(row["n_parent"]):
            continue
        place = f"sample {row['sample_id']}, {row['endpoint']}"
        for column, n in _counts_of(row["sample_id"], endpoint, known).items():
            if int(row[column]) != n:
                yield differs(table, place, column, row[column], n)
        of = by_beads if endpoint.by_beads else per_ul
        value = endpoint.value_of(int(row["n_events"]), int(row["n_parent"]), of.get(row["sample_id"]))
        wanted = np.nan if value is None or _withheld(row) else value
        if not same(row["value"], wanted):
            yield differs(table, place, "value", row["value"], wanted)


def _counts_of(sample: object, endpoint: Endpoint, known: Mapping[tuple[Any, Any], tuple[int, str]]) -> dict[str, int]:
    """Return what n_events and n_parent must be where the counts table alone says so."""
    top, bottom = (known.get((sample, name)) for name in endpoint.parts or ())
    inside = endpoint.ratio or (top and bottom and top[1].startswith(bottom[1].rstrip("/") + "/"))
    found = {"n_events": top if inside else None, "n_parent": bottom}
    return {column: counted[0] for column, counted in found.items() if counted}


def _comparison(frames: Mapping[str, pd.DataFrame], run: Run) -> Iterator[Problem]:
    """Compare the endpoints as written again, and yield where pairs and shifts as written differ from that."""
    from immunolab.comparison.arm_families import arms_together
    from immunolab.comparison.estimand import with_estimand
    from immunolab.comparison.table import adjusted_over_contrasts, compare_endpoints

    made, sets = [], []
    for one in run.compared:
        rows = frames["endpoints"][frames["endpoints"]["endpoint"].isin(one.endpoints)]
        try:
            again = compare_endpoints(rows, one.plan, replicates=replicates_of(run))
        except ImmunolabError as error:
            text = f"cannot be compared again ({one.plan.contrast}): {error}"
            yield Problem(file_of(ENDPOINTS), "", text, CHANGED)
            continue
        made.append(again)
        sets.append(one.family)
    said = read_written(run, ESTIMAND) if file_in(run, ESTIMAND).exists() else ESTIMAND.empty()
    known = ESTIMAND.empty() if isinstance(said, tuple) else said
    shifts = [with_estimand(one, known) for one in adjusted_over_contrasts(made, sets)]
    sides = (
        (
            PAIRS,
            PAIRS.joined([one.pairs for one in made]),
            ("cohort", "patient_id", "endpoint", "visit_after"),
            _PAIR_NUMBERS,
            ("verdict",),
        ),
        (SHIFTS, SHIFTS.joined(shifts), ("cohort", "endpoint", "contrast"), _SHIFT_NUMBERS, _SHIFT_WORDS),
        (NOISE, NOISE.joined([one.noise for one in made]), ("endpoint", "source"), ("s_w", "df"), ()),
    )
    for table, fresh, keys, numbers, words in sides:
        written = tuple(name for name in numbers if name in frames[table.name])
        named = tuple(name for name in words if name in frames[table.name])
        yield from differences(table, frames[table.name], fresh, keys, written, named)
    yield from _tipping(run, TIPPING.joined([one.tipping_point() for one in made]))
    yield from _arms(run, ARMS.joined(arms_together([one.arms for one in made], sets)))
    yield from course_differences(run, frames["endpoints"], made)


def _arms(run: Run, again: pd.DataFrame) -> Iterator[Problem]:
    """Yield where the differences between arms as written differ from those of the fresh comparison."""
    if not file_in(run, ARMS).exists():
        return
    stored = read_written(run, ARMS)
    if isinstance(stored, tuple):
        yield from stored
        return
    stored = stored.assign(codes=stored["codes"].fillna(""))
    yield from differences(ARMS, stored, again, ("endpoint", "contrast", "method"), _ARM_NUMBERS, ("role", "codes"))


def _tipping(run: Run, again: pd.DataFrame) -> Iterator[Problem]:
    """Yield where the tipping points as written differ from those of the fresh comparison."""
    fresh = again[again["n_missing"] > 0]
    if not file_in(run, TIPPING).exists():
        return
    stored = read_written(run, TIPPING)
    if isinstance(stored, tuple):
        yield from stored
        return
    yield from differences(TIPPING, stored, fresh, TIPPING.key, _TIPPING_NUMBERS, ("method",))
