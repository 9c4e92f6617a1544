"""An ISAC archival container (ACS 1.0): FCS files, their Gating-ML, the results, and the table of contents."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

import defusedxml.ElementTree as safe

from immunolab.errors import DataFileError, InputError, Problem
from immunolab.report.manifest import NAME as MANIFEST
from immunolab.results.run import Run
from immunolab.schema.files import file_sha256, write_atomically

TOC = "TOC1.xml"
_NAMESPACE = "http://www.isac-net.org/std/ACS/1.0/toc/"
_FCS, _GATES = "application/vnd.isac.fcs", "application/vnd.isac.gating-ml+xml"
_CLEANED = "; all of its events: the counts of the run are without the stretches in results/removed_stretches.csv"
_DESCRIBED = "gating description"  # relationship of a tube to its gates


@dataclass(frozen=True)
class ArchivedTube:
    """A tube of a container: its sample, its file and its gates, as unpacked."""

    sample_id: str
    fcs: Path
    gates: Path


def write_acs(run: Run, folder: Path) -> list[Path]:
    """Write ``STUDY.acs``: every gated tube with its gates, the tables and the manifest.

    Parameters
    ----------
    run
        The finished run; its FCS files have to be where they were.
    folder
        Where to.

    Raises
    ------
    InputError
        Lists every FCS file that is missing or is another than the one that the run read.
    """
    path = folder / f"{''.join(c if c.isalnum() else '_' for c in run.study.name)}.acs"
    tubes, cleaned = list(_tubes(run)), cleaned_samples(run)
    problems = [
        Problem(str(fcs), "", "is missing or differs from the file that the run read", "run the study again")
        for _, fcs, _ in tubes
        if not fcs.is_file() or file_sha256(fcs) != run.inputs.get(run.study.relative(fcs))
    ]
    if problems:
        raise InputError(problems)
    toc = Element(_tag("TOC"))

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for sample, fcs, gates in tubes:
                inside = f"fcs/{sample}{fcs.suffix.lower()}"
                _store(archive, fcs, inside)
                _store(archive, gates, f"gates/{sample}.xml")
                entry = _entry(toc, inside, _FCS, f"sample {sample}{_CLEANED if sample in cleaned else ''}")
                link = {_tag("to"): _uri(f"gates/{sample}.xml"), _tag("relationship"): _DESCRIBED}
                SubElement(entry, _tag("associated"), link)
                _entry(toc, f"gates/{sample}.xml", _GATES, f"gates of sample {sample}, Gating-ML 2.0")
            for table in sorted((run.folder / "tables").glob("*.csv")):
                _store(archive, table, f"results/{table.name}")
                _entry(toc, f"results/{table.name}", "text/csv", f"results: {table.stem}")
            if (run.folder / MANIFEST).exists():
                _store(archive, run.folder / MANIFEST, f"results/{MANIFEST}")
                _entry(toc, f"results/{MANIFEST}", "application/json", "hashes of inputs and outputs, versions, plan")
            register_namespace("toc", _NAMESPACE)
            indent(toc)
            archive.writestr(_info(TOC), tostring(toc, encoding="utf-8", xml_declaration=True))

    write_atomically(path, write)
    return [path]


def cleaned_samples(run: Run) -> set[str]:
    """Return the samples whose runs were cleaned before they were gated.

    Parameters
    ----------
    run
        The finished run.
    """
    return set(run.table("removed_stretches")["sample_id"].astype(str))


def _tubes(run: Run) -> Iterator[tuple[str, Path, Path]]:
    for sample in run.samples:
        gates = run.folder / "gates" / f"{sample.sample_id}.xml"
        if gates.exists():
            yield sample.sample_id, Path(sample.file), gates


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"


def _uri(inside: str) -> str:
    return f"file:///{quote(inside)}"


def _entry(toc: Element, inside: str, kind: str, text: str) -> Element:
    return SubElement(toc, _tag("file"), {_tag("URI"): _uri(inside), _tag("mimeType"): kind, _tag("description"): text})


def _info(inside: str) -> zipfile.ZipInfo:
    """Return an entry without the time of day: the same run gives the same bytes."""
    info = zipfile.ZipInfo(inside)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _store(archive: zipfile.ZipFile, path: Path, inside: str) -> None:
    with path.open("rb") as source, archive.open(_info(inside), "w", force_zip64=True) as target:
        while block := source.read(1 << 20):
            target.write(block)


def read_acs(path: Path | str, folder: Path | str) -> list[ArchivedTube]:
    """Unpack the tubes and gates of a container that immunolab wrote, or one whose contents are declared alike.

    Parameters
    ----------
    path
        The container.
    folder
        Where tubes and gates are unpacked.

    Returns
    -------
    list of ArchivedTube
        In the order of the table of contents; ``il.gate(il.read_fcs(one.fcs), one.gates)`` gives the counts again, of a
        tube that the run cleaned (its entry in the table of contents says so) with ``il.read_fcs(one.fcs).clean()``.

    Raises
    ------
    DataFileError
        It is no container, has no table of contents, names a file that is missing, or one outside of it.
    """
    source, target = Path(path), Path(folder)
    try:
        with zipfile.ZipFile(source) as archive:
            if TOC not in archive.namelist():
                raise DataFileError(f"the container has no table of contents ({TOC})", str(source), "export it again")
            found = []
            for entry in safe.fromstring(archive.read(TOC)).iter(_tag("file")):
                link = entry.find(_tag("associated"))
                if link is None or link.get(_tag("relationship")) != _DESCRIBED:
                    continue
                names = [_inside(text or "", source) for text in (entry.get(_tag("URI")), link.get(_tag("to")))]
                fcs, gates = (Path(archive.extract(name, target)) for name in names)
                found.append(ArchivedTube(PurePosixPath(names[0]).stem, fcs, gates))
            return found
    except (OSError, zipfile.BadZipFile, KeyError, safe.ParseError) as error:
        raise DataFileError(f"the container cannot be read: {error}", str(source), "copy it again") from error


def _inside(uri: str, source: Path) -> str:
    name = unquote(uri.removeprefix("file:///"))
    if not name or name.startswith("/") or ".." in PurePosixPath(name).parts or ":" in name:
        raise DataFileError(f"the container names a file outside of itself: {uri}", str(source), "do not trust it")
    return name
