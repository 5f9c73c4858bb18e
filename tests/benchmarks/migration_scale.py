"""What one study costs the ledger of a migration, by the number of rows that are in it already.

    python -m tests.benchmarks.migration_scale --rows 10000,100000,1000000

Rows are written straight into the tables, as a campaign would have left them; then the calls that a worker makes for one study of
ten instances (queue, places, moves, ends, comparison, counts) are timed in the median of many studies. Beside the time that passed
stands the CPU time, which does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_rows import InstanceEnd
from vna_core.catalogue.migration_writing import Writing
from vna_core.configuration import CatalogueSettings
from vna_core.domain.migration import InstanceState, StudyState
from vna_core.migration.report import summary_of

CAMPAIGN = "scale"
INSTANCES = 10
"""Instances of one study."""


def fill(catalogue: Catalogue, first: int, last: int) -> None:
    """Rows of the studies of these numbers, inventoried."""
    database, serial = catalogue._database, range(first, last)
    for at in range(0, len(serial), 5000):
        piece = serial[at : at + 5000]
        with database.transaction() as session:
            session.executemany(
                "INSERT INTO migration_studies (pk, campaign, study_instance_uid, patient_id, study_date, first_inventory, "
                "last_inventory, instances_inventory, state, position, instances) VALUES (?, ?, ?, ?, ?, 1, 1, 1, 'inventoried', ?, ?)",
                [(n, CAMPAIGN, f"1.2.3.{n}", f"P{n // 3}", f"2{n % 1000:03}0101", n, INSTANCES) for n in piece],
            )
            session.executemany(
                "INSERT INTO migration_instances (study_fk, series_instance_uid, sop_instance_uid, first_inventory, state) "
                "VALUES (?, ?, ?, 1, 'inventoried')",
                [(n, f"1.2.3.{n}.1", f"1.2.3.{n}.1.{i}") for n in piece for i in range(INSTANCES)],
            )
            writing = Writing(catalogue.ledger._statements, session, CAMPAIGN, "fill")
            writing.count("study", "inventoried", number=len(piece))
            writing.count("instance", "inventoried", number=len(piece) * INSTANCES)
            writing.close()


def studies(catalogue: Catalogue, count: int) -> Iterator[tuple[float, float]]:
    """Seconds that passed, and of CPU, for each of `count` studies."""
    ledger, reader, throttle = catalogue.ledger, catalogue.ledger_reader, catalogue.throttle
    for _ in range(count):
        begun, busy = time.perf_counter(), time.process_time()
        taken: list[int] = []
        ledger.queue(CAMPAIGN, 1, "bench", lambda session, pk, taken=taken: taken.append(pk))  # type: ignore[misc]
        study = reader.study(taken[0])
        catalogue.jobs.add("bench", "study")
        (job,) = catalogue.jobs.take(["bench"], 1, 60.0, "bench")
        slot = throttle.acquire(CAMPAIGN, job, 4)
        assert slot is not None
        ledger.move(study, StudyState.RETRIEVING, "bench", "slot")
        instances = reader.instances(study.pk)
        reader.held([one.sop_instance_uid for one in instances])
        ends = [InstanceEnd(one, InstanceState.STORED, "held", "", "0" * 64, 1, one.sop_instance_uid) for one in instances]
        ledger.end_instances(study, ends, "bench")
        with ledger.writing(CAMPAIGN, "bench") as writing:
            writing.move_study(study.pk, StudyState.STORED, "uid-set")
        throttle.release(slot, 4, len(ends), {"source": 0.1})
        catalogue.jobs.done(job)
        summary_of(catalogue, CAMPAIGN)
        yield time.perf_counter() - begun, time.process_time() - busy


def main() -> None:
    """Print the cost for each number of rows, and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000,1000000", help="numbers of instance rows, growing")
    parser.add_argument("--studies", type=int, default=200, help="studies that are timed at each number")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    figures: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, Catalogue.open(CatalogueSettings(), Path(folder)) as catalogue:
        catalogue.campaigns.save(Campaign(CAMPAIGN, "x://scale"))
        held = 0
        for rows in map(int, arguments.rows.split(",")):
            fill(catalogue, held + 1, rows // INSTANCES + 1)
            held = rows // INSTANCES
            taken = list(studies(catalogue, arguments.studies))
            passed, busy = (statistics.median(column) * 1000 / INSTANCES for column in zip(*taken, strict=True))
            first = figures[0] if figures else {"milliseconds": passed, "cpu_milliseconds": busy}
            ratio, cpu_ratio = passed / first["milliseconds"], busy / first["cpu_milliseconds"]
            figures.append(
                {"rows": rows, "milliseconds": passed, "ratio": ratio, "cpu_milliseconds": busy, "cpu_ratio": cpu_ratio}
            )
            print(
                f"{rows:>9} rows: {passed:.3f} ms an instance, {ratio:.2f} times the first; "
                f"{busy:.3f} ms of CPU, {cpu_ratio:.2f} times the first",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
