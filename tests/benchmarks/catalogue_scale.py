"""Query latency at 1,000,000 instances against 20,000: ``python tests/benchmarks/catalogue_scale.py``.

Fills two catalogues with studies of 100 instances in two series, asks each the same questions with the same number of hits,
alternating, and prints medians and their ratio. To reach: at most twice. ``--url`` names an empty PostgreSQL database per size
(``{size}`` in it is replaced); without it SQLite files in a temporary folder are used. Rows are inserted by the recorder's own
statements in large transactions, so they are the same rows as in operation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vna_core.catalogue import Catalogue
from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import entry_form
from vna_core.catalogue.recording import Recorder
from vna_core.configuration import CatalogueSettings
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import IndexEntry, Location
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.query import Between, Equals, Level, Query, Wildcard

PER_STUDY = 100
PER_PATIENT = 2
START = datetime(2000, 1, 1, tzinfo=UTC)
HEADER = json.dumps({f"{tag:08X}": {"vr": "LO", "Value": [f"value {tag}"]} for tag in range(0x00080000, 0x00080040)}).encode()


def instances(count: int) -> Iterator[IndexEntry]:
    """Entries in order of arrival; sixty studies a month, so that a month has as many hits in either size."""
    for number in range(count):
        study = number // PER_STUDY
        patient = study // PER_PATIENT
        uid = f"1.2.826.0.1.{study}"
        series = f"{uid}.{number % 2}"
        digest = hashlib.sha256(str(number).encode()).hexdigest()
        day = study // 2
        date = f"{2000 + day // 360}{day % 360 // 30 + 1:02}{day % 30 + 1:02}"
        yield IndexEntry(
            patient=PatientKey("", f"PID{patient:07}"),
            study_instance_uid=uid,
            series_instance_uid=series,
            sop_instance_uid=f"{series}.{number}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            attributes={
                0x00100010: (f"Family{_letters(patient)}^Given{_letters(patient * 7919 % 100_003)}",),
                0x00100020: (f"PID{patient:07}",),
                0x00100040: ("MF"[patient % 2],),
                0x00080020: (date,),
                0x00080030: (f"{number % 24:02}3000",),
                0x00080050: (f"A{study:08}",),
                0x00081030: (f"Study {study % 50}",),
                0x00080060: ("CT" if number % 2 else "MR",),
                0x00200011: (str(number % 2),),
                0x00200013: (str(number % PER_STUDY),),
            },
            json_header=HEADER,
            location=Location("landing", f"studies/{digest[:2]}/{uid}/{series}/{number}.{digest}.dcm", 0, 525_000),
            sha256=digest,
            size=525_000,
            data_set_offset=300,
            trailer_offset=524_900,
            pixel_data=ByteRange(500, 524_288),
            number_of_frames=1,
            original_sha256=digest[::-1],
            original_size=524_900,
            source=Source("dimse", "CT1", "127.0.0.1"),
            received_at=START + timedelta(milliseconds=number),
            rule_set="2026.11.0",
        )


def _letters(number: int) -> str:
    text = ""
    for _ in range(4):
        number, digit = divmod(number, 26)
        text += chr(97 + digit)
    return text


def fill(settings: CatalogueSettings, data: Path, count: int) -> float:
    """Fill an empty catalogue; seconds taken."""
    begin = time.perf_counter()
    Catalogue.open(settings, data).close()
    database = Database(settings, data)
    recorder = Recorder(database)
    batch = []
    for entry in instances(count):
        batch.append(entry_form(entry, {}))
        if len(batch) == 5000:
            recorder(batch)
            batch = []
    if batch:
        recorder(batch)
    database.close()
    return time.perf_counter() - begin


def questions(count: int) -> dict[str, Callable[[Catalogue, int], int]]:
    """Each question asks about another patient or month every time; the result is its number of hits."""
    patients = count // PER_STUDY // PER_PATIENT
    months = max(1, count // PER_STUDY // 60)

    def ask(
        *conditions: Equals | Wildcard | Between, level: Level = Level.STUDY, limit: int | None = 20
    ) -> Callable[[Catalogue], int]:
        return lambda catalogue: len(list(catalogue.search(Query(level, conditions, limit)).matches))

    def month(turn: int) -> Between:
        year, number = divmod(turn * 31 % months, 12)
        stem = f"{2000 + year}{number + 1:02}"
        return Between(0x00080020, f"{stem}01", f"{stem}31")

    def patient(turn: int) -> int:
        return turn * 7919 % patients

    def deep_page(catalogue: Catalogue) -> int:
        cursor, seen = "", 0
        for _ in range(5):
            answer = catalogue.search(Query(Level.STUDY, (), 20, after=cursor))
            seen += len(list(answer.matches))
            cursor = answer.cursor
        return seen

    def study(turn: int) -> str:
        return f"1.2.826.0.1.{patient(turn)}"

    return {
        "patient ID": lambda catalogue, turn: ask(Equals(0x00100020, (f"PID{patient(turn):07}",)))(catalogue),
        "name prefix*": lambda catalogue, turn: ask(Wildcard(0x00100010, f"family{_letters(patient(turn))}*"))(catalogue),
        "name *infix*": lambda catalogue, turn: ask(Wildcard(0x00100010, f"*y{_letters(patient(turn))}^*"))(catalogue),
        "month of dates": lambda catalogue, turn: ask(month(turn), limit=None)(catalogue),
        "page 20 newest first": lambda catalogue, turn: ask()(catalogue),
        "five pages by cursor": lambda catalogue, turn: deep_page(catalogue),
        "accession number": lambda catalogue, turn: ask(Equals(0x00080050, (f"A{patient(turn):08}",)))(catalogue),
        "series of a study": lambda catalogue, turn: ask(Equals(0x0020000D, (study(turn),)), level=Level.SERIES)(catalogue),
        "instances of a study": lambda catalogue, turn: ask(Equals(0x0020000D, (study(turn),)), level=Level.IMAGE, limit=None)(
            catalogue
        ),
        "series metadata (50)": lambda catalogue, turn: len(
            list(catalogue.metadata(study=study(turn), series=f"{study(turn)}.0"))
        ),
        "statistics": lambda catalogue, turn: catalogue.statistics().patients and 1,
    }


def measure(catalogues: dict[int, Catalogue], rounds: int) -> None:
    """Ask in turn and print medians."""
    small, large = sorted(catalogues)
    print(f"{'question':<24}{'hits':>10}{small:>14,}{large:>14,}{'ratio':>8}")
    asked = {count: questions(count) for count in catalogues}
    for name in asked[small]:
        times: dict[int, list[float]] = {small: [], large: []}
        hits: dict[int, int] = {}
        for turn in range(rounds):
            for count, catalogue in catalogues.items():
                begin = time.perf_counter()
                hits[count] = asked[count][name](catalogue, turn)
                times[count].append(time.perf_counter() - begin)
        low, high = (statistics.median(times[count][1:]) * 1e3 for count in (small, large))
        print(f"{name:<24}{hits[small]:>5}{hits[large]:>5}{low:>11.3f} ms{high:>11.3f} ms{high / low:>8.2f}", flush=True)


def main() -> None:
    """Fill both catalogues and compare them."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--small", type=int, default=20_000)
    options.add_argument("--large", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=200)
    options.add_argument("--url", default="")
    options.add_argument("--data", type=Path, help="Folder to keep the catalogues in, and to find them in again.")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        catalogues = {}
        for count in (given.small, given.large):
            data = (given.data or Path(folder)) / str(count)
            settings = CatalogueSettings(url=given.url.replace("{size}", str(count)))
            if not (given.data and data.exists()):
                print(f"filled {count:,} instances in {fill(settings, data, count):.1f} s", flush=True)
            catalogues[count] = Catalogue.open(settings, data)
        measure(catalogues, given.rounds)
        for catalogue in catalogues.values():
            catalogue.close()


if __name__ == "__main__":
    main()
