"""The commands on files and tables without a study: gate, cluster, label, compare."""

from __future__ import annotations

import argparse
from pathlib import Path

from immunolab.cli.words import DONE, SOME_FAILED, Subparsers, add_quiet, at_least_one, command, say, say_error
from immunolab.errors import InputError, Problem


def add_methods(commands: Subparsers) -> None:
    """Declare the words of ``immunolab methods``."""
    parser = command(
        commands, "methods", "Show the threshold methods: what each assumes, its parameters, its source.", _methods
    )
    parser.add_argument("name", nargs="?", metavar="METHOD", help="one method (default: all)")


def _methods(arguments: argparse.Namespace) -> int:
    from immunolab.gating.placement.method_lookup import card_text, chosen_cards

    say("\n\n".join(card_text(card) for card in chosen_cards(arguments.name)))
    return DONE


# the same table as in study.yaml and in `read_fcs`
_PANEL = "channel and marker, CSV or YAML, for files without marker names; wins over the file's labels"


def add_gate(commands: Subparsers) -> None:
    """Declare the words of ``immunolab gate``."""
    parser = command(commands, "gate", "Gate FCS files with one strategy; no study needed.", _gate)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--strategy", required=True, metavar="S", help="YAML, Gating-ML .xml, FlowJo .wsp or .xml, or a shipped name"
    )
    parser.add_argument(
        "--specimen",
        choices=("blood", "other"),
        help="blood is adult human, whose shares are bounded; other (mouse, tissue, sorted cells) has no bounds "
        "(default: what the strategy says)",
    )
    parser.add_argument("--panel", type=Path, metavar="PANEL", help=_PANEL)
    parser.add_argument("--follow", action="store_true", help="carry drawn gates from the files they were drawn on")
    parser.add_argument(
        "--template",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a file that the gates were drawn on, to carry them from (default: those that the workspace names)",
    )
    parser.add_argument("-o", "--out", default="immunolab_gates", metavar="OUT", help="folder (default: %(default)s)")
    parser.add_argument("--jobs", type=at_least_one, default=1, metavar="N", help="tubes at once (default: 1)")
    parser.add_argument("--memberships", action="store_true", help="write which events are in which population")
    parser.add_argument(
        "--against",
        metavar="REFERENCE",
        help="report agreement with a FlowJo workspace, Gating-ML, counts (CSV: sample, path, count) or labels (CSV)",
    )
    parser.add_argument("--wsp", metavar="FILE", help="also write the gates as a FlowJo workspace")
    add_quiet(parser)


def _gate(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.gate_files import GateOptions, gate_files
    from immunolab.workflow.gate_summary import agreement_text, failure_lines

    options = GateOptions(
        arguments.jobs,
        arguments.memberships,
        Path(arguments.against) if arguments.against else None,
        Path(arguments.wsp) if arguments.wsp else None,
        arguments.specimen,
        follow=arguments.follow,
        templates=tuple(arguments.template),
        panel=arguments.panel,
    )
    outcome = gate_files(arguments.files, arguments.strategy, arguments.out, options)
    if outcome.agreement is not None:
        say(agreement_text(outcome.agreement))
    say(f"{len(outcome.done)} of {len(arguments.files)} files gated: {outcome.out}/counts.csv")
    if outcome.review:
        say(outcome.review)
    for line in failure_lines(outcome.failures):
        say_error(line)
    if outcome.problems and not outcome.done:
        raise InputError(outcome.problems)
    for problem in outcome.problems:
        say_error(str(problem))
    return SOME_FAILED if len(outcome.failures) else DONE


def add_cluster(commands: Subparsers) -> None:
    """Declare the words of ``immunolab cluster``."""
    text = "Cluster the events of FCS files together; every event gets a cluster, every cluster a name where one fits."
    parser = command(commands, "cluster", text, _cluster)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("-o", "--out", default="immunolab_clusters", metavar="OUT", help="default: %(default)s")
    parser.add_argument("--method", choices=("flowsom", "leiden"), default="flowsom", help="default: %(default)s")
    parser.add_argument(
        "--clusters",
        type=at_least_one,
        metavar="K",
        help="how many (default: as many as halves of the events find again)",
    )
    parser.add_argument("--markers", default="", metavar="A,B", help="default: every marker that all files have")
    parser.add_argument("--panel", type=Path, metavar="PANEL", help=_PANEL)
    parser.add_argument("--strategy", type=Path, metavar="S", help="gates: for --parent, and to compare clusters with")
    parser.add_argument("--parent", default="", metavar="POPULATION", help="cluster its events only; needs --strategy")
    parser.add_argument("--merge", type=Path, metavar="TABLE", help="CSV with columns cluster, label: your own names")
    parser.add_argument(
        "--sheet", type=Path, metavar="SHEET", help="patient_id, visit and file: compares clusters between two visits"
    )
    parser.add_argument("--before", default="", metavar="V", help="earlier visit; needs --sheet")
    parser.add_argument("--after", default="", metavar="V", help="later visit; needs --sheet")
    parser.add_argument("--umap", action="store_true", help="also draw the clusters on a UMAP of 5,000 events")
    add_quiet(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of every random draw (default: 0)")


def _cluster(arguments: argparse.Namespace) -> int:
    from immunolab.workflow.cluster_files import ClusterOptions, cluster_files, cluster_text

    if arguments.parent and not arguments.strategy:
        raise InputError(Problem("", "--parent", "a parent needs gates", "name them with --strategy"))
    if bool(arguments.sheet) != bool(arguments.before and arguments.after) or (
        not arguments.sheet and (arguments.before or arguments.after)
    ):
        text = "a comparison of visits needs --sheet, --before and --after"
        raise InputError(Problem("", "--sheet", text, "name all three, or none"))
    names = ("method", "clusters", "panel", "strategy", "parent", "merge", "umap", "seed", "sheet", "before", "after")
    markers = tuple(name.strip() for name in arguments.markers.split(",") if name.strip())
    options = ClusterOptions(markers=markers, **{name: getattr(arguments, name) for name in names})
    outcome = cluster_files(arguments.files, arguments.out, options)
    say(f"{cluster_text(outcome)}\nwritten: {outcome.out}/clusters.csv")
    return DONE


def add_label(commands: Subparsers) -> None:
    """Declare the words of ``immunolab label``."""
    text = "Label single cells: lineages, and Treg, naive, memory and helper subsets of CD4 T cells."
    parser = command(commands, "label", text, _label)
    parser.add_argument("cells", metavar="CELLS", help=".h5ad, .h5mu, zarr, 10x .h5, or a folder with matrix.mtx")
    parser.add_argument("-o", "--out", default="labels.csv", metavar="labels.csv", help="default: %(default)s")
    parser.add_argument("--sample", default="", metavar="COL", help="column of obs that names the sample")
    parser.add_argument(
        "--population", default="", metavar="NAME", help="what the cells were sorted as: CD4, CD8, B ..."
    )
    parser.add_argument("--reference", default="", metavar="FILE", help="labelled cells of your own, to label by")
    parser.add_argument("--labels", default="", metavar="COL", help="column of the reference's obs with its labels")
    text = "10x's raw matrix, or droplets without cells: the background of surface proteins"
    parser.add_argument("--empty", default="", metavar="RAW", help=text)
    add_quiet(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of every random draw (default: 0)")


def _label(arguments: argparse.Namespace) -> int:
    from immunolab.cells.annotate import label_file, label_text
    from immunolab.loaders.hdf5 import is_hdf5, read_through
    from immunolab.workflow.read_apart import read_apart

    if is_hdf5(arguments.cells):
        read_apart(read_through, arguments.cells)
    asked = {name: getattr(arguments, name) for name in ("population", "reference", "labels", "seed")}
    asked |= {"sample_column": arguments.sample, "empty": arguments.empty or None}
    for beside in (arguments.reference, arguments.empty):
        if beside and is_hdf5(beside):
            read_apart(read_through, beside)
    found = label_file(arguments.cells, arguments.out, **asked)
    say(f"{label_text(found)}\nwritten: {arguments.out}")
    return DONE


def add_expression(commands: Subparsers) -> None:
    """Declare the words of ``immunolab expression``."""
    text = "Compare the genes of a subset of single cells between two visits, within patients."
    parser = command(commands, "expression", text, _expression)
    parser.add_argument("cells", metavar="CELLS", help=".h5ad, .h5mu, zarr, 10x .h5, or a folder with matrix.mtx")
    parser.add_argument("--population", required=True, metavar="NAME", help="the subset: Treg, CD4 ..., or a label")
    parser.add_argument("--patient", required=True, metavar="COL", help="column of obs that names the patient")
    parser.add_argument("--visit", required=True, metavar="COL", help="column of obs that names the visit")
    parser.add_argument("--before", required=True, metavar="V")
    parser.add_argument("--after", required=True, metavar="V")
    parser.add_argument("--labels", default="", metavar="COL", help="your own labels; left out: cells are labelled")
    parser.add_argument("--arm", default="", metavar="COL", help="arm or cohort: each is compared by itself")
    parser.add_argument("--batch", default="", metavar="COL", help="changes are adjusted for it")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of labelling (default: 0)")
    parser.add_argument(
        "-o", "--out", default="expression.csv", metavar="expression.csv", help="_counts.csv is written beside it"
    )
    add_quiet(parser)


def _expression(arguments: argparse.Namespace) -> int:
    from immunolab.cells.annotate import label
    from immunolab.cells.compare import compare_expression
    from immunolab.loaders.hdf5 import is_hdf5, read_through
    from immunolab.loaders.single_cell import check_no_events, read_cells
    from immunolab.workflow.read_apart import read_apart

    if is_hdf5(arguments.cells):
        read_apart(read_through, arguments.cells)
    cells = read_cells(arguments.cells)
    check_no_events(cells, str(arguments.cells))
    if not arguments.labels and "populations" not in cells.obsm:
        label(cells, seed=arguments.seed, quiet=arguments.quiet)
    names = ("patient", "visit", "before", "after", "labels", "arm", "batch")
    found = compare_expression(cells, arguments.population, **{name: getattr(arguments, name) for name in names})
    say(found.summary())
    say("written: " + ", ".join(map(str, found.write(arguments.out))))
    return DONE


def add_compare(commands: Subparsers) -> None:
    """Declare the words of ``immunolab compare``."""
    text = "Compare two visits on any table, tidy or wide: paired shifts with intervals, p and q."
    parser = command(commands, "compare", text, _compare)
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
    parser.add_argument(
        "--arm", default="", metavar="COL", help="arm or cohort: each by itself, and against the control"
    )
    parser.add_argument(
        "--reference", default="", metavar="ARM", help="the control arm, which others are compared with"
    )
    parser.add_argument("--batch", default="", metavar="COL", help="batch of a sample; the shift is adjusted for it")
    parser.add_argument(
        "--stimulation", default="", metavar="COL", help="stimulus of a tube: stimulated less unstimulated is compared"
    )
    parser.add_argument(
        "--unstimulated", default="unstimulated", metavar="WORD", help="its word for the control (default: %(default)s)"
    )
    parser.add_argument(
        "--between-tubes", type=float, metavar="CV", help="percent between two tubes of one blood, without replicates"
    )
    parser.add_argument(
        "--unit", default="", metavar="U", help="of the values, as %%, pg/ml or points (default: as written)"
    )
    parser.add_argument(
        "--scale", choices=("logit", "arcsine", "log", "identity"), help="default: by unit; differences without one"
    )
    parser.add_argument(
        "--test",
        choices=("t", "wilcoxon", "signflip", "count_weighted", "mixed", "binomial_mixed", "auto"),
        default="auto",
        help="default auto: the paired t, moderated across ten or more counted endpoints; a count model for few "
        "events; a mixed model where a visit is missing and others are between",
    )
    parser.add_argument("--adjust", choices=("bh", "holm", "none"), default="bh", help="over endpoints (default bh)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of sign flips above 13 patients (default 0)")
    parser.add_argument("-o", "--out", metavar="shifts.csv", help="_pairs.csv and _visits.csv are written beside it")


def _compare(arguments: argparse.Namespace) -> int:
    from immunolab.comparison.compare import compare, write_comparison

    names = ("patient", "visit", "before", "after", "value", "count", "parent_count", "endpoint", "arm", "batch")
    words = (
        *names,
        "stimulation",
        "unstimulated",
        "between_tubes",
        "unit",
        "scale",
        "test",
        "adjust",
        "reference",
        "seed",
    )
    found = compare(Path(arguments.table), **{name: getattr(arguments, name) for name in words})
    say(found.summary())
    if arguments.out:
        say("written: " + ", ".join(map(str, write_comparison(found, Path(arguments.out)))))
    return DONE
