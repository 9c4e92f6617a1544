"""The command line: words only. Each command parses its arguments and calls one verb of a room."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from immunolab.errors import ImmunolabError, InputError, Problem
from immunolab.version import VERSION

if TYPE_CHECKING:
    from immunolab.results.run import Run

DONE, INPUT_PROBLEM, USAGE, SOME_FAILED = 0, 1, 2, 3
Handler = Callable[[argparse.Namespace], int]
Subparsers = argparse._SubParsersAction


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (0 done, 1 input, 2 usage, 3 some samples failed)."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    speaker = logging.StreamHandler(sys.stderr)
    speaker.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("immunolab")
    log.addHandler(speaker)
    log.setLevel(logging.INFO)
    try:
        return int(arguments.handler(arguments))
    except ImmunolabError as error:
        if arguments.debug:
            raise
        _say_error(str(error))
        return INPUT_PROBLEM
    except KeyboardInterrupt:
        _say_error("interrupted; finished samples are kept and the same command goes on from them")
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        _say_error(_unforeseen(error))
        return INPUT_PROBLEM
    finally:
        log.removeHandler(speaker)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="immunolab", description="From cytometry files to paired shifts.")
    parser.add_argument("--version", action="version", version=f"immunolab {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    return parser


def _command(commands: Subparsers, name: str, text: str, handler: Handler) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(handler=handler)
    return parser


def _at_least_one(text: str) -> int:
    number = int(text) if text.strip().isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1 is needed")
    return number


def _unforeseen(error: Exception) -> str:
    """Return what to tell of an error no room foresaw: the system's refusal of a path, or a bug."""
    if isinstance(error, OSError) and error.strerror:
        hint = "check the path, who may write there and the space on the disk"
        return str(Problem(str(error.filename or ""), "", error.strerror, hint))
    return f"internal error: {type(error).__name__}: {error}\n    hint: run again with --debug and report it"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say_error(text: str) -> None:
    sys.stderr.write(text + "\n")


# --- one block a command: _add_NAME declares its words, _NAME calls the verb -----------------------


def _add_inspect(commands: Subparsers) -> None:
    parser = _command(commands, "inspect", "What is in an FCS or h5ad file, and what is odd about it.", _inspect)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--medians", action="store_true", help="each channel's median of the values as stored")
    parser.add_argument("--dataset", type=int, default=0, metavar="N", help="data set of the file, counted from 0")


def _inspect(arguments: argparse.Namespace) -> int:
    import json

    from immunolab.loaders.inspect import inspect_file, inspection_text

    found = inspect_file(arguments.file, medians=arguments.medians, dataset=arguments.dataset)
    _say(json.dumps(found, indent=1, ensure_ascii=False) if arguments.json else inspection_text(found))
    return DONE


def _add_convert(commands: Subparsers) -> None:
    parser = _command(commands, "convert", "Write an FCS file as AnnData (h5ad).", _convert)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("-o", "--out", required=True, metavar="OUT.h5ad")
    parser.add_argument("--panel", metavar="PANEL", help="channel and marker, CSV or YAML; wins over the file's labels")
    parser.add_argument("--dataset", type=int, default=0, metavar="N", help="data set of the file, counted from 0")


def _convert(arguments: argparse.Namespace) -> int:
    from immunolab.loaders.convert import convert_fcs
    from immunolab.vocabulary.panel import read_panel

    panel = read_panel(arguments.panel) if arguments.panel else None
    _say(str(convert_fcs(arguments.file, arguments.out, dataset=arguments.dataset, panel=panel)))
    return DONE


def _add_methods(commands: Subparsers) -> None:
    parser = _command(
        commands, "methods", "the threshold methods: what each assumes, its parameters, its source", _methods
    )
    parser.add_argument("name", nargs="?", metavar="METHOD", help="one method (default: all)")


def _methods(arguments: argparse.Namespace) -> int:
    from immunolab.gating.placement.method_lookup import card_text, chosen_cards

    _say("\n\n".join(card_text(card) for card in chosen_cards(arguments.name)))
    return DONE


def _add_trials(commands: Subparsers) -> None:
    parser = _command(commands, "trials", "the built-in designs: calendar, visits, endpoints, sources", _trials)
    parser.add_argument("trial", nargs="?", metavar="ID", help="a built-in design, or a trial file of your own")


def _trials(arguments: argparse.Namespace) -> int:
    from immunolab.study.calendar import describe_trial, list_trials
    from immunolab.study.trial import load_trial

    _say(describe_trial(load_trial(arguments.trial)) if arguments.trial else list_trials())
    return DONE


def _add_simulate(commands: Subparsers) -> None:
    parser = _command(commands, "simulate", "write a virtual trial with known truth as FCS files", _simulate)
    parser.add_argument("--trial", required=True, metavar="ID", help="built-in design, or a trial file of your own")
    parser.add_argument("--patients", required=True, type=int, metavar="N")
    parser.add_argument("--seed", required=True, type=int, metavar="S", help="the same seed writes the same bytes")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--visits", metavar="W0,W10", help="default: where the design compares subsets")
    parser.add_argument("--events", type=int, default=30_000, metavar="N", help="events of a file (default 30000)")
    parser.add_argument("--null", action="store_true", help="the drug has no effect")
    parser.add_argument("--confounded", action="store_true", help="baselines in one batch, later visits in another")
    parser.add_argument(
        "--batches", choices=("patients", "months", "none"), default="patients", help="what shares a run"
    )
    parser.add_argument("--lot-change", action="store_true", help="brighter CD25 from the middle run on")
    parser.add_argument("--drift", type=float, default=0.0, metavar="SD", help="asinh shift of each marker by visit")
    parser.add_argument("--centres", type=int, default=0, metavar="N", help="centres with strong batch effects")
    parser.add_argument("--fmo", action="store_true", help="fluorescence-minus-one controls in every run")
    parser.add_argument("--ics", action="store_true", help="a stimulated tube and its unstimulated pair at each visit")
    parser.add_argument(
        "--faults", type=float, default=0.0, metavar="RATE", help="1 is everyday life, 0 none (default)"
    )
    parser.add_argument("--mixed-labels", action="store_true", help="markers spelled differently from file to file")
    parser.add_argument("--citeseq", type=int, default=0, metavar="CELLS", help="CITE-seq of every sample too, as h5ad")
    parser.add_argument("--no-event-truth", action="store_true", help="leave out truth/events")


def _simulate(arguments: argparse.Namespace) -> int:
    from immunolab.simulation import Options, simulate

    chosen = ("batches", "lot_change", "drift", "centres", "fmo", "ics", "faults", "mixed_labels", "citeseq")
    simulate(
        arguments.trial,
        patients=arguments.patients,
        seed=arguments.seed,
        folder=arguments.out,
        visits=[name.strip() for name in arguments.visits.split(",")] if arguments.visits else None,
        events=arguments.events,
        null=arguments.null,
        confounded=arguments.confounded,
        options=Options(
            truth_events=not arguments.no_event_truth, **{name: getattr(arguments, name) for name in chosen}
        ),
    )
    _say(f"study: {arguments.out}/study.yaml\ntruth: {arguments.out}/truth")
    return DONE


def _add_demo(commands: Subparsers) -> None:
    parser = _command(commands, "demo", "Simulate a small lupus study and run it.", _demo)
    parser.add_argument("-o", "--out", default="immunolab_demo", metavar="DIR", help="folder (default: %(default)s)")
    parser.add_argument("--jobs", type=_at_least_one, default=2, metavar="N", help="tubes at once (default: 2)")


def _demo(arguments: argparse.Namespace) -> int:
    from immunolab.results.run import REPORT
    from immunolab.workflow.demo import demo

    return _say_done(demo(Path(arguments.out), jobs=arguments.jobs), Path(arguments.out) / REPORT)


def _add_init(commands: Subparsers) -> None:
    parser = _command(commands, "init", "propose a study from a folder of FCS files", _init)
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the study is written")
    parser.add_argument("--fcs", required=True, metavar="FOLDER", type=Path, help="searched with its subfolders")
    parser.add_argument("--trial", metavar="ID", help="a built-in design, or a trial file of your own")


def _init(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.propose import propose_study

    proposal = propose_study(arguments.folder, arguments.fcs, arguments.trial)
    _say(f"names are read by: {proposal.pattern or 'no pattern fits; fill in patient_id and visit'}")
    _say("\n".join(f"wrote {path}" for path in proposal.written))
    _say("\n".join(f"open: {note}" for note in proposal.notes) or "nothing is left open")
    _say(f"check every line, then: immunolab check {arguments.folder}")
    return DONE


def _add_check(commands: Subparsers) -> None:
    parser = _command(commands, "check", "Validate a study and list all problems; reads no event.", _check)
    parser.add_argument("study", metavar="STUDY", help="study.yaml or its folder")


def _check(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.check import check_study

    checked = check_study(arguments.study)
    for note in checked.notes:
        _say(f"note: {note}")
    if checked.problems:
        raise InputError(checked.problems)
    _say(f"{checked.n_samples} samples of {checked.n_patients} patients: no problem found")
    return DONE


def _add_run(commands: Subparsers) -> None:
    parser = _command(commands, "run", "Check, gate, quantify, compare, report; resumable.", _run)
    parser.add_argument("study", metavar="STUDY", help="study.yaml or its folder")
    parser.add_argument("-o", "--out", metavar="OUT", help="output folder (default: STUDY's folder with _out added)")
    parser.add_argument("--jobs", type=_at_least_one, default=1, metavar="N", help="tubes at once (default: 1)")
    parser.add_argument("--scheduler", default="", metavar="ADDRESS", help="send the per-tube work to a Dask cluster")
    parser.add_argument("--sample", default="", metavar="ID", help="compute this sample only")
    parser.add_argument("--memberships", action="store_true", help="write which events are in which population")
    parser.add_argument("--force", action="store_true", help="compute every sample again")
    parser.add_argument("--tables-only", action="store_true", help="write tables and gates, no figure and no report")
    parser.add_argument(
        "--definitions",
        choices=("default", "all"),
        default="default",
        help="gate every published definition that the panel allows",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of subsamples and resampling (default: 0)")


def _run(arguments: argparse.Namespace) -> int:
    from immunolab.results.run import REPORT
    from immunolab.workflow.run import run

    study = Path(arguments.study)
    folder = study if study.is_dir() else study.parent
    out = Path(arguments.out) if arguments.out else folder.resolve().with_name(f"{folder.resolve().name}_out")
    names = ("jobs", "scheduler", "sample", "memberships", "force", "tables_only", "definitions", "seed")
    found = run(study, out=out, **{name: getattr(arguments, name) for name in names})
    if arguments.tables_only:
        _say(f"tables: {out}/tables")
    return _say_done(found, None if arguments.tables_only else out / REPORT)


def _say_done(run: Run, page: Path | None) -> int:
    """Say what a run did and where its report is; return the exit code."""
    if run.computed:
        _say(f"{len(run.computed)} samples computed, {len(run.kept)} kept from an earlier run")
    elif run.kept:
        _say(f"no sample computed: all {len(run.kept)} are up to date")
    if run.failed:
        _say_error(f"{len(run.failed)} samples failed; tables/failures.csv says why: {', '.join(run.failed)}")
    if page:
        _say(f"report: {page}")
    return SOME_FAILED if run.failed else DONE


def _add_cluster(commands: Subparsers) -> None:
    text = "Cluster the events of FCS files together; every event gets a cluster, every cluster a name where one fits."
    parser = _command(commands, "cluster", text, _cluster)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--out", default="immunolab_clusters", metavar="OUT", help="default: %(default)s")
    parser.add_argument("--method", choices=("flowsom", "leiden"), default="flowsom", help="default: %(default)s")
    parser.add_argument("--clusters", type=_at_least_one, default=15, metavar="K", help="how many (default: 15)")
    parser.add_argument("--markers", default="", metavar="A,B", help="default: every marker that all files have")
    parser.add_argument("--strategy", type=Path, metavar="S", help="gates: for --parent, and to compare clusters with")
    parser.add_argument("--parent", default="", metavar="POPULATION", help="cluster its events only; needs --strategy")
    parser.add_argument("--merge", type=Path, metavar="TABLE", help="CSV with columns cluster, label: your own names")
    parser.add_argument("--umap", action="store_true", help="also draw the clusters on a UMAP of 5,000 events")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of every random draw (default: 0)")


def _cluster(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.cluster_files import ClusterOptions, cluster_files, cluster_text

    if arguments.parent and not arguments.strategy:
        raise InputError(Problem("", "--parent", "a parent needs gates", "name them with --strategy"))
    names = ("method", "clusters", "strategy", "parent", "merge", "umap", "seed")
    markers = tuple(name.strip() for name in arguments.markers.split(",") if name.strip())
    options = ClusterOptions(markers=markers, **{name: getattr(arguments, name) for name in names})
    outcome = cluster_files(arguments.files, arguments.out, options)
    _say(f"{cluster_text(outcome)}\nwritten: {outcome.out}/clusters.csv")
    return DONE


def _add_label(commands: Subparsers) -> None:
    text = "Label single cells: lineages, and Treg, naive, memory and helper subsets of CD4 T cells."
    parser = _command(commands, "label", text, _label)
    parser.add_argument("cells", metavar="CELLS", help=".h5ad, 10x .h5, or a folder with matrix.mtx")
    parser.add_argument("-o", "--out", default="labels.csv", metavar="labels.csv", help="default: %(default)s")
    parser.add_argument("--sample", default="", metavar="COL", help="column of obs that names the sample")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of every random draw (default: 0)")


def _label(arguments: argparse.Namespace) -> int:
    from immunolab.cells.annotate import label_file, label_text

    found = label_file(arguments.cells, arguments.out, sample_column=arguments.sample, seed=arguments.seed)
    _say(f"{label_text(found)}\nwritten: {arguments.out}")
    return DONE


def _add_compare(commands: Subparsers) -> None:
    text = "Compare two visits on any table, tidy or wide: paired shifts with intervals, p and q."
    parser = _command(commands, "compare", text, _compare)
    parser.add_argument("table", metavar="TABLE", help="CSV or XLSX")
    parser.add_argument("--patient", required=True, metavar="COL")
    parser.add_argument("--visit", default="", metavar="COL", help="left out: --before and --after name columns")
    parser.add_argument("--before", required=True, metavar="V", help="a visit; several joined by commas are averaged")
    parser.add_argument("--after", required=True, metavar="V")
    parser.add_argument(
        "--value", action="append", default=[], metavar="COL", help="measured column; repeat it, or use * as in 'CD4*'"
    )
    parser.add_argument("--count", default="", metavar="COL", help="events of the population")
    parser.add_argument("--parent-count", default="", metavar="COL", help="events of its parent")
    parser.add_argument("--endpoint", default="", metavar="COL", help="what a row measures, in a table of several")
    parser.add_argument("--arm", default="", metavar="COL", help="arm or cohort: each by itself, and two compared")
    parser.add_argument("--reference", default="", metavar="ARM", help="the arm the other is compared with")
    parser.add_argument("--batch", default="", metavar="COL", help="batch of a sample; the shift is adjusted for it")
    parser.add_argument("--scale", choices=("logit", "arcsine", "log", "identity"), help="default: by unit and range")
    parser.add_argument(
        "--test",
        choices=("t", "wilcoxon", "signflip", "count_weighted", "mixed", "binomial_mixed", "auto"),
        default="t",
        help="default t; auto also moderates it across ten or more counted endpoints",
    )
    parser.add_argument("--adjust", choices=("bh", "holm", "none"), default="bh", help="over endpoints (default bh)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of sign flips above 13 patients (default 0)")
    parser.add_argument("-o", "--out", metavar="shifts.csv", help="_pairs.csv and _visits.csv are written beside it")


def _compare(arguments: argparse.Namespace) -> int:
    from immunolab.comparison.compare import compare, write_comparison

    names = ("patient", "visit", "before", "after", "value", "count", "parent_count", "endpoint", "arm", "batch")
    words = (*names, "scale", "test", "adjust", "reference", "seed")
    found = compare(Path(arguments.table), **{name: getattr(arguments, name) for name in words})
    _say(found.summary())
    if arguments.out:
        _say("written: " + ", ".join(map(str, write_comparison(found, Path(arguments.out)))))
    return DONE


def _add_gate(commands: Subparsers) -> None:
    parser = _command(commands, "gate", "Gate FCS files with one strategy; no study needed.", _gate)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--strategy", required=True, metavar="S", help="YAML, Gating-ML .xml, FlowJo .wsp or .xml, or a shipped name"
    )
    parser.add_argument("-o", "--out", default="immunolab_gates", metavar="OUT", help="folder (default: %(default)s)")
    parser.add_argument("--jobs", type=_at_least_one, default=1, metavar="N", help="tubes at once (default: 1)")
    parser.add_argument("--memberships", action="store_true", help="write which events are in which population")
    parser.add_argument(
        "--against",
        metavar="REFERENCE",
        help="report agreement with a FlowJo workspace, Gating-ML, counts (CSV: sample, path, count) or labels (CSV)",
    )
    parser.add_argument("--wsp", metavar="FILE", help="also write the gates as a FlowJo workspace")


def _gate(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.gate_files import GateOptions, gate_files
    from immunolab.workflow.gate_summary import agreement_text, failure_lines

    options = GateOptions(
        arguments.jobs,
        arguments.memberships,
        Path(arguments.against) if arguments.against else None,
        Path(arguments.wsp) if arguments.wsp else None,
    )
    outcome = gate_files(arguments.files, arguments.strategy, arguments.out, options)
    if outcome.agreement is not None:
        _say(agreement_text(outcome.agreement))
    _say(f"{len(outcome.done)} of {len(arguments.files)} files gated: {outcome.out}/counts.csv")
    for line in failure_lines(outcome.failures):
        _say_error(line)
    if outcome.problems and not outcome.done:
        raise InputError(outcome.problems)
    for problem in outcome.problems:
        _say_error(str(problem))
    return SOME_FAILED if len(outcome.failures) else DONE


def _add_deidentify(commands: Subparsers) -> None:
    parser = _command(commands, "deidentify", "Write FCS files under study codes, without identifiers.", _deidentify)
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, or folders that are searched through")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("-o", "--out", metavar="OUT", help="folder for the new files")
    wanted.add_argument("--scan", action="store_true", help="only report what is there (exit 1 when something is)")
    parser.add_argument("--key", metavar="KEY.csv", help="columns file, code; outside OUT (default: OUT_key.csv)")


def _deidentify(arguments: argparse.Namespace) -> int:
    from immunolab.privacy import deidentify, findings_text, scan

    if arguments.scan:
        findings = scan(arguments.paths)
        _say(findings_text(findings) or "nothing found")
        return INPUT_PROBLEM if findings else DONE
    done = deidentify(arguments.paths, arguments.out, key=arguments.key)
    for record in done.records:
        hashes = f"DATA sha256 {record.data_sha256_before} before, {record.data_sha256_after} after"
        _say(f"{record.file}  {record.n_events:,} events  {hashes}")
    _say(f"key: {done.key} (names the originals: keep it apart from {arguments.out})")
    for failure in done.failures:
        _say_error(str(failure))
    return SOME_FAILED if done.failures else DONE


def _add_verify(commands: Subparsers) -> None:
    text = "Work out every number of a finished run again, and check the hashes of what went in and came out."
    parser = _command(commands, "verify", text, _verify)
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder that run wrote")


def _verify(arguments: argparse.Namespace) -> int:
    from immunolab.report.verify import verify
    from immunolab.results.record import read_run

    problems = verify(read_run(arguments.out))
    if problems:
        raise InputError(problems)
    _say("every hash agrees, and every number was worked out again to the same value")
    return DONE


COMMANDS: tuple[Callable[[Subparsers], None], ...] = (
    _add_demo,
    _add_init,
    _add_check,
    _add_run,
    _add_gate,
    _add_cluster,
    _add_label,
    _add_compare,
    _add_inspect,
    _add_convert,
    _add_methods,
    _add_trials,
    _add_simulate,
    _add_deidentify,
    _add_verify,
)
