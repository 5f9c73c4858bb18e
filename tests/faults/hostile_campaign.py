"""Whole campaigns against a source that misbehaves on purpose, judged against the log of what it did.

    python -m tests.faults.hostile_campaign --seeds 50
    python -m tests.faults.hostile_campaign --seeds 50 --face web

Every instance that the source truly holds must end held with its content, or be named by the worklist (itself, its study, or the
inventory); and nothing may be on the worklist whose study was left alone. Exit code 0 only if both hold for every seed.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_rows import ExceptionEntry
from vna_core.catalogue.migration_throttle import Load
from vna_core.configuration import load_settings
from vna_core.domain.errors import VnaError
from vna_core.domain.outcome import IngestResult
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.comparison import Verifier
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.report import CampaignReport
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing.hostile_pacs.faults import Face, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import HostileStudy, Population
from vna_core.testing.hostile_pacs.server import HostilePacs
from vna_core.testing.hostile_pacs.web_server import ROOT, HostileDicomweb

HARMLESS = frozenset(("W3", "W5", "W9", "W11", "W14", "W15", "W19", "W24", "H3", "H4", "H6", "H8"))
"""Kinds that a migration copes with: everything arrives, and nothing has to be on the worklist."""

SOURCE_WIDE = frozenset(("inventory-capped", "inventory-refused", "statistics-differ"))


class Silent:
    """Nobody watches."""

    def inventoried(self, studies: int, instances: int) -> None:
        """See `Progress`."""

    def planned(self, instances: int) -> None:
        """See `Progress`."""

    def fetched(self, result: IngestResult) -> None:
        """See `Progress`."""

    def stands(self, report: CampaignReport, load: Load, state: str) -> None:
        """See `Progress`."""

    def held_up(self, error: VnaError | None) -> None:
        """See `Progress`."""


@dataclass
class Judgement:
    """How one campaign did. `injections` counts faults that were played."""

    seed: int
    injections: int = 0
    instances: int = 0
    held: int = 0
    flagged: int = 0
    silent_losses: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)

    @property
    def good(self) -> bool:
        """Whether nothing was lost without a word, and nothing was blamed without a reason."""
        return not self.silent_losses and not self.false_alarms


PAGE = 8
"""Answers on a page of a DICOMweb source, so that a small one has several."""


def judge(seed: int, folder: Path, studies: int = 40, most: int = 4, faults: str = "all", face: Face = Face.DIMSE) -> Judgement:
    """Run one campaign with everything verified, and judge it."""
    plan = FaultPlan.parse(seed, faults, cap=25 if face is Face.DIMSE else 12, face=face)
    population = Population(plan, studies, most)
    log = InjectionLog()
    settings = load_settings(None, {"data": str(folder)})
    with _source(population, plan, log, face) as source, open_archive(settings) as archive:
        _migrate(archive, source)
        return _judged(seed, archive, source, population, plan, log, face)


@contextlib.contextmanager
def _source(population: Population, plan: FaultPlan, log: InjectionLog, face: Face) -> Iterator[str]:
    """The running source; its URL."""
    if face is Face.DIMSE:
        with HostilePacs(population, plan, log, hang=20.0) as pacs:
            yield f"dimse://OLDPACS@127.0.0.1:{pacs.start()}"
    else:
        with HostileDicomweb(population, plan, log, hang=20.0) as web:
            yield f"dicomweb+http://127.0.0.1:{web.start()}{ROOT}?page={PAGE}"


def _migrate(archive: Archive, source: str) -> None:
    campaign = Campaign(source, source, details={"options": CampaignOptions(patience=3.0).as_dict()})

    def open_source(one: Campaign) -> PacsAdapter:
        return archive.plugins.open_pacs(one.name, one.source, {})

    worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
    CampaignRunner(campaign, worker, open_source, archive.catalogue, Silent(), archive.settings.jobs).run(3)
    adapter = open_source(campaign)
    try:
        adapter.probe()
        Verifier(
            source, archive.catalogue, archive.retriever, archive.pipeline, "test@nowhere:1", adapter=adapter, share=1.0
        ).run()
    finally:
        adapter.close()


def _judged(
    seed: int, archive: Archive, source: str, population: Population, plan: FaultPlan, log: InjectionLog, face: Face
) -> Judgement:
    played = list(log)
    judgement = Judgement(seed, len(played), kinds={one.fault for one in played})
    worklist = archive.catalogue.ledger_reader.exceptions(source, state=None, limit=100_000)
    named = {one.study_instance_uid for one in worklist if one.state == "open"}
    everywhere = any(one.reason in SOURCE_WIDE for one in worklist)
    shared = [one.sop_instance_uid for _, one in population.truth()]
    for study, one in population.truth():
        judgement.instances += 1
        versions = archive.catalogue.versions(one.sop_instance_uid)
        whole = any(version.original_sha256 == study.digest(one, face) for version in versions)
        whole = whole or (one.fault in ("W14", "W15") and bool(versions))  # held as they came, under their UID
        flagged = study.study_instance_uid in named or everywhere or (study.fault == "W23" and _is_told(study, worklist))
        judgement.held += whole
        judgement.flagged += flagged and not whole
        if not whole and not flagged:
            judgement.silent_losses.append(f"{study.fault or one.fault or 'no fault'} {one.sop_instance_uid}")
    hit = {study.study_instance_uid for study in population.studies.values() if study.fault}
    hit |= {study.study_instance_uid for study, one in population.truth() if one.fault or shared.count(one.sop_instance_uid) > 1}
    if plan.of_source in ("W8", "H5"):  # lists of instances are capped as well
        hit |= {study.study_instance_uid for study in population.studies.values() if len(study.instances) > plan.cap}
    harmless = {
        study.study_instance_uid
        for study in population.studies.values()
        if study.fault in HARMLESS or (not study.fault and all(one.fault in (*HARMLESS, "") for one in study.instances))
    } - {study.study_instance_uid for study, one in population.truth() if shared.count(one.sop_instance_uid) > 1}
    for entry in worklist:
        if entry.study_instance_uid and (entry.study_instance_uid not in hit or entry.study_instance_uid in harmless):
            judgement.false_alarms.append(f"{entry.reason} {entry.study_instance_uid} {entry.detail}")
        if entry.reason in SOURCE_WIDE and plan.of_source in ("", *HARMLESS):
            judgement.false_alarms.append(f"{entry.reason} {entry.detail}")
    return judgement


def _is_told(study: HostileStudy, worklist: Sequence[ExceptionEntry]) -> bool:
    """Whether a study that the source lists without its UID is on the worklist, by its accession number."""
    return any(one.reason == "answer-without-uid" and study.accession in one.detail for one in worklist)


def main() -> int:
    """Judge many seeds; print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--most", type=int, default=4)
    parser.add_argument("--face", type=Face, choices=list(Face), default=Face.DIMSE)
    arguments = parser.parse_args()
    injections, bad = 0, 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        folder = Path(tempfile.mkdtemp(prefix="vna-hostile-"))
        try:
            one = judge(seed, folder, arguments.studies, arguments.most, face=arguments.face)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        injections += one.injections
        bad += not one.good
        print(
            f"seed {seed}: {one.injections} faults of {len(one.kinds)} kinds; {one.instances} instances = {one.held} held + "
            f"{one.flagged} flagged + {len(one.silent_losses)} lost in silence; {len(one.false_alarms)} false alarms",
            flush=True,
        )
        for line in (*one.silent_losses, *one.false_alarms):
            print(f"  {line}", flush=True)
    print(f"{injections} faults in {arguments.seeds} campaigns, {bad} campaigns judged badly")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
