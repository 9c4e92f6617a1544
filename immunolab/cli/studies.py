"""The commands that make a study and look at it before it is run: trials, simulate, init, check."""

from __future__ import annotations

import argparse
from pathlib import Path

from immunolab.cli.words import DONE, Subparsers, add_allow_code, command, say
from immunolab.errors import InputError


def add_trials(commands: Subparsers) -> None:
    """Declare the words of ``immunolab trials``."""
    parser = command(commands, "trials", "Show the built-in designs: calendar, visits, endpoints, sources.", _trials)
    parser.add_argument("trial", nargs="?", metavar="ID", help="a built-in design, or a trial file of your own")


def _trials(arguments: argparse.Namespace) -> int:
    from immunolab.study.calendar import describe_trial, list_trials
    from immunolab.study.trial import load_trial
    from immunolab.workflow.unmeasured import unknown_populations

    if not arguments.trial:
        say(list_trials())
        return DONE
    trial = load_trial(arguments.trial)
    say("\n".join([describe_trial(trial), *(f"\nNOTE  {note}" for note in unknown_populations(trial))]))
    return DONE


def add_simulate(commands: Subparsers) -> None:
    """Declare the words of ``immunolab simulate``."""
    parser = command(commands, "simulate", "Write a virtual trial with known truth as FCS files.", _simulate)
    parser.add_argument("--trial", required=True, metavar="ID", help="built-in design, or a trial file of your own")
    parser.add_argument("--patients", required=True, type=int, metavar="N")
    parser.add_argument("--seed", required=True, type=int, metavar="S", help="the same seed writes the same bytes")
    parser.add_argument("-o", "--out", required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--visits", metavar="W0,W10", help="default: where the design compares subsets")
    parser.add_argument("--events", type=int, default=30_000, metavar="N", help="events of a file (default 30000)")
    parser.add_argument("--null", action="store_true", help="the drug has no effect")
    parser.add_argument("--confounded", action="store_true", help="baselines in one batch, later visits in another")
    parser.add_argument(
        "--batches",
        choices=("patients", "months", "crossed", "none"),
        default="patients",
        help="what shares a run; crossed: four runs, a patient's next visit is in the next one",
    )
    parser.add_argument("--lot-change", action="store_true", help="brighter CD25 from the middle run on")
    parser.add_argument("--drift", type=float, default=0.0, metavar="SD", help="asinh shift of each marker by visit")
    parser.add_argument(
        "--batch-drift", type=float, default=0.0, metavar="SD", help="asinh step of each marker from run to run"
    )
    parser.add_argument("--bridges", action="store_true", help="a bridging control in every run")
    parser.add_argument(
        "--wrong-bridge",
        choices=("stain", "fade", "drift", "donor", "thaw", "labels", "missing", "few"),
        default="",
        help="what is wrong with that of the last run",
    )
    parser.add_argument("--centres", type=int, default=0, metavar="N", help="centres with strong batch effects")
    parser.add_argument("--fmo", action="store_true", help="fluorescence-minus-one controls in every run")
    parser.add_argument("--ics", action="store_true", help="a stimulated tube and its unstimulated pair at each visit")
    parser.add_argument(
        "--faults",
        type=float,
        default=0.0,
        metavar="RATE",
        help="share of the usual rate of faults: 1 as in practice, 0 none (default)",
    )
    parser.add_argument("--mixed-labels", action="store_true", help="markers spelled differently from file to file")
    parser.add_argument("--citeseq", type=int, default=0, metavar="CELLS", help="CITE-seq of every sample too, as h5ad")
    parser.add_argument("--no-event-truth", action="store_true", help="leave out truth/events")


def _simulate(arguments: argparse.Namespace) -> int:
    from immunolab.simulation import Options, simulate

    chosen = [
        *("batches", "lot_change", "drift", "batch_drift", "bridges", "wrong_bridge", "centres", "fmo", "ics"),
        *("faults", "mixed_labels", "citeseq"),
    ]
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
    say(f"study: {arguments.out}/study.yaml\ntruth: {arguments.out}/truth")
    return DONE


def add_init(commands: Subparsers) -> None:
    """Declare the words of ``immunolab init``."""
    parser = command(commands, "init", "Propose a study from a folder of FCS files.", _init)
    parser.add_argument("folder", metavar="DIR", type=Path, help="where the study is written")
    parser.add_argument("--fcs", required=True, metavar="FOLDER", type=Path, help="searched with its subfolders")
    parser.add_argument("--trial", metavar="ID", help="a built-in design, or a trial file of your own")
    parser.add_argument(
        "--names", default="", metavar="PATTERN", help="of the file names, as *_BATCH_PATIENT_VISIT_*; * is one word"
    )


def _init(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.propose import propose_study

    proposal = propose_study(arguments.folder, arguments.fcs, arguments.trial, names=arguments.names)
    say(f"names are read by: {proposal.pattern or 'no pattern fits: give one with --names, or fill in the sheet'}")
    say("\n".join(f"wrote {path}" for path in proposal.written))
    say("\n".join(f"open: {note}" for note in proposal.notes) or "nothing is left open")
    say(f"check every line, then: immunolab check {arguments.folder}")
    return DONE


def add_check(commands: Subparsers) -> None:
    """Declare the words of ``immunolab check``."""
    parser = command(commands, "check", "Validate a study and list all problems; gates nothing.", _check)
    parser.add_argument("study", metavar="STUDY", help="study.yaml or its folder, also as s3:// or another fsspec path")
    add_allow_code(parser)


def _check(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.check import check_study
    from immunolab.workflow.remote import local_copy

    checked = check_study(local_copy(arguments.study), allow_code=arguments.allow_code)
    for note in checked.notes:
        say(f"note: {note}")
    if checked.problems:
        raise InputError(checked.problems)
    say(f"{checked.n_samples} samples of {checked.n_patients} patients: no problem found")
    return DONE
