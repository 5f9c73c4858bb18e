"""Packs as durable jobs: series that got objects wait until they have settled, are sealed, and now and then compacted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.configuration.packs import PackSettings
from vna_core.domain.errors import ObjectArchived
from vna_core.domain.jobs import BACKGROUND, Again, Job
from vna_core.domain.packs import SeriesPlace
from vna_core.domain.placement import RECALL
from vna_core.ports.jobs import Handler, Running
from vna_core.stewardship.sealing import PackKeeper

WATCH: Final = "pack-watch"
SEAL: Final = "pack-seal"
COMPACT: Final = "pack-compact"
CLEAN: Final = "pack-clean"

_BUSY: Final = 60.0
"""Seconds until another look at a series that another process is packing."""
_RECALLED: Final = 300.0
"""Seconds until another look at a series of which packs are being recalled."""


def pack_handlers(keeper: PackKeeper, catalogue: Catalogue, settings: PackSettings) -> Mapping[str, Handler]:
    """Kind of job to what does it. Sealing is asked for by `WATCH`, which is asked for where the settings say so."""
    return {
        WATCH: partial(_watch, catalogue=catalogue, settings=settings),
        SEAL: partial(_seal, keeper=keeper, catalogue=catalogue, settings=settings),
        COMPACT: partial(_compact, keeper=keeper, catalogue=catalogue, settings=settings),
        CLEAN: partial(_clean, keeper=keeper, settings=settings),
    }


def ensure_pack_jobs(catalogue: Catalogue, settings: PackSettings) -> None:
    """Ask for the periodic work."""
    catalogue.jobs.ensure(CLEAN, "", priority=BACKGROUND)
    if settings.seal:
        catalogue.jobs.ensure(WATCH, "", priority=BACKGROUND)


def _watch(_job: Job, running: Running, *, catalogue: Catalogue, settings: PackSettings) -> Again | None:
    """Have series that got objects sealed when they have been quiet. Ends where the settings say so no longer."""
    if not settings.seal:
        return None
    while not running.stopping and (places := catalogue.packs.notice()):
        for place in places:
            _ask(catalogue, SEAL, place, settings.quiet)
    return Again(settings.poll)


def ask_for_compaction(catalogue: Catalogue, place: SeriesPlace) -> None:
    """Have a series compacted as soon as a worker is free, because of what is in its packs: those in an archive tier are recalled for it."""
    _ask(catalogue, COMPACT, place, 0.0)


def _ask(catalogue: Catalogue, kind: str, place: SeriesPlace, delay: float, **more: bool) -> None:
    about = {"pk": place.pk, "study": place.study_instance_uid, "series": place.series_instance_uid, **more}
    catalogue.jobs.add(kind, str(place.pk), about, priority=BACKGROUND, delay=delay, postpone=True)


def ask_for_fewer_packs(catalogue: Catalogue, place: SeriesPlace) -> None:
    """The same because there are many packs, unless it is asked for already: what lies in an archive tier is not recalled for it, as that costs."""
    asked = catalogue.jobs.of(COMPACT, str(place.pk))
    if asked is None or asked.state == "failed":
        _ask(catalogue, COMPACT, place, 0.0, recall=False)


def _place(job: Job, catalogue: Catalogue) -> SeriesPlace | None:
    """The series that a job is about; None when it is gone."""
    about = job.payload
    found = catalogue.packs.series(study=str(about["study"]), series=str(about["series"]))
    return next((one for one in found if one.pk == about["pk"]), None)


def _seal(job: Job, _running: Running, *, keeper: PackKeeper, catalogue: Catalogue, settings: PackSettings) -> Again | None:
    place = _place(job, catalogue)
    if place is None:
        return None
    wait = keeper.waits_for(place, time.time())
    if wait is None:
        return None
    if wait > 0:
        return Again(wait)
    report = keeper.seal(place)
    if report.skipped.startswith("another"):
        return Again(_BUSY)
    packs = catalogue.packs.listed(study=place.study_instance_uid, series=place.series_instance_uid)
    if len(packs) >= settings.compact_after:
        ask_for_fewer_packs(catalogue, place)
    return None


def _compact(job: Job, _running: Running, *, keeper: PackKeeper, catalogue: Catalogue, settings: PackSettings) -> Again | None:
    """A pack that lies in an archive tier alone is recalled first where something must leave it: what was purged does not stay in it."""
    place = _place(job, catalogue)
    if place is None:
        return None
    try:
        busy = keeper.compact(place).skipped.startswith("another")
    except ObjectArchived:
        if not job.payload.get("recall", True):
            return None
        catalogue.jobs.add(RECALL, place.study_instance_uid, priority=BACKGROUND)
        return Again(_RECALLED)
    return Again(_BUSY) if busy else None


def _clean(_job: Job, _running: Running, *, keeper: PackKeeper, settings: PackSettings) -> Again:
    keeper.remove_leftovers()
    return Again(max(settings.poll, 60.0))
