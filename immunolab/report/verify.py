"""Whether a finished run still says what it said: hashes, and every number worked out again from the tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.report.manifest import NAME, SCHEMA, file_digest, hashes, read_compared
from immunolab.tables import COUNTS, ENDPOINTS, PAIRS, SHIFTS, Table

_RELATIVE = 1e-9
_CHANGED = "the file was changed after the run; run the study again, or restore it"
_PAIR_NUMBERS = ("before", "after", "shift", "fold", "ci_low", "ci_high")
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
)


def verify(out: Path) -> list[Problem]:
    """Return everything in a run's folder that no longer agrees with its manifest or with itself.

    Checked are the hashes of inputs and outputs, percentages against counts, endpoint values against
    counts, and pairs and shifts against a fresh comparison of the endpoints table.

    Raises
    ------
    InputError
        There is no manifest to verify against.
    """
    record = _manifest(out)
    found = [*_inputs(out, record), *_outputs(out, record)]
    frames: dict[str, pd.DataFrame] = {}
    for table in (COUNTS, ENDPOINTS, PAIRS, SHIFTS):
        try:
            frames[table.name] = table.read(out / "tables" / f"{table.name}.csv")
        except InputError as error:
            found += error.problems
        except (OSError, ValueError) as error:
            found.append(Problem(_file(table), "", f"cannot be read: {error}", _CHANGED))
    if len(frames) == 4:
        found += _percentages(frames["counts"])
        found += _values(frames["endpoints"], frames["counts"])
        found += _comparison(frames, record)
    return found


def _manifest(out: Path) -> dict[str, Any]:
    path = out / NAME
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        hint = "name the folder that 'immunolab run' wrote, with its report: --tables-only writes none"
        raise InputError(Problem(str(path), "", "there is no manifest", hint)) from None
    except ValueError:
        raise InputError(Problem(str(path), "", "is not JSON", "run the study again")) from None
    if record.get("schema") != SCHEMA:
        text = f"schema '{record.get('schema')}' is not {SCHEMA}"
        raise InputError(Problem(str(path), "", text, "verify it with the version that wrote it"))
    return record


def _inputs(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    folder = out / record["study_folder"]
    for name, digest in record["inputs"].items():
        path = folder / name
        if not path.exists():
            yield Problem(name, "", "input is not where it was, so its hash cannot be checked", f"looked in {folder}")
        elif file_digest(path) != digest:
            yield Problem(name, "", "input differs from the one the run read (sha256)", "run the study again")


def _outputs(out: Path, record: Mapping[str, Any]) -> Iterator[Problem]:
    now, then = hashes(out), record["outputs"]
    for name in sorted(set(now) | set(then)):
        if name not in now:
            yield Problem(name, "", "output is missing", "run the study again")
        elif name not in then:
            yield Problem(name, "", "the manifest does not know this file", "it was added after the run")
        elif now[name] != then[name]:
            yield Problem(name, "", "output differs from the one the run wrote (sha256)", _CHANGED)


def _percentages(counts: pd.DataFrame) -> Iterator[Problem]:
    rows = counts.to_dict("records")
    n_of = {(row["sample_id"], row["path"]): int(row["n_events"]) for row in rows}
    for row in rows:
        place = f"sample {row['sample_id']}, {row['path']}"
        n, n_parent = int(row["n_events"]), int(row["n_parent"])
        above = str(row["path"]).rsplit("/", 1)[0] or "/"
        parent = n_of.get((row["sample_id"], above), n_parent)
        if row["path"] != "/" and parent != n_parent:
            yield _differs(COUNTS, place, "n_parent", n_parent, parent)
        if n > n_parent:
            yield Problem(_file(COUNTS), place, f"{n} events are more than the parent's {n_parent}", _CHANGED)
        wanted = 100.0 * n / n_parent if n_parent else np.nan
        if not _same(row["percent_of_parent"], wanted):
            yield _differs(COUNTS, place, "percent_of_parent", row["percent_of_parent"], wanted)


def _values(endpoints: pd.DataFrame, counts: pd.DataFrame) -> Iterator[Problem]:
    single = counts[~counts.duplicated(["sample_id", "population"], keep=False)]
    known = {
        (row["sample_id"], row["population"]): (int(row["n_events"]), str(row["path"]))
        for row in single.to_dict("records")
    }
    for row in endpoints.to_dict("records"):
        if pd.isna(row["n_events"]) or pd.isna(row["n_parent"]):
            continue
        place = f"sample {row['sample_id']}, {row['endpoint']}"
        for column, n in _counts_of(row, known).items():
            if int(row[column]) != n:
                yield _differs(ENDPOINTS, place, column, row[column], n)
        wanted = _value(str(row["unit"]), int(row["n_events"]), int(row["n_parent"]))
        if wanted is not None and not _same(row["value"], wanted):
            yield _differs(ENDPOINTS, place, "value", row["value"], wanted)


def _counts_of(row: Mapping[Any, Any], known: Mapping[tuple[Any, Any], tuple[int, str]]) -> dict[str, int]:
    """Return what n_events and n_parent must be where the counts table alone tells."""
    sample = row["sample_id"]
    if row["unit"] == "ratio" and "/" in str(row["population"]):
        top, bottom = (known.get((sample, name)) for name in str(row["population"]).split("/", 1))
        return {c: found[0] for c, found in (("n_events", top), ("n_parent", bottom)) if found}
    own, parent = known.get((sample, row["population"])), known.get((sample, row["parent"]))
    wanted = {"n_parent": parent[0]} if parent else {}
    if own and parent and own[1].startswith(parent[1].rstrip("/") + "/"):
        wanted["n_events"] = own[0]
    return wanted


def _value(unit: str, n: int, n_parent: int) -> float | None:
    if unit == "%":
        return 100.0 * n / n_parent if n_parent else np.nan
    if unit == "ratio":
        return (n + 0.5) / (n_parent + 0.5) if n + n_parent else np.nan
    return None


def _comparison(frames: Mapping[str, pd.DataFrame], record: Mapping[str, Any]) -> Iterator[Problem]:
    from immunolab.comparison.table import compare_endpoints

    pairs, shifts = [PAIRS.empty()], [SHIFTS.empty()]
    for plain in record["comparison"]:
        one = read_compared(plain)
        rows = frames["endpoints"][frames["endpoints"]["endpoint"].isin(one.endpoints)]
        try:
            again = compare_endpoints(rows, one.plan)
        except ImmunolabError as error:
            text = f"cannot be compared again ({one.plan.contrast}): {error}"
            yield Problem(_file(ENDPOINTS), "", text, _CHANGED)
            continue
        pairs.append(again.pairs)
        shifts.append(again.shifts)
    sides = (
        (
            PAIRS,
            _joined(PAIRS, pairs),
            ("cohort", "patient_id", "endpoint", "visit_after"),
            _PAIR_NUMBERS,
            ("verdict",),
        ),
        (SHIFTS, _joined(SHIFTS, shifts), ("cohort", "endpoint", "contrast"), _SHIFT_NUMBERS, ("role", "method")),
    )
    for table, fresh, keys, numbers, words in sides:
        yield from _differences(table, frames[table.name], fresh, keys, numbers, words)


def _joined(table: Table, frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else table.empty()


def _differences(
    table: Table,
    stored: pd.DataFrame,
    again: pd.DataFrame,
    keys: tuple[str, ...],
    numbers: tuple[str, ...],
    words: tuple[str, ...],
) -> Iterator[Problem]:
    was, now = _keyed(stored, keys), _keyed(again, keys)
    for key in [*was, *(key for key in now if key not in was)]:
        place = ", ".join(part for part in key if part)
        if key not in now or key not in was:
            text = "stands in the table but not in the comparison" if key in was else "is missing from the table"
            yield Problem(_file(table), place, text, _CHANGED)
            continue
        for column in numbers:
            if not _same(was[key][column], now[key][column]):
                yield _differs(table, place, column, was[key][column], now[key][column])
        for column in words:
            if was[key][column] != now[key][column]:
                yield Problem(
                    _file(table), place, f"{column} is '{was[key][column]}', worked out again '{now[key][column]}'"
                )


def _keyed(frame: pd.DataFrame, keys: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = frame.astype(dict.fromkeys(keys, "object")).fillna(dict.fromkeys(keys, "")).to_dict("records")
    return {tuple(str(row[key]) for key in keys): row for row in rows}  # type: ignore[misc]


def _same(a: Any, b: Any) -> bool:
    if pd.isna(a) or pd.isna(b):
        return bool(pd.isna(a) and pd.isna(b))
    return bool(np.isclose(float(a), float(b), rtol=_RELATIVE, atol=1e-300))


def _differs(table: Table, place: str, column: str, stored: Any, wanted: Any) -> Problem:
    text = f"{column} is {_number(stored)}, worked out again {_number(wanted)}"
    return Problem(_file(table), place, text, "the number, or what it rests on, was changed after the run")


def _number(value: Any) -> str:
    return "empty" if pd.isna(value) else f"{float(value):.12g}"


def _file(table: Table) -> str:
    return f"tables/{table.name}.csv"
