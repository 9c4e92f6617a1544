"""`immunolab.export`: a finished run in a format that trials or repositories ask for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from immunolab.errors import InputError, Problem, unknown_words
from immunolab.exports.acs import cleaned_samples, write_acs
from immunolab.exports.adam import write_adam
from immunolab.exports.immport import write_immport
from immunolab.exports.ro_crate import write_ro_crate
from immunolab.exports.sdtm import write_sdtm
from immunolab.report.exports import record_export
from immunolab.report.manifest import NAME as MANIFEST
from immunolab.results.record import RECORD
from immunolab.results.run import Run
from immunolab.schema.files import file_sha256, write_atomically

ExportFormat = Literal["adam", "sdtm", "immport", "ro-crate", "acs"]
_README = "README.txt"
_CONTENTS = {
    "adam": (
        "Endpoints, one record a patient, parameter and visit, in the structure of an ADaM basic data "
        "structure. It follows the names of ADaM; no validator of submissions was run on it. define.csv: "
        "every variable and where it comes from. parameters.csv: the endpoint behind each PARAMCD."
    ),
    "sdtm": (
        "Findings in the structure of SDTM: CP, populations of cells, and LB, measurements. It follows the "
        "names of SDTM; no validator of submissions was run on it. define.csv: every variable and where it "
        "comes from."
    ),
    "immport": (
        "FCM_Derived_data.txt: percent of parent and events of every population and sample, tab-separated, "
        "with the headings of ImmPort's template of derived flow data, and definitions in markers. Expsample "
        "ID holds the sample_id of the sheet."
    ),
    "acs": (
        "A container of the Archival Cytometry Standard (a zip file): FCS files, their gates as Gating-ML "
        "2.0, tables, manifest, and the table of contents TOC1.xml. FCS files are whole, with every keyword "
        "of their headers: immunolab deidentify --scan finds names in them."
    ),
}
_WITHHELD = "A value that is withheld is empty, with the reason beside it."
_NAMES = "Patients and samples have the identifiers of the sample sheet, and no others."


def export(run: Run, *, format: ExportFormat, out: Path | str | None = None, agent: str = "") -> list[Path]:
    """Write a finished run in a format that trials or repositories ask for.

    Parameters
    ----------
    run
        The finished run.
    format
        ``adam`` (endpoints as BDS), ``sdtm`` (findings CP and LB), ``immport`` (derived flow data with HIPC
        definitions), ``ro-crate`` (``ro-crate-metadata.json`` beside the manifest), ``acs`` (container of FCS files,
        gates and results).
    out
        Folder; ``exports/FORMAT`` in the run's folder by default. A crate is always beside the manifest.
    agent
        Who ran it, for ``ro-crate``: an ORCID or another address; left out, nobody is named.

    Returns
    -------
    list of Path
        The files written; a ``README.txt`` among them says what they contain.

    Raises
    ------
    InputError
        The format is unknown, `out` or `agent` is given where it has no meaning, the manifest of a crate or a file is
        missing or has changed.
    """
    problems = unknown_words(format=(format, get_args(ExportFormat)))
    if format == "ro-crate" and out is not None:
        problems.append(Problem("", "out", "a crate describes the run's own folder", "leave it out"))
    if format != "ro-crate" and agent:
        problems.append(Problem("", "agent", f"{format} names nobody", "leave it out"))
    if format == "ro-crate" and not (run.folder / MANIFEST).exists():
        hint = "a crate describes a run with its report: immunolab run without --tables-only"
        problems.append(Problem(str(run.folder / MANIFEST), "", "is missing", hint))
    if problems:
        raise InputError(problems)
    written = write_ro_crate(run, agent=agent) if format == "ro-crate" else _written(run, format, out)
    if (run.folder / RECORD).exists():  # where there is none, nothing can be said of what the files are made of
        record_export(run, format, written)
    return written


def _written(run: Run, format: ExportFormat, out: Path | str | None) -> list[Path]:
    folder = Path(out) if out is not None else run.folder / "exports" / format
    folder.mkdir(parents=True, exist_ok=True)
    write = {"adam": write_adam, "sdtm": write_sdtm, "immport": write_immport, "acs": write_acs}[format]
    return [*write(run, folder), _readme(run, format, folder)]


def _readme(run: Run, format: ExportFormat, folder: Path) -> Path:
    path = folder / _README
    lines = [
        f"{run.study.name}, exported by immunolab {run.versions.get('immunolab', '')} as {format}",
        *(["Simulated data: no value is of a person."] if run.study.simulated else []),
        "",
        _CONTENTS[format],
        _NAMES,
        _WITHHELD,
        *_of_dates(run, format),
        *_of_cleaning(run, format),
        *_of_sas(format),
        f"Made of the run with {RECORD} sha256 {file_sha256(run.folder / RECORD)}.",
    ]
    write_atomically(path, lambda part: part.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    return path


def _of_dates(run: Run, format: ExportFormat) -> list[str]:
    """Return a line on dates where there are any: they may name a person, as nothing else here does."""
    where = {"sdtm": "LBDTC", "acs": "results/measurements.csv"}.get(format)
    table = run.table("measurements")
    dates = table["date"].fillna("").astype(str) if "date" in table else []  # a study without measurements has none
    if where is None or not any(dates):
        return []
    return [f"{where} has the dates of the measurements; a study whose measurements have study days holds none."]


def _of_cleaning(run: Run, format: ExportFormat) -> list[str]:
    """Return a line on tubes whose files hold events that the run's counts are without."""
    cleaned = sorted(cleaned_samples(run)) if format == "acs" else []
    if not cleaned:
        return []
    return [
        f"FCS files hold all events; counts of {', '.join(cleaned)} are without the stretches in "
        "results/removed_stretches.csv: il.read_fcs(one.fcs).clean() cuts them before il.gate."
    ]


def _of_sas(format: ExportFormat) -> list[str]:
    if format not in ("adam", "sdtm"):
        return []
    if find_spec("pyreadstat"):
        return ["XPT files are SAS transport version 5; texts over 200 bytes are cut there, and are whole in the CSV."]
    return ["XPT files need pyreadstat: pip install 'immunolab[sas]'"]
