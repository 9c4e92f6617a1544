"""The allow-list: which keywords of TEXT may stay, and in what form.

Everything not named here is left behind. Values are checked one by one, because an allowed
keyword can hold a name as well: numbers must be numbers, labels may hold only markers, dyes and
detector words, the cytometer only model names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from immunolab.loaders.fcs.header import FcsHeader
from immunolab.loaders.fcs.spillover import SPILLOVER_KEYWORDS
from immunolab.vocabulary.labels import resolve_label, spelled, unexplained_words

_LAYOUT_KEYWORDS = frozenset(
    "$BEGINANALYSIS $BEGINDATA $BEGINSTEXT $ENDANALYSIS $ENDDATA $ENDSTEXT $NEXTDATA".split()  # noqa: SIM905
)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_VALUE = re.compile(_NUMBER)
_VOLUME_DIGITS = 3  # significant digits of $VOL that stay: more than a syringe's error, less than a record number
_MOST_VOLUME = 1e8  # nanolitres, 100 mL: more than any tube holds
_MOST_DIGITS = 20  # of a number that may go out; an id hidden in a number is longer than any setting (judgement)
_FORMS: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern)
    for name, pattern in {
        "$MODE": "[LlCcUu]",
        "$TIMESTEP": r"(?:\d{1,3}(?:\.\d{0,16})?|\.\d{1,16})(?:[eE]-\d{1,2})?",  # seconds
        "$DFCmTOn": r"[+-]?\d{1,3}(?:\.\d{0,6})?",  # percent
        "$PnB": r"\d{1,3}|\*",
        "$PnE": rf"{_NUMBER} *, *{_NUMBER}",
        "$PnG": _NUMBER,
        "$PnR": _NUMBER,
        "$PnV": r"\d{1,4}(?:\.\d{1,6})?",
        "$PnO": r"\d{1,4}(?:\.\d{1,3})?",
        "$PnL": r"\d{3}(?: *, *\d{3})*",
        "$PnD": rf"(?:Linear|Logarithmic) *, *{_NUMBER} *, *{_NUMBER}",
        "$PnDATATYPE": "[IFDA]",
        "$PnTYPE": "Forward_Scatter|Side_Scatter|Raw_Fluorescence|Unmixed_Fluorescence|Mass|Time|Index|Classification",
        "$PnFEATURE": "Area|Height|Width",
        "PnDISPLAY": "LOG|LIN",
    }.items()
}
# what a date or a record number may look like, and the filters that look like one (``530/30``)
_DATE_OR_RECORD = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{2,4}(?:[ .-]\d{2,4}){2,}")
_FILTER = re.compile(r"(?:\d{3}[- ])?\d{3}[-/]\d{2,3}")
# words of detectors, lasers and pulse shapes, as instruments of the makers below write them
_DETECTOR_WORD = re.compile(
    r"(?:FL|BL|RL|VL|YL|GL|YG|UV|L|B|V|R|Y|G|U|IR)\d{1,2}|[BVRGYU]\d{3}|FL|BL|RL|VL|YL|GL|YG|UV|"
    r"(?:\d{3}(?:NM)?)?(?:FSC|SSC|BSC|FALS|FS|SS)\d{0,2}[AHW]?|\d{1,3}(?:\.\d{1,2})?(?:NM|LP|BP|SP|[AHW])?|[AHW]|AREA|HEIGHT|"
    r"WIDTH|PMT|COMP|FJCOMP|TIME\d?|HDR|TM|SEC|EVENT|LENGTH|COUNT|CENTER|OFFSET|RESIDUAL|PULSE|DOUBLET|EV|UNUSED\d{0,2}|MSW|LSW|"
    r"COMPUTED|UNKNOWN\d{1,3}|DI|DD|BEADS?|EQ4?|CHANNEL[A-Z]?|P\d{1,3}|FORWARD|SIDE|SCATTER|PEAK|INT|LOG[AHW]?|LIN[AHW]"
)
# Words that are surnames or initials too: kept only beside a detector's own word.
_BESIDE_DETECTOR = frozenset("LIN RED BLUE GREEN VIOLET YELLOW T V CE SE B R G Y".split())  # noqa: SIM905
_DETECTOR_NAME = re.compile(r"FL\d{0,2}|(?:\d{3})?(?:FSC|SSC|BSC|FS|SS)\d{0,2}[AHW]?|HDR|BL|RL|VL|YL|GL|CHANNEL")
_MODEL_NAMES = (
    r"FACS\s?(?:Calibur|Canto|Aria|Verse|Lyric|Symphony|Celesta|Melody|Scan|Sort|Discover|Duet|Vantage|Jazz)?|LSR|Fortessa",
    r"LSRFortessa|X-20|Symphony|Accuri|C6|Influx|Aurora|Northern\s?Lights|NL-[123]000|CytoFLEX|Gallios|Navios|FC\s?500",
    r"Cytomics|CyAn|ADP|MoFlo|Astrios|XDP|EPICS|XL-MCL|Altra|Quanta|MACSQuant|Tyto|Attune|NxT|Guava|CyFlow|Cube|PAS",
    r"CyTOF|Helios|XT|ID7000|SP6800|SA3800|SH800|Bigfoot|ZE5|Yeti|Stratedigm|S1[0-4]00(?:EX)?|DxP ?\d{0,2}|xP5|Cytek",
    r"Quanteon|NovoCyte|Penteon|Eclipse|ImageStream|Amnis|II|III|Plus|Analyzer|BD|Beckman|Coulter|Sony|Miltenyi|Partec|Sysmex",
    r"Fluidigm|DVS|virtual cytometer|flow cytometer",
)
_MODELS = re.compile(rf"(?<![\w-])(?:{'|'.join(_MODEL_NAMES)})(?![\w-])", re.IGNORECASE)


@dataclass(frozen=True)
class Rebuilt:
    """The keywords of a data set that may go out, without those that say where segments are.

    Attributes
    ----------
    keywords
        Ready to write.
    names_changed, labels_changed
        Channels whose ``$PnN`` or ``$PnS`` had to be reduced.
    dropped
        Keywords of the source that are not there any more, in the source's spelling.
    """

    keywords: dict[str, str]
    names_changed: tuple[str, ...]
    labels_changed: tuple[str, ...]
    dropped: tuple[str, ...]


def rebuild(header: FcsHeader) -> Rebuilt:
    """Return the allow-listed keywords of a data set.

    Parameters
    ----------
    header
        The data set as read.
    """
    text, n = header.text, len(header.channels)
    kept: dict[str, str] = {
        "$BYTEORD": re.sub(r"\s", "", text.get("$BYTEORD", "")),
        "$DATATYPE": text.get("$DATATYPE", "").strip().upper() or header.channels[0].datatype,
        "$MODE": "L",
        "$PAR": str(n),
        "$TOT": str(header.n_events),
    }
    if not re.fullmatch(r"\d(,\d)+", kept["$BYTEORD"]):
        kept["$BYTEORD"] = "1,2,3,4"  # the reader accepts another order only where it does not matter
    names = _names(header)
    for i, channel in enumerate(header.channels, start=1):
        kept[f"$P{i}N"] = names[channel.name]
        kept |= _channel_keywords(text, i, channel.label)
        kept.setdefault(f"$P{i}E", "0,0")
    kept |= {"$TIMESTEP": text["$TIMESTEP"].strip()} if _fits("$TIMESTEP", text.get("$TIMESTEP", "")) else {}
    kept |= {"$VOL": volume} if (volume := _volume(text.get("$VOL", ""))) else {}
    kept |= {key: value for key in SPILLOVER_KEYWORDS if (value := _matrix(text.get(key, ""), key, names))}
    recorded = [key for key in text if re.fullmatch(r"\$DFC\d+TO\d+", key) and _fits("$DFCmTOn", text[key])]
    kept |= {key: text[key].strip() for key in recorded}
    if cytometer := model_words(header.cytometer):
        kept["$CYT"] = cytometer
    elif header.version == "3.2":
        kept["$CYT"] = "flow cytometer"  # required from 3.2 on
    labels = [(f"$P{i}S", channel.label) for i, channel in enumerate(header.channels, start=1)]
    return Rebuilt(
        kept,
        tuple(f"$P{i}N" for i, c in enumerate(header.channels, start=1) if names[c.name] != c.name),
        tuple(key for key, label in labels if label and kept.get(key, "") != label),
        tuple(key for key in text if key not in kept and key not in _LAYOUT_KEYWORDS),
    )


def harmless(text: str) -> bool:
    """Return whether a channel name or label holds only markers, dyes and detector words."""
    words = unexplained_words(text)
    only_digits = bool(text.strip()) and not any(character.isalpha() for character in text)
    if _DATE_OR_RECORD.search(text) or (only_digits and not _FILTER.fullmatch(text.strip())):
        return False
    beside = any(_DETECTOR_NAME.fullmatch(word) for word in words)
    return all(_DETECTOR_WORD.fullmatch(word) or (beside and word in _BESIDE_DETECTOR) for word in words)


def harmless_label(label: str) -> str:
    """Return a label as it may go out: as typed when it is harmless, else its marker and dye, else nothing."""
    return label if _goes_as_typed(label) else spelled(resolve_label(label))


def _goes_as_typed(text: str) -> bool:
    return text.isascii() and text.isprintable() and harmless(text)


def model_words(cytometer: str) -> str:
    """Return the words of ``$CYT`` that name a known model; a nickname or a serial number is left behind."""
    return " ".join(match.group() for match in _MODELS.finditer(cytometer))


def allowed_keyword(key: str, value: str) -> bool:
    """Return whether a keyword with this value may stay as it is.

    Parameters
    ----------
    key, value
        Upper case with its ``$``, and as written.
    """
    value = value.strip()
    if key in _LAYOUT_KEYWORDS | {"$PAR", "$TOT"}:
        return value == "" or bool(re.fullmatch(r"\d{1,20}", value))
    if key == "$BYTEORD":
        return bool(re.fullmatch(r"\d(\s*,\s*\d)*", value))
    if key == "$DATATYPE":
        return value.upper() in ("I", "F", "D", "A")
    if key == "$CYT":
        return value == (model_words(value) or "flow cytometer")
    if key in SPILLOVER_KEYWORDS:
        words = value.split(",")
        return all(_is_number(word) or harmless(word) for word in words)
    if re.fullmatch(r"\$P\d+[NS]", key):
        return harmless(value)
    if re.fullmatch(r"\$P\d+(TAG|ANALYTE)", key):
        return value == harmless_label(value)
    if re.fullmatch(r"\$DFC\d+TO\d+", key):
        return _fits("$DFCmTOn", value)
    if key == "$VOL":
        return value == _volume(value)
    return _fits(re.sub(r"(?<=P)\d+", "n", key), value)


def _fits(form: str, value: str) -> bool:
    pattern = _FORMS.get(form)
    value = value.strip()
    return pattern is not None and len(value) <= 4 * _MOST_DIGITS and bool(pattern.fullmatch(value))


def _volume(value: str) -> str:
    """Return a volume to three digits, for a record number could be in its place; nothing for what is no volume."""
    nanolitres = float(value) if _is_number(value) else 0.0
    if not 0.0 < nanolitres < _MOST_VOLUME:
        return ""
    return f"{float(f'{nanolitres:.{_VOLUME_DIGITS}g}'):.12g}"


def _is_number(word: str) -> bool:
    return len(word.strip()) <= _MOST_DIGITS + 8 and bool(_VALUE.fullmatch(word.strip()))


def _names(header: FcsHeader) -> dict[str, str]:
    names: dict[str, str] = {}
    taken = {channel.name for channel in header.channels if _goes_as_typed(channel.name)}
    for i, channel in enumerate(header.channels, start=1):
        name, count = channel.name, 1
        if name not in taken:
            name = f"P{i}"
            while name in taken or name in names.values():
                count += 1
                name = f"P{i}_{count}"
        names[channel.name] = name
    return names


def _channel_keywords(text: Mapping[str, str], i: int, label: str) -> dict[str, str]:
    kept = {}
    for form in _FORMS:
        key = form.replace("Pn", f"P{i}")
        if key != form and _fits(form, text.get(key, "")):
            kept[key] = text[key].strip()
    if label and (said := harmless_label(label)):
        kept[f"$P{i}S"] = said
    for key in (f"$P{i}TAG", f"$P{i}ANALYTE"):
        if said := harmless_label(text.get(key, "").strip()):
            kept[key] = said
    return kept


def _matrix(value: str, key: str, names: Mapping[str, str]) -> str:
    """Return a matrix keyword with the channels' new names; nothing when it is not a matrix."""
    words = [word.strip() for word in value.split(",")]
    n = int(words[0]) if re.fullmatch(r"\d{1,4}", words[0]) else 0
    named = 0 if key == "$COMP" else n
    if n == 0 or len(words) != 1 + named + n * n or not all(_is_number(word) for word in words[1 + named :]):
        return ""
    channels = [
        names.get(w) or (w if harmless(w) else f"unknown{j}") for j, w in enumerate(words[1 : 1 + named], start=1)
    ]
    return ",".join([words[0], *channels, *words[1 + named :]])
