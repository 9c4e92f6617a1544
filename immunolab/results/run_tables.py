"""The tables of a finished run, by name."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.tables import ALL, declared


class RunTables:
    """Tables by name, and the most used of them as attributes; what `immunolab.results.run.Run` is built on."""

    tables: Mapping[str, pd.DataFrame]

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by name; a declared table that the run does not have is empty.

        Parameters
        ----------
        name
            Name of a table of `immunolab.schema.tables`, which is that of its file under ``tables/``.

        Returns
        -------
        DataFrame
            Columns and types as declared.

        Raises
        ------
        InputError
            There is no table of this name.
        """
        if name in self.tables:
            return self.tables[name]
        try:
            return declared(name).empty()
        except LookupError:
            hint = nearest(name, [*ALL, *self.tables])
            raise InputError(Problem("", "table", f"no table '{name}' in this run", hint)) from None

    @property
    def counts(self) -> pd.DataFrame:
        """Events in every population of every sample."""
        return self.table("counts")

    @property
    def thresholds(self) -> pd.DataFrame:
        """Every threshold and how it was placed."""
        return self.table("thresholds")

    @property
    def overrides(self) -> pd.DataFrame:
        """Gates that a reader placed, and what the run did with each."""
        return self.table("overrides")

    @property
    def intensities(self) -> pd.DataFrame:
        """Median intensity of each marker in every population."""
        return self.table("intensities")

    @property
    def endpoints(self) -> pd.DataFrame:
        """Value of each endpoint in every sample."""
        return self.table("endpoints")

    @property
    def pairs(self) -> pd.DataFrame:
        """Each patient's change, endpoint by endpoint."""
        return self.table("pairs")

    @property
    def shifts(self) -> pd.DataFrame:
        """Each cohort's change, endpoint by endpoint."""
        return self.table("shifts")

    @property
    def quality(self) -> pd.DataFrame:
        """Checks of samples and of their dates."""
        return self.table("quality")

    @property
    def staining(self) -> pd.DataFrame:
        """Stains that are exchanged or absent against the panel's other tubes."""
        return self.table("staining")

    @property
    def drift(self) -> pd.DataFrame:
        """Brightness of landmark populations by batch, with the batches at which a marker steps."""
        return self.table("drift")

    @property
    def identity(self) -> pd.DataFrame:
        """Each tube beside its patient's other visits and beside the other patients."""
        return self.table("identity")

    @property
    def design(self) -> pd.DataFrame:
        """Whether changes between visits can be separated from batch, operator, lot, site or cytometer."""
        return self.table("design")

    @property
    def failures(self) -> pd.DataFrame:
        """Samples that could not be finished, and why."""
        return self.table("failures")

    @property
    def failed(self) -> tuple[str, ...]:
        """Samples that could not be finished, in the order of the sheet."""
        return tuple(map(str, self.failures["sample_id"]))
