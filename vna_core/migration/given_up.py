"""Studies that nobody tries to move any more: their jobs failed for good, or were cancelled. They are put on the worklist."""

from __future__ import annotations

from itertools import islice
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.domain.migration import StudyState
from vna_core.migration.study_jobs import STUDY, job_key

CANCELLED: Final = "Its job was cancelled before it was moved."

_PIECE: Final = 500
_log = structlog.get_logger(__name__)


def tell_given_up(catalogue: Catalogue, campaign: str, worker: str) -> int:
    """Put the studies of a campaign whose job failed for good on the worklist, where `vna migrate retry` takes them; how many.

    Costs one question where there is none. A study that is asked for again meanwhile is left alone. May be called at any time, by
    anybody.
    """
    told = 0
    for job in catalogue.jobs.every(kind=STUDY, state="failed"):
        if job.payload.get("campaign") != campaign:
            continue
        told += catalogue.ledger.give_up(campaign, int(job.payload["study"]), STUDY, job.key, worker, job.error)
    if told:
        _log.error("studies-given-up", campaign=campaign, studies=told)
    return told


def tell_without_job(catalogue: Catalogue, campaign: str, worker: str) -> int:
    """Put the studies of a campaign that are queued and have no job on the worklist; how many."""
    told = 0
    queued = catalogue.ledger_reader.studies(campaign, (StudyState.QUEUED, StudyState.RETRIEVING))
    while piece := {job_key(campaign, one.pk): one.pk for one in islice(queued, _PIECE)}:
        known = catalogue.jobs.known(STUDY, list(piece))
        for key, pk in piece.items():
            if key not in known:
                told += catalogue.ledger.give_up(campaign, pk, STUDY, key, worker, CANCELLED)
    return told
