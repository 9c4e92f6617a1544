"""Clusters beside PyPI flowsom on labelled events: adjusted Rand index at each number of clusters, and over seeds.

    python benchmarks/cluster_labels.py [names of sets] [--seeds 5] [--without-flowsom] [-o cluster_labels.json]

Both get the same values: compensated, on the display scale that the data choose. flowsom (PyPI, GPL, no dependency) has
its defaults. Events without a label are clustered and not compared. ``--without-flowsom`` needs no such package.
Sets: flowsom_68983 (all markers, and the seven of the FlowSOM paper), the eight HIPC tubes and all of them pooled,
kotliarov's proteins (all donors and three), symphony, cytoexplorer, simulated tubes, planted normal populations. Small
numbers of labels (symphony 3, cytoexplorer 5) reward lumping at high numbers: they are a check on the others.
The constants of `clustering.node_groups` and the number of halves of `clustering.cluster_number` were chosen on these.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from clustering import planted
from real_set import RealSet, data_folder
from real_sets import DONORS, cytoexplorer, symphony

import immunolab as il
from immunolab.clustering.clusters import NOT_CLUSTERED_ON, TRAIN_ON
from immunolab.clustering.som import nearest_node, train_nodes
from immunolab.events.scales import channel_noise, channel_scales
from immunolab.events.tube import Tube
from immunolab.simulation import Options, simulate

NUMBERS = range(8, 31)
SHOWN = (8, 10, 12, 15, 20, 25, 30)
Labelled = tuple[np.ndarray, np.ndarray]
FLOWSOM_PAPER = ["CD8", "TCRgd", "TCRb", "NK1.1", "CD4", "CD19", "CD3"]


def markers_of(tube: Tube) -> list[str]:
    """Return the markers that clusters are found on by default."""
    stained = [c.marker for c in tube.channels if c.marker and c.kind in ("fluorescence", "mass")]
    return [m for m in stained if m not in NOT_CLUSTERED_ON and stained.count(m) == 1]


def shown(tube: Tube, markers: list[str]) -> np.ndarray:
    """Return events x markers on the display scale that the tube's own events choose."""
    scales = {one.name: one.transform for one in channel_scales([channel_noise(tube)])}
    return np.stack([scales[m].apply(tube[m]) for m in markers], axis=1).astype(np.float32)


def coded(labels: np.ndarray) -> np.ndarray:
    """Return labels as numbers, -1 where there is none."""
    return pd.factorize(pd.Series(labels, dtype=object))[0]


def spleen(markers: list[str] | None = None) -> Labelled:
    """Return the mouse spleen of the FlowSOM paper."""
    folder = data_folder("flowsom_68983")
    tube = il.read_fcs(folder / "68983.fcs")
    labels = pd.read_csv(folder / "gatingResult.csv", header=None)[0]
    return shown(tube, markers or markers_of(tube)), coded(labels.where(labels != "Unlabeled").to_numpy())


def hipc(name: str) -> Labelled:
    """Return a HIPC tube, each row of its files once: channel numbers, ten labels."""
    folder = data_folder("hipc_tcell_events")
    values, labels = (pd.read_csv(folder / f"{name}_{end}.csv.gz", index_col=0) for end in ("values", "clust"))
    return values.to_numpy(np.float32), coded(labels["x"].to_numpy())


def hipc_pooled() -> Labelled:
    """Return the eight tubes one after the other."""
    tubes = [hipc(name) for name in DONORS]
    labels = [pd.read_csv(data_folder("hipc_tcell_events") / f"{n}_clust.csv.gz", index_col=0)["x"] for n in DONORS]
    return np.concatenate([values for values, _ in tubes]), coded(np.concatenate(labels))


def kotliarov(donor: str = "") -> Labelled:
    """Return nine surface proteins with the labels of gates drawn by hand, on arcsinh(count / 5)."""
    import anndata

    folder = data_folder("flowsom_68983").parent.parent / "single_cell" / "kotliarov2020_adt9"
    cells = anndata.read_h5ad(folder / "kotliarov2020_adt9_20donors.h5ad")
    cells = cells[cells.obs["donor"] == donor] if donor else cells
    counts = cells.X.toarray() if hasattr(cells.X, "toarray") else np.asarray(cells.X)
    labels = cells.obs["cell_type_l2"].astype(object)
    return np.arcsinh(counts / 5.0).astype(np.float32), coded(labels.where(labels != "undefined").to_numpy())


def of_real_set(read: Callable[[], RealSet], name: str, populations: tuple[str, ...]) -> Labelled:
    """Return a tube with the populations that an expert's gates hold, later ones before earlier."""
    data = read()
    tube = next(tube for tube in data.tubes if tube.sample_id == name)
    labels = np.full(len(tube), None, dtype=object)
    for expected in data.expected[name]:
        if expected.population in populations and expected.events is not None:
            labels[expected.events] = expected.population
    return shown(tube, markers_of(tube)), coded(labels)


def simulated(seed: int) -> Labelled:
    """Return a virtual tube: singlets that live, each with the kind of cell that it was drawn as."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(events=40_000)
        simulate("sle_nct02084238", patients=1, seed=seed, folder=folder, visits=["W0"], options=options)
        path = next(Path(folder).rglob("*_W0.fcs"))
        truth = pd.read_parquet(next(Path(folder).rglob("*_W0.parquet")))
        tube = il.read_fcs(path)
        cells = (truth["singlet"] & truth["viable"] & ~truth["margin"]).to_numpy()
        return shown(tube, markers_of(tube))[cells], coded(truth["leaf"].to_numpy()[cells])


SETS: dict[str, Callable[[], Labelled]] = {
    "spleen": spleen,
    "spleen, markers of the paper": lambda: spleen(FLOWSOM_PAPER),
    **{f"hipc {name}": lambda name=name: hipc(name) for name in DONORS},  # type: ignore[misc]
    "hipc pooled": hipc_pooled,
    "kotliarov": kotliarov,
    **{f"kotliarov {donor}": lambda donor=donor: kotliarov(donor) for donor in ("205", "237", "268")},  # type: ignore[misc]
    "symphony ICU_025_A": lambda: of_real_set(symphony, "ICU_025_A", ("CD4", "CD8")),
    "cytoexplorer 31": lambda: of_real_set(cytoexplorer, "Activation_31", ("DC", "CD4", "CD8", "CD4_CD69", "CD8_CD69")),
    "simulated 11": lambda: simulated(11),
    "simulated 12": lambda: simulated(12),
    "planted": lambda: planted(60_000),
}


def index(a: np.ndarray, b: np.ndarray) -> float:
    """Return scikit-learn's adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(a, b))


def own(events: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield the cluster of each event at each number, as `immunolab.cluster` finds them; first at its own number."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(events), min(TRAIN_ON, len(events)), replace=False))
    trained = train_nodes(events[rows], seed=seed, least=max(NUMBERS))
    node = nearest_node(events, trained.nodes)
    yield from (trained.clusters(n).labels[node] for n in (None, *NUMBERS))


def pypi_flowsom(events: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yield the same of flowsom: its map trained once, its own metaclustering at each number."""
    import anndata
    import flowsom
    from flowsom.models import ConsensusCluster
    from loguru import logger

    logger.remove()
    found = flowsom.FlowSOM(anndata.AnnData(events), n_clusters=10, seed=seed)
    node = found.model.cluster_labels.astype(int)
    for n in (10, *NUMBERS):
        np.random.seed(seed)  # it draws from numpy's global state
        yield ConsensusCluster(n_clusters=n).fit_predict(found.model.codes)[node]


def measured(method: Callable[..., Iterator[np.ndarray]], data: Labelled, seeds: int) -> dict[str, object]:
    """Return the index at each number, mean of the seeds, how far seeds agree, and the seconds of a seed."""
    events, labels = data
    known = labels >= 0
    start = time.perf_counter()
    found = [list(method(events, seed)) for seed in range(seeds)]
    seconds = (time.perf_counter() - start) / seeds
    indices = np.array([[index(labels[known], one[known]) for one in clusters] for clusters in found])
    agree = {
        n: float(np.mean([index(a[1 + place][:20_000], b[1 + place][:20_000]) for a, b in combinations(found, 2)]))
        for place, n in enumerate(NUMBERS)
        if n in (10, 15, 20)
    }
    chosen = [int(clusters[0].max()) + 1 for clusters in found]
    by_number = dict(zip(NUMBERS, indices[:, 1:].mean(axis=0).tolist(), strict=True))
    return {
        "chosen": chosen,
        "at_chosen": float(indices[:, 0].mean()),
        "index": by_number,
        "seeds": agree,
        "seconds": seconds,
    }


def main() -> None:
    """Measure all, print a line a set and method, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of: {', '.join(SETS)}")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--without-flowsom", action="store_true")
    parser.add_argument("-o", "--out", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    methods = {"immunolab": own} | ({} if arguments.without_flowsom else {"flowsom": pypi_flowsom})
    rows: dict[str, dict[str, dict[str, object]]] = {}
    for name in arguments.sets or SETS:
        data = SETS[name]()
        rows[name] = {who: measured(method, data, arguments.seeds) for who, method in methods.items()}
        for who, row in rows[name].items():
            shown_at = "  ".join(f"{n} {row['index'][n]:.3f}" for n in SHOWN)  # type: ignore[index]
            print(f"{name:<30} {who:<10} {shown_at}  {row['seconds']:.1f} s", flush=True)
        mine = rows[name]["immunolab"]
        print(f"  chosen {mine['chosen']}, index {mine['at_chosen']:.3f}; seeds agree {mine['seeds']}", flush=True)
        if "flowsom" in rows[name]:
            gaps = {n: mine["index"][n] - rows[name]["flowsom"]["index"][n] for n in NUMBERS}  # type: ignore[index]
            worst = min(gaps, key=gaps.__getitem__)
            below = [n for n, gap in gaps.items() if gap < 0]
            print(f"  least gain {gaps[worst]:+.3f} at {worst}; below flowsom at {below or 'none'}", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
