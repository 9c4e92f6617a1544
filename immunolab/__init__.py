"""immunolab: from cytometry and single-cell files to paired shifts of T-cell subsets.

The names below are the work in its order. Each is loaded when it is first used.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from immunolab.version import VERSION

if TYPE_CHECKING:
    from immunolab import pl as pl
    from immunolab.cells.annotate import label
    from immunolab.cells.compare import compare_cells, compare_expression
    from immunolab.clustering.annotate import cluster, umap
    from immunolab.comparison.cluster_abundance import cluster_abundance
    from immunolab.comparison.compare import compare
    from immunolab.comparison.external_stimulation import background_corrected
    from immunolab.comparison.plan import Plan
    from immunolab.comparison.table import compare_endpoints
    from immunolab.exports.acs import read_acs
    from immunolab.exports.export import export
    from immunolab.gating.exchange.from_flowkit import from_flowkit
    from immunolab.gating.exchange.to_flowkit import to_flowkit
    from immunolab.gating.gate import gate
    from immunolab.gating.method_registry import threshold_method
    from immunolab.gating.strategy import Strategy
    from immunolab.gating.strategy_file import builtin_strategy, read_strategy
    from immunolab.loaders.fcs.read import read_fcs, read_header
    from immunolab.loaders.inspect import inspect_file
    from immunolab.loaders.multimodal import to_mudata
    from immunolab.loaders.single_cell import read_cells
    from immunolab.plots.gates import contact_sheet
    from immunolab.plots.paired import paired_lines
    from immunolab.plots.shifts import forest
    from immunolab.privacy import deidentify, scan
    from immunolab.quality.qc import qc
    from immunolab.results.joined_events import to_anndata
    from immunolab.results.record import read_run
    from immunolab.results.run import Run
    from immunolab.simulation import simulate
    from immunolab.study.sheet import read_study
    from immunolab.study.trial import load_trial
    from immunolab.workflow.agree import agree
    from immunolab.workflow.check import check_study
    from immunolab.workflow.pool import pool
    from immunolab.workflow.run import run

__version__ = VERSION

_FACE = {
    "simulate": "immunolab.simulation",
    "load_trial": "immunolab.study.trial",
    "read_study": "immunolab.study.sheet",
    "check_study": "immunolab.workflow.check",
    "run": "immunolab.workflow.run",
    "pool": "immunolab.workflow.pool",
    "read_run": "immunolab.results.record",
    "Run": "immunolab.results.run",
    "inspect_file": "immunolab.loaders.inspect",
    "read_header": "immunolab.loaders.fcs.read",
    "read_fcs": "immunolab.loaders.fcs.read",
    "qc": "immunolab.quality.qc",
    "builtin_strategy": "immunolab.gating.strategy_file",
    "read_strategy": "immunolab.gating.strategy_file",
    "Strategy": "immunolab.gating.strategy",
    "gate": "immunolab.gating.gate",
    "threshold_method": "immunolab.gating.method_registry",
    "to_anndata": "immunolab.results.joined_events",
    "from_flowkit": "immunolab.gating.exchange.from_flowkit",
    "to_flowkit": "immunolab.gating.exchange.to_flowkit",
    "read_cells": "immunolab.loaders.single_cell",
    "to_mudata": "immunolab.loaders.multimodal",
    "label": "immunolab.cells.annotate",
    "cluster": "immunolab.clustering.annotate",
    "cluster_abundance": "immunolab.comparison.cluster_abundance",
    "umap": "immunolab.clustering.annotate",
    "contact_sheet": "immunolab.plots.gates",
    "compare": "immunolab.comparison.compare",
    "agree": "immunolab.workflow.agree",
    "compare_cells": "immunolab.cells.compare",
    "compare_expression": "immunolab.cells.compare",
    "background_corrected": "immunolab.comparison.external_stimulation",
    "Plan": "immunolab.comparison.plan",
    "compare_endpoints": "immunolab.comparison.table",
    "paired_lines": "immunolab.plots.paired",
    "forest": "immunolab.plots.shifts",
    "export": "immunolab.exports.export",
    "read_acs": "immunolab.exports.acs",
    "scan": "immunolab.privacy",
    "deidentify": "immunolab.privacy",
}

__all__ = [
    "Plan",
    "Run",
    "Strategy",
    "agree",
    "background_corrected",
    "builtin_strategy",
    "check_study",
    "cluster",
    "cluster_abundance",
    "compare",
    "compare_cells",
    "compare_endpoints",
    "compare_expression",
    "contact_sheet",
    "deidentify",
    "export",
    "forest",
    "from_flowkit",
    "gate",
    "inspect_file",
    "label",
    "load_trial",
    "paired_lines",
    "pool",
    "qc",
    "read_acs",
    "read_cells",
    "read_fcs",
    "read_header",
    "read_run",
    "read_strategy",
    "read_study",
    "run",
    "scan",
    "simulate",
    "threshold_method",
    "to_anndata",
    "to_flowkit",
    "to_mudata",
    "umap",
]


# old name -> (new name, module, attribute): kept for one version, with a warning that names the new one
_RENAMED: dict[str, tuple[str, str, str]] = {
    "load_study": ("read_study", "immunolab.study.sheet", "read_study"),
    "fit": ("gate", "immunolab.gating.placement.fit", "fit"),
    "evaluate": ("gate", "immunolab.gating.evaluate", "evaluate"),
    "counts_table": ("gate(...).counts", "immunolab.gating.counts", "counts_table"),
    "run_study": ("run", "immunolab.workflow.run", "run_study"),
    "RunOptions": ("run", "immunolab.workflow.tubes", "RunOptions"),
}


if not TYPE_CHECKING:  # a checker has the names above, and sees a misspelt one

    def __getattr__(name: str) -> Any:
        if name == "pl":  # a namespace of its own: the figures
            return import_module("immunolab.pl")
        if name in _RENAMED:
            new, module, attribute = _RENAMED[name]
            found = getattr(import_module(module), attribute)
            # after the import: libraries change the warning filters, and the same line would be warned of again
            warnings.warn(f"immunolab.{name} is now immunolab.{new}", DeprecationWarning, stacklevel=2)
            return found
        if name not in _FACE:
            from immunolab.errors import nearest

            raise AttributeError(f"module 'immunolab' has no attribute '{name}'; {nearest(name, __all__)}".rstrip("; "))
        return getattr(import_module(_FACE[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "pl"]
