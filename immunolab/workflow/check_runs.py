"""What headers and sheet say of a study's runs before it is run: swapped names, one tube twice, change points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from immunolab.errors import Problem
from immunolab.quality.acquired_order import contradicted_days, who_contradicts
from immunolab.quality.acquisition import cytometer_of, header_date
from immunolab.quality.run_changes import TubeSetup, run_changes, tube_setup
from immunolab.study.file_names import NamedTube, header_names, names_of_others
from immunolab.study.sheet import Sample, Study

_MOST_CHANGES = 6  # lines: what is read before a run is started (judgement)
_MOST_NAMED = 12  # patients named one by one, as on the first page of the report
_KEY = ("$DATE", "$BTIM", "$ETIM", "$TOT")  # of one acquisition, with the cytometer


@dataclass
class StudyHeaders:
    """What is kept of the headers of a study's tubes, file by file.

    Attributes
    ----------
    study
        Its sheet says the rest.
    """

    study: Study
    _setups: list[TubeSetup] = field(default_factory=list)
    _named: list[NamedTube] = field(default_factory=list)
    _acquired: dict[tuple[str, ...], list[Sample]] = field(default_factory=dict)
    _days: list[tuple[Sample, date | None]] = field(default_factory=list)

    def add(self, sample: Sample, text: Mapping[str, str]) -> None:
        """Keep what is needed of a header.

        Parameters
        ----------
        sample
            The row of the sheet.
        text
            Keywords of its file, upper case.
        """
        key = (cytometer_of(text), *(text.get(word, "").strip() for word in _KEY))
        if all(key[1:3]):
            self._acquired.setdefault(key, []).append(sample)
        self._days.append((sample, header_date(text.get("$DATE", ""))))
        if sample.control_of and not sample.bridge:
            return
        patient = "" if sample.bridge else sample.patient_id
        sheet = {name: str(getattr(sample, name)) for name in ("lot", "site", "operator")}
        tube = (sample.sample_id, sample.panel, patient, sample.visit)
        self._setups.append(tube_setup(text, tube=tube, batch=sample.batch, taken=sample.date, sheet=sheet))
        if patient:
            name = sample.file.name
            self._named.append(NamedTube(str(sample.file), patient, sample.visit, name, header_names(text)))

    def suspicious(self) -> list[Problem]:
        """Return the tubes that seem to be of another row, or that two rows hold."""
        found = [Problem(file, "", text) for file, text in names_of_others(self._named)]
        for samples in self._acquired.values():
            if len({sample.file for sample in samples}) > 1:
                names = " and ".join(sample.sample_id for sample in samples)
                text = f"{names} have the date, times and events of one acquisition: the same tube may be in both rows"
                found.append(Problem(str(samples[0].file), "", text))
        return [*found, *self._contradicted()]

    def _contradicted(self) -> list[Problem]:
        """Return the patients whose files were acquired in another order than that of the visits."""
        found, not_judged = contradicted_days(self._days, self.study.declared_visits)
        said = who_contradicts(
            (one.sample.patient_id, one.sample.visit, one.check, one.days, one.text) for one in found
        )
        sheet = self.study.sheet.name if self.study.sheet else ""
        hint = "look at the files' own dates with `immunolab inspect`; cells that were frozen: specimen frozen_pbmc"
        text = "dates in headers contradict the sheet, as where files were exchanged: "
        more = f"; and {len(said) - _MOST_NAMED} more patients" if len(said) > _MOST_NAMED else ""
        lines = [Problem(sheet, "", f"{text}{'; '.join(said[:_MOST_NAMED])}{more}", hint)] if said else []
        return [*lines, *([Problem(sheet, "", not_judged)] if not_judged else [])]

    def changes(self) -> list[Problem]:
        """Return what changes over the runs, the worst first."""
        contrasts = dict.fromkeys(c for e in self.study.endpoints if (c := self.study.contrast_of(e)) and c[0] != c[1])
        visits = self.study.comparison
        named = [(visits.before, visits.after)] if visits.before and visits.after else []
        found = run_changes(self._setups, [*contrasts, *named])
        lines = [Problem("", "", one.message) for one in found[:_MOST_CHANGES]]
        if len(found) > _MOST_CHANGES:
            kinds = ", ".join(dict.fromkeys(one.kind for one in found[_MOST_CHANGES:]))
            lines.append(Problem("", "", f"{len(found) - _MOST_CHANGES} more changes ({kinds})"))
        return lines
