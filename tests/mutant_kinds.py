"""The kinds of files that are damaged on purpose: sound examples, readers, and what of a file may not be lost."""

from __future__ import annotations

import atexit
import csv
import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from fcs_builder import fcs_bytes
from gate_trees import every_kind
from mutants import Kind, damage_fcs, damage_text, damage_zip, flip_bytes

import immunolab as il
from immunolab.errors import InputError
from immunolab.events.tube import Channel, Spillover, Tube
from immunolab.gating.exchange import WorkspaceSample, read_workspace, write_gatingml, write_workspace
from immunolab.gating.exchange.workspace_model import SampleGates
from immunolab.gating.strategy_file import read_strategy
from immunolab.loaders.fcs.read import read_fcs
from immunolab.loaders.fcs.spillover import match_spillover, read_spillover
from immunolab.loaders.measurements import read_measurements
from immunolab.loaders.patient_events import read_adverse_events, read_intercurrent_events, read_outcomes
from immunolab.loaders.single_cell import read_cells
from immunolab.privacy.keyfile import read_key
from immunolab.study.calendar import describe_trial
from immunolab.study.doses import read_doses
from immunolab.study.sheet import read_study
from immunolab.study.spreadsheet import TextTable, read_text_table
from immunolab.study.trial import load_trial
from immunolab.vocabulary.panel import read_panel, resolve_channels
from immunolab.workflow.check import check_study

PACKAGE = Path(il.__file__).parent
_MARKERS = ["CD3", "CD4", "CD8", "CD25", "CD127", "CCR7", "CD45RA", "CXCR5", "PD-1", "ICOS", "CCR6", "CXCR3", "CCR4"]
SPILL = "2,SSC-A,FL1-A,1,0.1,0,1"


def _fcs() -> list[bytes]:
    events, names = np.random.default_rng(0).integers(0, 250, (40, 3)), ["FSC-A", "SSC-A", "FL1-A"]
    chained = fcs_bytes(events, names, keywords={"$NEXTDATA": "0000000"})
    log = {"$P3E": "4,1", "$P2G": "2", "$TIMESTEP": "0.01", "$P3S": "CD4 FITC"}
    return [
        fcs_bytes(events, names, keywords={"$SPILLOVER": SPILL}),
        fcs_bytes(events, names, datatype="D", order=">", version="3.2", keywords={"$P1DATATYPE": "F"}),
        fcs_bytes(events, names, datatype="I", bits=[10, 16, 24], version="2.0", keywords=log),
        fcs_bytes(events, names, datatype="I", bits=[8, 8, 8], order=">", ranges=[256, 200, 256]),
        fcs_bytes(events, names, datatype="I", bits=[32, 16, 64], keywords=log),
        fcs_bytes(events, names, datatype="A", bits=["*"] * 3, supplement={"A": "b", "SPILL": SPILL}),
        fcs_bytes(events, names, datatype="A", bits=[4] * 3, version="3.0"),
        chained.replace(b"$NEXTDATA/0000000", b"$NEXTDATA/%07d" % len(chained)) + chained,
    ]


def _lost_events(raw: bytes, tube: Tube) -> str:
    """Return what TEXT declares and the tube lacks without a word, where TEXT can be read in the plainest way."""
    if not re.fullmatch(rb" *[0-9]+ *[0-9]+", raw[10:26]):
        return ""
    first, last = int(raw[10:18]), int(raw[18:26])
    parts = raw[first + 1 : last + 1].split(raw[first : first + 1])
    words = dict(zip(parts[::2], parts[1::2], strict=False))
    declared = words.get(b"$TOT", b""), words.get(b"$PAR", b"")
    if b"" in parts[:-1] or not all(re.fullmatch(rb"[1-9][0-9]{0,6}", word) for word in declared):
        return ""
    shape = int(declared[1]), int(declared[0])
    return "" if tube.warnings or tube.columns.shape == shape else f"{tube.columns.shape} of {shape}"


@cache
def _tube() -> Tube:
    rng = np.random.default_rng(0)
    names = [f"V{i}-A" for i in range(13)]
    columns = np.exp(rng.normal(6, 2, (15, 4000))).astype(np.float32)
    channels = [Channel(name, "", None, None, "fluorescence") for name in names]
    scatter = [Channel(name, "", None, None, "scatter") for name in ("FSC-A", "SSC-A")]
    matrix = np.eye(13) + np.where(np.eye(13, k=1), 0.1, 0.0)
    return Tube(columns, (*channels, *scatter), Spillover(tuple(names), matrix, "file"), file="a.fcs")


@cache
def _stained() -> Tube:
    """Return a tube of the shipped surface panel, its events at random."""
    rng = np.random.default_rng(1)
    centres = rng.choice([100.0, 5000.0], (len(_MARKERS), 800))
    columns = np.vstack([rng.normal(60_000, 15_000, (3, 800)), rng.normal(centres, 60.0)]).astype(np.float32)
    channels = [Channel(name, "", None, None, "scatter") for name in ("FSC-A", "FSC-H", "SSC-A")]
    channels += [Channel(f"D{i}-A", name, name, None, "fluorescence") for i, name in enumerate(_MARKERS)]
    return Tube(columns, tuple(channels), None, file="b.fcs")


def _written(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "made")
        return (Path(folder) / "made").read_bytes()


def _wsp() -> list[bytes]:
    tube = _tube()
    names = tuple(channel.name for channel in tube.channels)
    sample = WorkspaceSample(Path("a.fcs"), every_kind(tube), names, tube.n_events, tube.spillover)
    return [_written(lambda path: write_workspace([sample], path)), _flowjo_9()]


def _flowjo_9() -> bytes:
    def gate(shape: str, corners: str) -> str:
        vertices = "".join(f'<Vertex x="{x}" y="{y}"/>' for x, y in (pair.split(",") for pair in corners.split()))
        axes = 'xAxisName="&lt;V0-A&gt;" yAxisName="&lt;V1-A&gt;"'
        return f"<PolygonGate><{shape} {axes}><Polygon>{vertices}</Polygon></{shape}></PolygonGate>"

    both = '<BooleanGate specification="G0 &amp; !G1"><String>box</String><String>oval</String></BooleanGate>'
    gates = {
        "box": gate("PolyRect", "10,20 500,900"),
        "oval": gate("Ellipse", "100,500 900,500 500,300 500,700"),
        "free": gate("Polygon", "10,20 900,100 500,950"),
        "both": both,
    }
    tree = "".join(f'<Population name="{name}" count="5">{inside}</Population>' for name, inside in gates.items())
    knots = ",".join(f"{4096 * k / 64:.2f},{10 ** (k / 12):.3f}" for k in range(65))
    axes = "".join(f'<Parameter name="{name}" log="1" calibrationIndex="1" range="4096"/>' for name in ("V0-A", "V1-A"))
    row = '<Channel name="{}"><ChannelValue value="{}"/><ChannelValue value="{}"/></Channel>'
    matrix = (
        f'<CompensationMatrix name="m">{row.format("V0-A", 1, 0.1)}{row.format("V1-A", 0.2, 1)}</CompensationMatrix>'
    )
    return (
        f'<Workspace version="1.6"><CalibrationTables><Table name="t">{knots}</Table></CalibrationTables>'
        f"<CompensationMatrices>{matrix}</CompensationMatrices>"
        f'<Sample compensationID="1"><DataSet uri="a.fcs"/>{axes}'
        f'<SampleNode name="a.fcs" count="9">{tree}</SampleNode></Sample></Workspace>'
    ).encode()


def _read_workspace(path: Path) -> object:
    samples = read_workspace(path).samples
    il.gate(_tube(), path)
    return samples


def _read_gatingml(path: Path) -> object:
    return il.gate(_tube(), path)


def _read_strategy(path: Path) -> object:
    return il.gate(_stained(), read_strategy(path))


def _read_trial(path: Path) -> object:
    return describe_trial(load_trial(path))


def _read_panel(path: Path) -> object:
    return resolve_channels(("FL1-A", "FL2-A", "Time"), ("CD3 FITC", "", ""), read_panel(path))


def _read_spillover(path: Path) -> object:
    return match_spillover(read_spillover(path), ("A", "B", "C"))


def _lost_populations(raw: bytes, samples: Sequence[SampleGates]) -> str:
    """Return how many populations of a workspace are neither gates nor named as unread."""
    elements = ElementTree.fromstring(raw).iter("Population")
    names = [element.get("name") or element.get("nodeName") for element in elements]
    found = [p.original_name or p.name for sample in samples for p in sample.strategy.populations]
    said = " ".join(str(problem) for sample in samples for problem in sample.problems)
    lost = [name for name in names if name and name not in found and name not in said]
    return f"{len(lost)} populations" if lost else ""


def _gatingml() -> list[bytes]:
    return [_written(lambda path: write_gatingml(every_kind(_tube()), path))]


def _strategies() -> list[bytes]:
    small = (
        "strategy: s\ntransform: {default: {asinh: {cofactor: 150}}, scatter: linear}\npopulations:\n"
        "  - {name: cells, parent: root, lymphocytes: {x: FSC-A, y: SSC-A}}\n"
        "  - {name: CD3, parent: cells, above: {marker: CD3, by: valley}}\n"
        "  - {name: Treg, parent: CD3, where: CD4+ CD25+ CD127-, definition: x}\n"
    )
    return [small.encode(), *(path.read_bytes() for path in sorted((PACKAGE / "gating/strategies").glob("*.yaml")))]


def _trials() -> list[bytes]:
    return [path.read_bytes() for path in sorted((PACKAGE / "study/trials").glob("*.yaml"))]


_STUDY = """study: Example
sheet: samples.csv
trial: sle_nct02084238
measurements: measurements.csv
doses: doses.csv
panels:
  surface: {panel: panel.csv, strategy: treg_th17_tfh_teff, spillover: spill.csv, specimen: blood}
comparison: {before: baseline, after: W10, noise: 15.0, noise_df: 12}
families:
  - {name: main, endpoints: [treg_pct_cd4], rule: holm}
next_cohort: {fold: 1.4, patients: [8, 12], effects: {treg_pct_cd4: 1.5}}
arms: {control: placebo, active: [low]}
endpoints:
  - {id: treg_pct_cd4, statistic: percent_of_parent, population: Treg, parent: CD4, role: primary, contrast: [W0, W10],
     direction: increase, source: protocol}
"""
_SHEET = """sample_id,patient_id,visit,file,cohort,panel,study_day,batch,lymphocytes_per_ul,date
P1_W0,P1,W0,a.fcs,low,surface,1,B1,1500,2024-01-05
P1_W10,P1,W10,a.fcs,low,surface,71,B2,1800,2024-03-15
P2_W0,P2,W0,a.fcs,placebo,surface,1,B1,1200,2024-01-08
P2_W10,P2,W10,a.fcs,placebo,surface,70,B2,1300,2024-03-17
"""
_DOSES = "patient_id,date,dose_miu\nP1,2024-01-05,1\nP1,2024-01-07,1.5\nP2,2024-01-08,1\n"
_TABLES = {
    "measurements": "patient_id,visit,variable,value,unit,censored\nP1,W0,CRP,5.2,mg/L,\nP1,W10,CRP,0.3,mg/L,below\n"
    "P2,W0,lymphocytes,1.2,10^9/L,\nP2,W10,C3,0.9,g/L,\n",
    "doses": _DOSES,
    "adverse events": "patient_id,study_day,term,grade,serious,related\nP1,41,headache,1,no,yes\nP2,-3,rash,2,yes,no\n",
    "outcomes": "patient_id,endpoint,study_day,status\nP1,relapse,41,event\nP2,relapse,90,censored\n",
    "intercurrent events": "patient_id,event,study_day\nP1,rescue,41\nP2,rescue,90\n",
}


@cache
def _study_folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    files = {
        "samples.csv": _SHEET,
        "doses.csv": _DOSES,
        "measurements.csv": _TABLES["measurements"],
        "panel.csv": "channel,marker\n" + "".join(f"D{i}-A,{name}\n" for i, name in enumerate(_MARKERS)),
        "spill.csv": "D0-A,D1-A\n1,0.1\n0,1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    names = ["FSC-A", "FSC-H", "SSC-A", *(f"D{i}-A" for i in range(len(_MARKERS)))]
    (folder / "a.fcs").write_bytes(fcs_bytes(np.ones((20, len(names))), names))
    return folder


def _read_study(path: Path) -> object:
    folder = _study_folder()
    (folder / "study.yaml").write_bytes(path.read_bytes())
    checked = check_study(folder)
    if checked.problems:
        raise InputError(checked.problems)
    return checked


def _read_sheet(path: Path) -> object:
    folder = _study_folder()
    (folder / "study.yaml").write_text("study: x\ntrial: sle_nct02084238\nsheet: mutant.csv\n")
    (folder / "mutant.csv").write_bytes(path.read_bytes())
    return read_study(folder).samples


def _lost_rows(raw: bytes, _: object) -> str:
    """Return how many lines with a cell are no row of a table, where no cell is quoted."""
    if b'"' in raw or b"\r" in raw:
        return ""
    lines = [line for line in raw.decode("utf-8-sig").split("\n") if line.strip(" ,;\t") and not line.startswith("#")]
    lines = [line for line in lines if any(cell.strip() for cell in re.split("[,;\t]", line))]
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        Path(file.name).write_bytes(raw)
        n_rows = len(read_text_table(Path(file.name)).rows)
    return "" if n_rows == len(lines) - 1 else f"{n_rows} of {len(lines) - 1} rows"


_EVENTS = {
    "measurements": read_measurements,
    "doses": read_doses,
    "adverse events": lambda path: read_adverse_events(path, None),
    "outcomes": lambda path: read_outcomes(path, ["relapse"], None),
    "intercurrent events": lambda path: read_intercurrent_events(path, ["rescue"], None),
}


def _xlsx() -> list[bytes]:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    rows = [line.split(",") for line in _SHEET.splitlines()]
    for row in [rows[0], *([*r[:6], int(r[6] or 0), r[7], float(r[8] or 1), r[9]] for r in rows[1:])]:
        sheet.append(row)
    sheet["J2"].value = pd.Timestamp("2024-01-05").to_pydatetime()
    sheet["K1"].value, sheet["K2"].value = "remark", "a & b <c>"
    return [_written(lambda path: book.save(path))]


def _lost_xlsx_rows(raw: bytes, table: TextTable) -> str:
    """Return how many rows of the sheet that hold a number are no rows of the table."""
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        sheet = ElementTree.fromstring(parts.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    numbered = [
        row
        for row in sheet.iter(f"{space}row")
        if any(c.get("t", "n") == "n" and _is_number(c.findtext(f"{space}v")) for c in row.iter(f"{space}c"))
    ]
    return f"{len(table.rows)} of {len(numbered)} rows" if len(table.rows) < len(numbered) - 1 else ""


def _is_number(text: str | None) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text or ""))


def _compared() -> list[bytes]:
    rng = np.random.default_rng(0)
    rows = [["id", "visit", "treg", "il17", "arm", "batch"]]
    for patient in range(8):
        for visit in ("W0", "W10"):
            numbers = (f"{value:.3f}" for value in rng.lognormal(1, 0.4, 2))
            rows.append([f"P{patient}", visit, *numbers, "ab"[patient % 2], f"B{patient % 3}"])
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return [out.getvalue().encode(), out.getvalue().replace(",", ";").replace(".", ",").encode()]


def _compare(path: Path) -> object:
    return il.compare(
        path, patient="id", visit="visit", before="W0", after="W10", value=["treg", "il17"], arm="arm", unit="%"
    )


def _h5ad() -> list[bytes]:
    from anndata import AnnData

    counts = np.random.default_rng(1).poisson(2.0, (30, 12)).astype(np.float32)
    cells = AnnData(counts, pd.DataFrame({"sample_id": ["s"] * 30}, index=[f"c{i}" for i in range(30)]))
    cells.var_names = [
        "CD3E",
        "CD4",
        "CD8A",
        "FOXP3",
        "IL2RA",
        "IL7R",
        "CCR7",
        "GZMB",
        "MS4A1",
        "LYZ",
        "NKG7",
        "MT-CO1",
    ]
    cells.obs["patient"] = pd.Categorical(["P1", "P2"] * 15)
    return [
        _written(lambda path: cells.write_h5ad(path)),
        _written(lambda path: cells.write_h5ad(path, compression="gzip")),
    ]


_MTX = (
    '<?xml version="1.0" encoding="UTF-8"?><gating:gatingML '
    'xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations" '
    'xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes" xmlns:gating="x">'
    '<transforms:spilloverMatrix transforms:id="m">'
    '<transforms:spillover data-type:parameter="A">'
    '<transforms:coefficient data-type:parameter="A" transforms:value="1"/>'
    '<transforms:coefficient data-type:parameter="B" transforms:value="0.1"/></transforms:spillover>'
    '<transforms:spillover data-type:parameter="B">'
    '<transforms:coefficient data-type:parameter="B" transforms:value="1"/>'
    "</transforms:spillover></transforms:spilloverMatrix></gating:gatingML>"
)


def _spillovers() -> list[bytes]:
    named = ",A,B,C\nA,1,0.1,0\nB,0,1,0.02\nC,0,0,1\n"
    texts = (named, "A\tB\n1\t0.1\n0\t1\n", "title\n<\t>\nA\tB\n1\t0.1\n0\t1\n", _MTX)
    return [text.encode() for text in texts]


KINDS: dict[str, Kind] = {
    "FCS": Kind(".fcs", _fcs, damage_fcs, read_fcs, _lost_events),  # type: ignore[arg-type]
    "FlowJo 9 and 10": Kind(".wsp", _wsp, damage_text, _read_workspace, _lost_populations),
    "Gating-ML": Kind(".xml", _gatingml, damage_text, _read_gatingml),
    "strategy": Kind(".yaml", _strategies, damage_text, _read_strategy),
    "trial": Kind(".yaml", _trials, damage_text, _read_trial),
    "study.yaml": Kind(".yaml", lambda: [_STUDY.encode()], damage_text, _read_study),
    "sample sheet, CSV": Kind(".csv", lambda: [_SHEET.encode()], damage_text, _read_sheet, _lost_rows),
    "sample sheet, XLSX": Kind(".xlsx", _xlsx, damage_zip, read_text_table, _lost_xlsx_rows),  # type: ignore[arg-type]
    **{
        name: Kind(".csv", lambda text=text: [text.encode()], damage_text, _EVENTS[name], _lost_rows)  # type: ignore[misc]
        for name, text in _TABLES.items()
    },
    "panel, CSV": Kind(".csv", lambda: [b"channel,marker,dye\nFL1-A,CD4,FITC\nFL2-A,,PE\n"], damage_text, _read_panel),
    "panel, YAML": Kind(".yaml", lambda: [b"FL1-A: CD4\nFL2-A: CD25\nTime: null\n"], damage_text, _read_panel),
    "spillover": Kind(".csv", _spillovers, damage_text, _read_spillover),
    "compare": Kind(".csv", _compared, damage_text, _compare),
    "key of deidentify": Kind(
        ".csv",
        lambda: [b"file,code\na.fcs,X1\nb.fcs,X2\n"],
        damage_text,
        lambda path: read_key(path, [Path("a.fcs"), Path("b.fcs")]),
    ),
    "h5ad": Kind(".h5ad", _h5ad, flip_bytes, read_cells, apart=True),
}
