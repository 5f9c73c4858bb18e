"""A list of studies and patients to be moved first is read before anything else is done, and holds for all that the inventory finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_core.domain.errors import InvalidRequest
from vna_core.migration.priorities import Priorities


def written(folder: Path, octets: bytes) -> Path:
    path = folder / "clinics.csv"
    path.write_bytes(octets)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "StudyInstanceUID,PatientID\n1.2,A\n,B\n",
        '\ufeffPatientID;x;StudyInstanceUID\r\nA;"1;2";1.2\r\n B ;;\r\n',
        "StudyInstanceUID\tPatientID\n1.2\tA\n\tB\n\t\n",
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, text: str) -> None:
    assert Priorities.read(written(tmp_path, text.encode())) == Priorities(("1.2",), ("B",))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"StudyInstanceUID,PatientID\n1.2,M\xfcller\n", "no text in UTF-8"),
        ("StudyInstanceUID\n1.2\n".encode("utf-16"), "no text in UTF-8"),
        (b"study,patient\n1.2,A\n", "neither a column StudyInstanceUID nor PatientID"),
        (b"", "neither a column"),
        (b"StudyInstanceUID\n\n", "names no study"),
        (b'StudyInstanceUID\n"1.2\n', "no CSV"),
        (b"StudyInstanceUID\n" + b"1" * 200_000 + b"\n", "no CSV"),
    ],
)
def test_what_is_no_such_list_is_refused_with_the_reason(tmp_path: Path, octets: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        Priorities.read(written(tmp_path, octets))
