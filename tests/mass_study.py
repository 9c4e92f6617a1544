"""Published mass cytometry as a study of ours: CATALYST's PBMC of four patients, without and with BCR-XL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from fcs_builder import write_fcs


def catalyst_files(source: Path, folder: Path) -> dict[str, pd.DataFrame]:
    """Write the eight tables of counts as FCS files; return sample_id -> counts."""
    panel = pd.read_csv(source / "PBMC_panel.csv")
    names = pd.read_csv(source / "PBMC_md.csv")["file_name"]
    labels = {f"$P{i}S": antigen for i, antigen in enumerate(panel["antigen"], 1)} | {"$CYT": "DVSSCIENCES-CYTOF"}
    folder.mkdir()
    tables = {}
    for i, name in enumerate(names, 1):
        counts = pd.read_csv(source / f"V{i}.csv")
        tops = [float(np.ceil(top)) + 1 for top in counts.max()]
        write_fcs(folder / name, counts.to_numpy("f4"), list(counts.columns), keywords=labels, ranges=tops)
        tables[Path(name).stem] = counts.set_axis(list(panel["antigen"]), axis=1)
    return tables


def fill_sheet(study: Path) -> None:
    """Fill in what file names of the proposal do not say: patient and visit; and what is compared."""
    sheet = pd.read_csv(study / "samples.csv", comment="#", dtype=str)
    named = sheet["sample_id"].str.extract(r"patient(\d)_(\w+)")
    sheet.assign(patient_id="P" + named[0], visit=named[1]).to_csv(study / "samples.csv", index=False)
    text = (study / "study.yaml").read_text()
    (study / "study.yaml").write_text(text + "comparison: {before: Ref, after: BCRXL}\n")
