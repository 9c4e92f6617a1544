"""Time and memory of labelling many cells: the label step alone, and reading a file, labelling and writing.

``python benchmarks/label_size.py [cells] [genes] [samples]`` (200,000 cells x 2,000 genes of 10 samples by default, to
be labelled in 60 s and 4 GiB on two cores). Each figure is of a process of its own: making the data is no part of it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DEPTH = 4000.0  # counts a cell
KINDS = {
    "CD4_naive": 0.25,
    "CD4_memory": 0.25,
    "CD8_naive": 0.1,
    "CD8_effector": 0.1,
    "NK": 0.1,
    "Mono_CD14": 0.15,
    "B": 0.05,
}
GIB = 2**30


def make(path: Path, n: int, genes: int, samples: int, *, proteins: bool) -> None:
    """Write cells of seven kinds: marker genes by the table of levels, the others at random; ten proteins."""
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import csr_matrix, vstack

    from immunolab.vocabulary.signatures import expected_levels

    rng, table = np.random.default_rng(0), expected_levels()
    names = [*table.genes, *(f"HOUSE{i}" for i in range(genes - len(table.genes)))]
    rest = rng.gamma(0.4, 1.0, genes - len(table.genes))
    kinds = rng.choice(list(KINDS), n, p=list(KINDS.values()))
    blocks = []
    for start in range(0, n, 10_000):
        own = kinds[start : start + 10_000]
        mean = np.empty((len(own), genes))
        mean[:, : len(table.genes)] = table.levels[:, [table.kinds.index(k) for k in own]].T
        mean[:, len(table.genes) :] = rest / rest.sum() * 5_000
        depth = DEPTH * rng.gamma(6.0, 1 / 6, (len(own), 1))
        blocks.append(csr_matrix(rng.poisson(mean * depth / 1e4).astype(np.float32)))
    cells = AnnData(vstack(blocks).tocsr(), var=pd.DataFrame(index=names))
    cells.obs_names = [f"c{i}" for i in range(n)]
    cells.obs["sample_id"] = np.array([f"S{i}" for i in range(samples)])[rng.permutation(n) % samples]
    if proteins:
        t, four, eight = (np.char.startswith(kinds, start) for start in ("CD", "CD4", "CD8"))
        bright = {
            "CD3": (t, 60), "CD4": (four, 150), "CD8": (eight, 200), "CD19": (kinds == "B", 80), "CD127": (t, 30),
            "CD14": (kinds == "Mono_CD14", 90), "CD56": (kinds == "NK", 40), "CD16": (kinds == "NK", 60),
            "CD45RA": (np.char.endswith(kinds, "naive"), 60), "CD25": (four & (rng.random(n) < 0.05), 40),
        }  # fmt: skip
        drawn = {k: rng.poisson(np.where(*v, 3) * rng.gamma(6.0, 1 / 6, n)).astype(float) for k, v in bright.items()}
        cells.obsm["protein"] = pd.DataFrame(drawn, index=cells.obs_names)
    cells.write_h5ad(path)


def measure(path: Path, what: str) -> dict[str, float]:
    """Label the cells of a file in this process: ``label`` leaves reading out, ``all`` has reading and writing in."""
    from immunolab.cells.annotate import label_file
    from immunolab.cells.label import label_cells
    from immunolab.loaders.single_cell import read_cells

    begin, used = time.perf_counter(), 0.0
    if what == "all":
        label_file(path, path.with_suffix(".csv"))
        before = 0.0
    else:
        cells = read_cells(path)
        before, used, begin = _status("VmRSS"), _processor(), time.perf_counter()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        label_cells(cells)
    return {
        "seconds": time.perf_counter() - begin,
        "processor_s": _processor() - used,
        "peak_gib": _status("VmHWM"),
        "before_gib": before,
    }


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024 / GIB


def _processor() -> float:
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


def main() -> None:
    """Make the data, and print time and memory of both."""
    n, genes, samples = (int(a) for a in (*sys.argv[1:4], *("200000", "2000", "10")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        for proteins in (False, True):
            path = Path(folder) / f"cells{proteins}.h5ad"
            code = "import sys; sys.path[:0]=[sys.argv[1]]; import label_size as s; from pathlib import Path; "
            here, shown = str(Path(__file__).parent), "genes and ten proteins" if proteins else "genes"
            make_it = f"s.make(Path(sys.argv[2]), {n}, {genes}, {samples}, proteins={proteins})"
            subprocess.run([sys.executable, "-c", code + make_it, here, str(path)], check=True)
            for what in ("label", "all"):
                run = f"import json; print(json.dumps(s.measure(Path(sys.argv[2]), '{what}')))"
                done = subprocess.run(
                    [sys.executable, "-c", code + run, here, str(path)], check=True, capture_output=True, text=True
                )
                got = json.loads(done.stdout.strip().splitlines()[-1])
                print(
                    f"{n:,} x {genes:,}, {shown}, {what:5s}: {got['seconds']:6.1f} s of wall, {got['processor_s']:.1f} "
                    f"of processor, peak {got['peak_gib']:.2f} GiB ({got['before_gib']:.2f} before)", flush=True,
                )  # fmt: skip


if __name__ == "__main__":
    main()
