"""A first study.yaml, sheet, panel and strategy from a folder of FCS files: proposed, commented, nothing invented."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.events.tube import Channel
from immunolab.loaders.fcs.read import read_header
from immunolab.schema.formula_cells import neutralised
from immunolab.study.proposal import NamedFile, Names, read_names
from immunolab.study.rows import unsafe_name
from immunolab.study.trial import Trial, load_trial
from immunolab.vocabulary.panel import resolve_channels

_Layout = tuple[tuple[str, str], ...]  # name and label of each channel
_COMPARED = 8  # files that a file with crossed labels is set beside: more say no more (judgement)
_LISTED = 3  # files of one gap that are listed one by one, and the first of more
_EARLIER = ("pre", "baseline", "bl", "base", "before", "screening")  # names of a visit before treatment
_SUFFIXES = (".fcs", ".lmd")
_SURFACE = "treg_th17_tfh_teff"
_WORDS = {"treg_foxp3": "foxp3", "th_ics": "cytokines", "cytof": "mass", _SURFACE: "surface"}


@dataclass(frozen=True)
class Proposal:
    """What was written, the pattern file names were read by, and what stays open."""

    folder: Path
    written: tuple[Path, ...]
    pattern: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Panel:
    name: str
    strategy: str
    channels: tuple[Channel, ...]


@dataclass(frozen=True)
class _Scan:
    """The files of a folder, each with its panel ("" for a file whose header cannot be read)."""

    root: Path
    names: Names
    panels: tuple[_Panel, ...]
    panel_of: dict[str, str]
    notes: tuple[str, ...]


def propose_study(folder: Path, fcs: Path, trial_id: str | None = None, *, names: str = "") -> Proposal:
    """Write study.yaml, samples.csv, panels/ and gating/ into a folder, from FCS names and headers.

    Events are read only where two labels are exchanged, and no header value is kept but channel names and
    labels. What names and headers do not say stays empty and is in the notes.

    Parameters
    ----------
    folder
        Where the study is written.
    fcs
        Folder of the files, with those below it.
    trial_id
        Built-in design or YAML file; None writes none.
    names
        Pattern of the file names, as ``*_BATCH_PATIENT_VISIT_*``; "" finds one.

    Raises
    ------
    InputError
        The folder has a study already, there is no FCS file, the trial is unknown, or the pattern fits no file.
    """
    trial = load_trial(trial_id) if trial_id else None
    if (folder / "study.yaml").exists():
        hint = "name a new folder, or remove the file"
        raise InputError(Problem(str(folder / "study.yaml"), "", "is there already", hint))
    if not fcs.is_dir():
        raise InputError(Problem(str(fcs), "", "there is no such folder", "check the path"))
    found = sorted(p for p in fcs.rglob("*") if p.suffix.lower() in _SUFFIXES and not p.name.startswith("."))
    if not found:
        raise InputError(Problem(str(fcs), "", "no FCS file is in this folder", "files must end in .fcs or .lmd"))
    scan = _scan(fcs, found, trial, names)
    sheet, open_notes = _sheet(folder, scan)
    before, after = _comparison(scan, trial)
    visits = sorted({f.visit for f in scan.names.files if f.visit and not f.control})
    if not before and len(visits) > 1:
        open_notes.append(f"which visits are compared: comparison in study.yaml, of {', '.join(visits)}")
    study = _study_text(folder, scan, (before, after), _trial_key(folder, trial_id))
    texts = {"study.yaml": study, "samples.csv": sheet}
    for panel in scan.panels:
        texts[f"panels/{panel.name}.yaml"] = _panel_text(panel)
        texts[f"gating/{panel.strategy}.yaml"] = _strategy_text(panel.strategy)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return Proposal(folder, tuple(folder / name for name in texts), scan.names.pattern, (*scan.notes, *open_notes))


def _trial_key(folder: Path, trial_id: str | None) -> str:
    """Return the trial as study.yaml names it: an id, or a file relative to the folder."""
    if trial_id and Path(trial_id).exists():
        return Path(os.path.relpath(trial_id, folder)).as_posix()
    return trial_id or ""


def _scan(root: Path, found: Sequence[Path], trial: Trial | None, pattern: str) -> _Scan:
    relative = [path.relative_to(root).as_posix() for path in found]
    names = read_names(relative, trial, pattern)
    groups: dict[_Layout, list[str]] = {}
    notes = []
    for path, name in zip(found, relative, strict=True):
        try:
            header = read_header(path)
        except DataFileError as error:
            notes.append(f"{name}: {error.message}")
            continue
        groups.setdefault(tuple((c.name, c.label) for c in header.channels), []).append(name)
    notes += _labels_put_right(root, groups)
    panels: list[_Panel] = []
    panel_of: dict[str, str] = {}
    for described, members in groups.items():
        channels = resolve_channels([n for n, _ in described], [label for _, label in described])
        strategy = _strategy(channels)
        taken = sum(re.sub(r"_\d+$", "", p.name) == _WORDS[strategy] for p in panels)
        panel = _Panel(_WORDS[strategy] + (f"_{taken + 1}" if taken else ""), strategy, channels)
        panels.append(panel)
        panel_of |= dict.fromkeys(members, panel.name)
    return _Scan(root, names, tuple(panels), panel_of, tuple(notes))


def _labels_put_right(root: Path, groups: dict[_Layout, list[str]]) -> list[str]:
    """Move files whose labels are crossed by mistake, as their events say, to the panel they are of; return doubts.

    A file with two labels exchanged has a layout of its own, and would be proposed as a second panel.
    """
    from immunolab.quality.crossed_labels import fit_of
    from immunolab.quality.panel_drift import find_drift
    from immunolab.quality.staining import exchange_evidence
    from immunolab.workflow.check_stains import file_stains

    notes = []
    for layout in sorted(groups, key=lambda one: len(groups[one])):
        larger = [
            o for o in groups if len(groups[o]) > len(groups[layout]) and {c for c, _ in o} == {c for c, _ in layout}
        ]
        if not larger:
            continue
        usual = max(larger, key=lambda one: len(groups[one]))
        crossed = [one for one in find_drift({"usual": usual, "same": usual, "": layout}) if one.kind == "swapped"]
        if not crossed:
            continue
        stains = file_stains({name: root / name for name in groups[usual][:_COMPARED]})
        for name in list(groups[layout]):
            own = stains | file_stains({name: root / name})
            fits = {fit_of(exchange_evidence(own, name, (one.markers[0], one.markers[1]))) for one in crossed}
            labels = ", ".join(f"{one.markers[0]} and {one.markers[1]}" for one in crossed)
            if fits == {"exchanged"}:
                groups[layout].remove(name)
                groups[usual].append(name)
                said = "its events fit the other files' labels: it is proposed in their panel, labels exchanged back"
            elif fits == {"labelled"}:
                said = "its events fit its own labels: it is proposed in a panel of its own"
            else:
                said = "its events do not say which is right: it is in a panel of its own until you decide"
            notes.append(f"{name}: {labels} are exchanged against {len(groups[usual])} other files; {said}; check it")
        if not groups[layout]:
            del groups[layout]
    return notes


def _strategy(channels: Sequence[Channel]) -> str:
    markers = {channel.marker for channel in channels}
    if any(channel.kind == "mass" for channel in channels):
        return "cytof"
    if "FOXP3" in markers:
        return "treg_foxp3"
    return "th_ics" if "IL-17A" in markers else _SURFACE


def _sheet(folder: Path, scan: _Scan) -> tuple[str, list[str]]:
    """Return samples.csv and what stays open in it."""
    columns = ["sample_id", "patient_id", "visit", "file", "panel"]
    files_ = scan.names.files
    columns += ["batch"] if any(f.batch for f in files_) else []
    controls = [f for f in files_ if f.control and (f.patient or f.batch)]
    columns += ["control_of", "marker"] if controls else []
    homeless = [f.file for f in files_ if f.control and f not in controls]
    ids = _sample_ids(files_)
    ordered = sorted(files_, key=lambda f: (f.control, f.patient, *_visit_place(f.visit)))  # W2 comes before W10
    rows = [_row(folder, scan, f, ids[f.file]) for f in ordered if f.file not in homeless]
    gaps = [(name, "a control; the name does not say of what, add it with control_of") for name in homeless]
    notes = _by_gap(gaps + [(f.file, _gap(f)) for f in files_ if f.file in scan.names.unparsed])
    text = io.StringIO()
    read = f"Patient and visit were read from file names by {scan.names.pattern}: check every line."
    unread = "No pattern finds patient and visit in the file names: fill them in."
    text.write(f"# {read if scan.names.pattern else unread}\n")
    text.write(
        "# You may add the columns cohort, date or study_day, batch, lymphocytes_per_ul (cells per microlitre).\n"
    )
    text.writelines(f"# open: {note}\n" for note in notes)
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: neutralised(value) for name, value in row.items()} for row in rows)
    return text.getvalue(), notes


def _by_gap(gaps: Sequence[tuple[str, str]]) -> list[str]:
    """Return one line a file; one line for all where more than a few have the same gap."""
    files: dict[str, list[str]] = {}
    for name, gap in gaps:
        files.setdefault(gap, []).append(name)
    lines = []
    for gap, names in files.items():
        shown = [" ".join(name.split()) for name in names]  # a name with a line break would end a comment
        few = [f"{name}: {gap}" for name in shown]
        lines += few if len(few) <= _LISTED else [f"{len(few)} files: {gap} (first: {', '.join(shown[:_LISTED])})"]
    return lines


def _gap(named: NamedFile) -> str:
    if named.patient and named.written_visit:
        return f"visit '{named.written_visit}' is no visit of the trial"
    return "the name holds no patient and visit"


def _sample_ids(named: Sequence[NamedFile]) -> dict[str, str]:
    """Return a sample_id for each file: its stem, with its folders where stems repeat."""
    stems = [Path(f.file).stem.lower() for f in named]
    found: dict[str, str] = {}
    for f, stem in zip(named, stems, strict=True):
        path = Path(f.file)
        whole = "_".join((*path.parts[:-1], path.stem)) if stems.count(stem) > 1 else path.stem
        safe = re.sub(r'[/\\:*?"<>|\x00-\x1f]|\.\.', "_", whole).strip(".- ")
        found[f.file] = safe if not unsafe_name(safe) else f"sample_{len(found) + 1}"
    return found


def _row(folder: Path, scan: _Scan, named: NamedFile, sample_id: str) -> dict[str, str]:
    return {
        "sample_id": sample_id,
        "patient_id": named.patient,
        "visit": named.visit,
        "file": Path(os.path.relpath(scan.root / named.file, folder)).as_posix(),
        "panel": scan.panel_of.get(named.file, ""),
        "batch": named.batch,
        "control_of": (named.patient or named.batch) if named.control else "",
        "marker": named.marker,
    }


def _study_text(folder: Path, scan: _Scan, comparison: tuple[str, str], trial_key: str) -> str:
    before, after = comparison
    name = re.sub(r"[^\w\- ]", "_", folder.resolve().name) or "study"
    lines = [
        f"# Proposed from {len(scan.names.files)} FCS files. Check it, then: immunolab check, immunolab run.",
        f"study: '{name}'",
        f"trial: {trial_key}"
        if trial_key
        else "# trial: ID        # a built-in design (immunolab trials) or your own file",
        "sheet: samples.csv",
        "panels:" if scan.panels else "# panels: no header could be read",
    ]
    for panel in scan.panels:
        lines += [
            f"  {panel.name}:",
            f"    panel: panels/{panel.name}.yaml      # channel -> marker, as the files label them",
            f"    strategy: gating/{panel.strategy}.yaml      # a copy of the built-in gates: edit it here",
        ]
    lines += [
        "comparison:" if before else "# comparison:      # name the earlier and the later visit",
        f"  before: {before}" if before else "#   before: ",
        f"  after: {after}" if after else "#   after: ",
        "# measurements: measurements.csv    # patient_id, visit, variable, value, unit",
        "# doses: doses.csv                  # patient_id and date or study_day of every dose really given",
        "# adverse_events: adverse_events.csv    # patient_id, date or study_day, term, grade, serious, related",
        "# outcomes: outcomes.csv            # patient_id, endpoint, date or study_day, status (event, censored)",
    ]
    return "\n".join(lines) + "\n"


def _visit_place(visit: str) -> tuple[bool, list[tuple[int, str]]]:
    """Return where a visit comes by its name: named as the earlier one first, else by the numbers in it."""
    parts = [(int(part) if part.isdigit() else -1, part) for part in re.split(r"(\d+)", visit) if part]
    return visit.lower() not in _EARLIER, parts


def _comparison(scan: _Scan, trial: Trial | None) -> tuple[str, str]:
    """Return what to compare: phases of a trial, else the visits with the smallest and largest number.

    A visit that is named as the earlier one (pre, baseline) comes before those with numbers, or before the only other.
    """
    if trial is not None:
        return "baseline", "on_treatment"
    visits = {f.visit for f in scan.names.files if f.visit and not f.control}
    earlier = [v for v in visits if v.lower() in _EARLIER]
    later = visits - set(earlier)
    numbered = sorted((int(m.group()), v) for v in later if (m := re.search(r"\d+", v)))
    if len(earlier) == 1 and (len(later) == 1 or len(numbered) == len(later) > 0):
        return earlier[0], numbered[-1][1] if numbered else later.pop()
    if earlier or len(numbered) < 2 or len(numbered) < len(visits):
        return "", ""
    return numbered[0][1], numbered[-1][1]


def _panel_text(panel: _Panel) -> str:
    lines = ["# Channel -> marker. '' is a channel without a marker that is known: name it if it has one."]
    for channel in panel.channels:
        if channel.kind in ("scatter", "time"):
            continue
        label = f"    # labelled {channel.label}" if channel.label and channel.label != channel.marker else ""
        lines.append(f"'{channel.name}': '{channel.marker or ''}'{label}")
    return "\n".join(lines) + "\n"


def _strategy_text(name: str) -> str:
    return files("immunolab.gating.strategies").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
