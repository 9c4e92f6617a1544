"""The commands on files of events: inspect, convert, de-identify."""

from __future__ import annotations

import argparse

from immunolab.cli.words import DONE, INPUT_PROBLEM, SOME_FAILED, Subparsers, add_quiet, command, say, say_error


def add_inspect(commands: Subparsers) -> None:
    """Declare the words of ``immunolab inspect``."""
    parser = command(
        commands, "inspect", "Show what is in an FCS or h5ad file, and what is unusual about it.", _inspect
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--medians", action="store_true", help="each channel's median of the values as stored")
    parser.add_argument("--dataset", type=int, default=0, metavar="N", help="data set of the file, counted from 0")


def _inspect(arguments: argparse.Namespace) -> int:
    import json
    from functools import partial

    from immunolab.errors import DataFileError
    from immunolab.loaders.hdf5 import is_hdf5
    from immunolab.loaders.inspect import inspect_file, inspection_text
    from immunolab.workflow.read_apart import read_apart

    inspect = partial(inspect_file, medians=arguments.medians, dataset=arguments.dataset)
    found, unread = [], []
    for file in arguments.files:
        try:
            found.append(read_apart(inspect, file) if is_hdf5(file) else inspect(file))
        except DataFileError as error:
            if len(arguments.files) == 1:
                raise
            unread.append(str(error))
    if arguments.json:
        say(json.dumps(found[0] if len(arguments.files) == 1 else found, indent=1, ensure_ascii=False))
    elif found:
        say("\n\n".join(map(inspection_text, found)))
    for refused in unread:
        say_error(refused)
    return SOME_FAILED if unread else DONE


def add_qc(commands: Subparsers) -> None:
    """Declare the words of ``immunolab qc``."""
    text = "Check FCS files by themselves: run, detectors, compensation, cells; no study needed."
    parser = command(commands, "qc", text, _qc)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--out", default="immunolab_qc", metavar="OUT", help="folder (default: %(default)s)")
    parser.add_argument("--panel", metavar="PANEL", help="channel and marker, CSV or YAML; wins over the file's labels")
    add_quiet(parser)


def _qc(arguments: argparse.Namespace) -> int:
    from immunolab.report.qc_page import LIGHTS_PAGE
    from immunolab.workflow.qc_files import qc_files, qc_text

    found = qc_files(arguments.files, arguments.out, panel=arguments.panel)
    say(f"{qc_text(found)}\nwritten: {arguments.out}/{LIGHTS_PAGE}, {arguments.out}/quality.csv")
    unread = found.table["message"].astype(str).str.startswith("cannot be read")
    return SOME_FAILED if unread.any() else DONE


def add_convert(commands: Subparsers) -> None:
    """Declare the words of ``immunolab convert``."""
    parser = command(commands, "convert", "Write an FCS file as AnnData (h5ad).", _convert)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("-o", "--out", required=True, metavar="OUT.h5ad")
    parser.add_argument("--panel", metavar="PANEL", help="channel and marker, CSV or YAML; wins over the file's labels")
    parser.add_argument("--dataset", type=int, default=0, metavar="N", help="data set of the file, counted from 0")


def _convert(arguments: argparse.Namespace) -> int:
    from immunolab.loaders.convert import convert_fcs
    from immunolab.vocabulary.panel import read_panel

    panel = read_panel(arguments.panel) if arguments.panel else None
    say(str(convert_fcs(arguments.file, arguments.out, dataset=arguments.dataset, panel=panel)))
    return DONE


def add_deidentify(commands: Subparsers) -> None:
    """Declare the words of ``immunolab deidentify``."""
    parser = command(commands, "deidentify", "Write FCS files under study codes, without identifiers.", _deidentify)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, or folders that are searched through")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("-o", "--out", metavar="OUT", help="folder for the new files")
    wanted.add_argument("--scan", action="store_true", help="only report what is there (exit 1 when something is)")
    parser.add_argument("--key", metavar="KEY.csv", help="columns file, code; outside OUT (default: OUT_key.csv)")


def _deidentify(arguments: argparse.Namespace) -> int:
    from immunolab.privacy import deidentify, findings_text, scan

    if arguments.scan:
        findings = scan(arguments.paths)
        say(findings_text(findings) or "nothing found")
        return INPUT_PROBLEM if findings else DONE
    done = deidentify(arguments.paths, arguments.out, key=arguments.key)
    for record in done.records:
        hashes = f"DATA sha256 {record.data_sha256_before} before, {record.data_sha256_after} after"
        say(f"{record.file}  {record.n_events:,} events  {hashes}")
    say(f"key: {done.key} (names the originals: keep it apart from {arguments.out})")
    for failure in done.failures:
        say_error(str(failure))
    return SOME_FAILED if done.failures else DONE
