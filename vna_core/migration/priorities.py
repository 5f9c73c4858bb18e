"""The list of studies and patients that are to be moved first."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.jobs import URGENT

_STUDY, _PATIENT = "StudyInstanceUID", "PatientID"
_SEPARATORS: Final = ",;\t"
_LISTED_FIRST: Final = URGENT + 10


@dataclass(frozen=True, slots=True)
class Priorities:
    """Study Instance UIDs, and Patient IDs of whose studies all are meant."""

    studies: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Priorities:
        """Those of a CSV file in UTF-8, separated by comma, semicolon or tab, with a column StudyInstanceUID or PatientID.

        A row that names a study means that study alone. Raises InvalidRequest: it is no such file, or names nothing.
        """
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                separator = max(_SEPARATORS, key=file.readline().count)
                file.seek(0)
                rows = csv.DictReader(file, delimiter=separator, strict=True)
                if not {_STUDY, _PATIENT} & set(rows.fieldnames or ()):
                    raise InvalidRequest(f"{path} has neither a column {_STUDY} nor {_PATIENT} in its first line.")
                named = [((row.get(_STUDY) or "").strip(), (row.get(_PATIENT) or "").strip()) for row in rows]
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{path} is no text in UTF-8 (octet {error.start}): save it as CSV in UTF-8.") from error
        except csv.Error as error:
            raise InvalidRequest(f"{path} is no CSV that can be read: {error}.") from error
        except OSError as error:
            raise InvalidRequest(f"{path} cannot be read ({error.strerror}).") from error
        found = cls(tuple(study for study, _ in named if study), tuple(one for study, one in named if one and not study))
        if not found.studies and not found.patients:
            raise InvalidRequest(f"{path} names no study and no patient.")
        return found

    def apply(self, catalogue: Catalogue, campaign: str) -> int:
        """Put them first in a campaign; how many of their studies still have to be moved. Safe to call again."""
        return len(catalogue.ledger.prioritize(campaign, _LISTED_FIRST, studies=self.studies, patients=self.patients))
