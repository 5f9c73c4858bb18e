"""What is compared: each row feeds one running system and gives a rate, higher being better."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.measuring import System, requests_per_second, store
from vna_core.testing import phantoms
from vna_core.testing.fill import fill


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    group
        Its name on the command line.
    target
        The wanted ratio to Orthanc.
    count
        Instances a round, for the CPU time of each (0: not told).
    measure
        Feeds a fresh system; the rate.
    quick
        Whether DCMTK's programs, those inside the peers too, send without Nagle's algorithm.
    """

    name: str
    group: str
    target: float
    count: int
    systems: tuple[str, ...]
    measure: Callable[[System, Path], float]
    quick: bool = True


BOTH = ("orthanc", "vna")
STORES = ("orthanc", "vna", "storescp")


def files(folder: Path, count: int, edge: int, first: int = 1000) -> list[Path]:
    """CT files of a square edge in pixels, made once."""
    made = folder / f"ct{edge}-{first}"
    made.mkdir(exist_ok=True)
    paths = [made / f"{number:05}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.write_bytes(phantoms.ct(first + number, edge, edge))
    return paths


def storing(count: int, edge: int, associations: int, quick: bool = True) -> Callable[[System, Path], float]:
    """Instances a second by DCMTK senders."""

    def measure(system: System, folder: Path) -> float:
        paths = files(folder, count, edge)
        groups = [paths[at::associations] for at in range(associations)]
        return count / store(system.dimse_port, groups, quick)

    return measure


def large(system: System, folder: Path) -> float:
    """MB a second for one multi-frame instance of 370 MB."""
    path = folder / "large.dcm"
    if not path.exists():
        path.write_bytes(phantoms.multiframe(700))
    return path.stat().st_size / 1e6 / store(system.dimse_port, [[path]])


def stow(system: System, folder: Path) -> float:
    """Instances a second, 50 in a request."""
    import time

    paths = files(folder, 300, 512)
    boundary = b"benchmark-boundary"
    seconds = 0.0
    for at in range(0, 300, 50):
        parts = [
            b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n"
            for path in paths[at : at + 50]
        ]
        body = b"".join(parts) + b"--" + boundary + b"--"
        request = urllib.request.Request(
            f"{system.web}/dicom-web/studies",
            data=body,
            headers={
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary.decode()}',
                "Accept": "application/dicom+json",
            },
        )
        begin = time.perf_counter()
        with urllib.request.urlopen(request) as response:
            response.read()
        seconds += time.perf_counter() - begin
    return 300 / seconds


STUDIES = 2000


def querying(questions: Mapping[str, int]) -> Callable[[System, Path], float]:
    """Requests a second over 2,000 studies of one small instance.

    Parameters
    ----------
    questions
        Query string to the number of studies that match. Every system is asked once before it is measured: one that gives
        another number of answers does not understand the question, and its rate would mean nothing.
    """

    def measure(system: System, folder: Path) -> float:
        fill("127.0.0.1", system.dimse_port, "ANY", (phantoms.ct(1000 * number, 16, 16) for number in range(STUDIES)))
        urls = {f"{system.web}/dicom-web/studies?{question}": count for question, count in questions.items()}
        for url, count in urls.items():
            found = len(answer(url))
            if found != count:
                raise RuntimeError(f"{system.name} finds {found} studies where {count} match: {url}")
        return requests_per_second(list(urls), folder, accept="application/dicom+json")

    return measure


def answer(url: str) -> list[Any]:
    """The rows of one DICOM JSON answer."""
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": "application/dicom+json"})) as response:
        rows: list[Any] = json.loads(response.read())
    return rows


PATIENT_IDS = {f"PatientID=P{number:06}": 1 for number in range(0, STUDIES, 7)}
# Orthanc 1.10 finds nothing for keys with a caret or a blank, which its database does not keep; so the keys have neither.
NAMES = {f"PatientName=Phantom*{part}*": sum(str(part) in str(number) for number in range(STUDIES)) for part in range(10, 100)}
MONTHS = {
    f"StudyDate=2026{month:02}01-2026{month:02}31": sum(number % 12 + 1 == month for number in range(STUDIES))
    for month in range(1, 13)
}
PAGES = {f"limit=20&offset={offset}": 20 for offset in range(0, 400, 20)}


def reading(count: int, edge: int, of: Callable[[str, Sequence[str]], list[str]], accept: str) -> Callable[[System, Path], float]:
    """Requests a second over one stored series."""

    def measure(system: System, folder: Path) -> float:
        paths = files(folder, count, edge, 1_000)
        store(system.dimse_port, [paths])
        study = f"{system.web}/dicom-web/studies/{phantoms.uid(2)}"
        series = f"{study}/series/{phantoms.uid(2, 1)}"
        uids = [one["00080018"]["Value"][0] for one in answer(f"{series}/instances")]
        assert len(uids) == count
        return requests_per_second(of(series, uids), folder, accept=accept)

    return measure


_MULTIPART = 'multipart/related; type=\\"application/dicom\\"; transfer-syntax=*'
_OCTETS = 'multipart/related; type=\\"application/octet-stream\\"'

ROWS = (
    Row("C-STORE 0.5 MB CT, 1 association", "store", 1.8, 200, STORES, storing(200, 512, 1)),
    Row("C-STORE 0.5 MB CT, 4 associations", "store4", 2.5, 400, STORES, storing(400, 512, 4)),
    Row("C-STORE 14 KB, 4 associations", "small", 2.0, 800, STORES, storing(800, 64, 4)),
    Row("C-STORE 370 MB multi-frame (MB/s)", "large", 3.0, 1, STORES, large),
    Row("C-STORE, senders with default socket settings", "default-sockets", 6.0, 60, BOTH, storing(60, 512, 1, quick=False), quick=False),
    Row("STOW-RS, 50 instances a request", "stow", 3.0, 300, BOTH, stow),
    Row("QIDO-RS, patient ID", "qido", 20.0, 0, BOTH, querying(PATIENT_IDS)),
    Row("QIDO-RS, name wildcard", "qido", 20.0, 0, BOTH, querying(NAMES)),
    Row("QIDO-RS, a month of dates", "qido", 20.0, 0, BOTH, querying(MONTHS)),
    Row("QIDO-RS, a page of 20", "qido", 20.0, 0, BOTH, querying(PAGES)),
    Row(
        "Metadata of a series of 50", "metadata", 30.0, 0, BOTH,
        reading(50, 64, lambda series, _: [f"{series}/metadata"], "application/dicom+json"),
    ),
    Row(
        "WADO-RS instance of 0.5 MB", "wado", 3.0, 0, BOTH,
        reading(150, 512, lambda series, uids: [f"{series}/instances/{uid}" for uid in uids], _MULTIPART),
    ),
    Row(
        "WADO-RS frame of 0.5 MB", "wado", 1.5, 0, BOTH,
        reading(150, 512, lambda series, uids: [f"{series}/instances/{uid}/frames/1" for uid in uids], _OCTETS),
    ),
    Row(
        "WADO-RS study of 79 MB", "wado", 1.5, 0, BOTH,
        reading(150, 512, lambda series, _: [series.split("/series/")[0]], _MULTIPART),
    ),
)  # fmt: skip
"""Every comparison, in the order of the report."""
