"""Cut-over: what is asked for and not here yet is fetched while the asker waits, once for all who ask, and kept.

A fetch is a job of the catalogue like any other of the campaign, only taken first; whoever waits looks at the ledger. So it does
not matter in which process somebody asks, and a fetch goes on when its asker has left.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.awaited_rows import AwaitedInstance, AwaitedStudy
from vna_core.configuration.cutover import CutOverSettings
from vna_core.domain.access import Scope
from vna_core.domain.errors import FetchIncomplete, FetchPending, LimitExceeded, PeerError, PeerUnavailable
from vna_core.domain.jobs import URGENT
from vna_core.domain.migration import AWAITED, MOVED, WAITED_FOR, StudyState
from vna_core.domain.query import Condition, Level, Query
from vna_core.migration.study_jobs import STUDY, ask_for_study, job_key

PRIORS: Final = URGENT + 10
"""Priority of the other studies of a patient of whom one was asked for."""

NOT_LISTED: Final = "The old archive holds the study and does not say which instances it has."
NOT_IN_TIME: Final = "The study is still being fetched from the old archive: ask again."
_WITHOUT_JOB: Final = 3
"""Looks at a study that waits without a job before its job is asked for again."""
_UNAVAILABLE: Final = f"[{PeerUnavailable.code}]"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for of a study: all of it, some series, or some instances."""

    study_instance_uid: str
    series: frozenset[str] = frozenset()
    sops: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole study."""
        return not self.series and not self.sops

    def of(self, instances: Sequence[AwaitedInstance]) -> list[AwaitedInstance]:
        """Those that are asked for."""
        return [
            one
            for one in instances
            if (not self.series or one.series_instance_uid in self.series)
            and (not self.sops or one.sop_instance_uid in self.sops)
        ]


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a fetch stands.

    Attributes
    ----------
    waiting
        It is under way.
    missing
        What the source lists of what is asked for and is not here.
    reason
        Why, once it is not under way any more.
    unavailable
        The source does not answer.
    expected
        How many instances are still awaited, as far as that is known.
    """

    waiting: bool
    missing: tuple[AwaitedInstance, ...] = ()
    reason: str = ""
    unavailable: bool = False
    expected: int = 0

    def check(self, retry_after: int) -> None:
        """Let a retrieval pass that has everything. Raises FetchPending, FetchIncomplete, PeerUnavailable."""
        if self.waiting:
            raise FetchPending(NOT_IN_TIME, instances=self.expected, retry_after=retry_after)
        if self.reason:
            error: type[PeerError] = PeerUnavailable if self.unavailable else FetchIncomplete
            raise error(self.reason, missing=len(self.missing))


@dataclass(slots=True)
class Fetch:
    """One study that somebody waits for."""

    study: AwaitedStudy
    wanted: Wanted
    looks_without_job: int = 0
    ended: Fetched | None = field(default=None)


class CutOver:
    """Has studies fetched for whoever asks for them. Safe to use from several threads."""

    def __init__(self, catalogue: Catalogue, settings: CutOverSettings, worker: str) -> None:
        self._catalogue, self.settings, self._worker = catalogue, settings, worker
        self._awaited = catalogue.awaited

    @property
    def is_active(self) -> bool:
        """Whether any source is in cut-over; costs next to nothing."""
        return bool(self._awaited.cutovers.active())

    def begin(self, scope: Scope, wanted: Wanted, patient_id: str = "") -> list[Fetch]:
        """Have what is asked for fetched, as far as it is not here and may be seen by whoever asks; never waits.

        `patient_id` is whose study it has to be; empty: anybody's. Nothing comes back where nothing is to be waited for.
        """
        issuers = self._awaited.cutovers.active()
        if not issuers or scope.is_nothing:
            return []
        found = []
        for study in self._awaited.reader.accounted(issuers, wanted.study_instance_uid):
            if study.state not in AWAITED and study.state not in MOVED:
                continue
            if not self._awaited.visible(study, scope) or (patient_id and study.patient.patient_id != patient_id):
                continue
            missing = wanted.of(self._awaited.reader.missing(study))
            if missing or (study.state in AWAITED and not self._is_known(study)):
                found.append(self._begun(study, wanted, missing))
        return found

    def named(self, scope: Scope, level: Level, conditions: tuple[Condition, ...], linked: bool) -> list[str]:
        """Study Instance UIDs under which something that matches is not here yet. Raises LimitExceeded."""
        if not self.is_active:
            return []
        answer = self._awaited.search(Query(level, conditions, scope=scope, linked=linked))
        found = dict.fromkeys(match.attributes.get(0x0020000D, ("",))[0] for match in answer.matches if match.available)
        self.check_number(found)
        return list(found)

    def check_number(self, studies: Collection[str]) -> None:
        """Bound what one retrieval may have fetched. Raises LimitExceeded."""
        if len(studies) > self.settings.studies:
            message = "One retrieval names too many studies that are not here yet."
            raise LimitExceeded(message, limit="cutover.studies", maximum=self.settings.studies)

    def look(self, fetch: Fetch) -> Fetched:
        """How a fetch stands now. Cheap enough to be called twice a second."""
        if fetch.ended is not None:
            return fetch.ended
        state = self._catalogue.ledger_reader.study(fetch.study.pk).state
        missing = tuple(fetch.wanted.of(self._awaited.reader.missing(fetch.study)))
        if (
            state in MOVED
            or state not in AWAITED
            or state is StudyState.PARTIAL
            or (not missing and self._is_known(fetch.study) and not fetch.wanted.is_whole)
        ):
            fetch.ended = self._over(fetch.study, state, missing)
        else:
            fetch.ended = self._failed(fetch, state, missing)
        return fetch.ended or Fetched(True, missing, expected=len(missing))

    def _over(self, study: AwaitedStudy, state: StudyState, missing: tuple[AwaitedInstance, ...]) -> Fetched:
        """A fetch that will bring nothing more. Of a study whose instances the source does not list, nobody knows what is missing."""
        unknown = state is StudyState.PARTIAL and not missing and not self._is_known(study)
        return Fetched(False, missing, NOT_LISTED if unknown else _why(missing))

    def _failed(self, fetch: Fetch, state: StudyState, missing: tuple[AwaitedInstance, ...]) -> Fetched | None:
        """How the fetch failed; None while it is under way."""
        job = self._catalogue.jobs.of(STUDY, job_key(fetch.study.campaign, fetch.study.pk))
        if job is None:
            fetch.looks_without_job += 1
            if fetch.looks_without_job >= _WITHOUT_JOB:
                fetch.looks_without_job = 0
                self._queue(fetch.study)
            return None
        if not job.error:
            return None
        message = job.error.removesuffix(_UNAVAILABLE).strip()
        return Fetched(False, missing, f"The old archive: {message}", _UNAVAILABLE in job.error)

    def _begun(self, study: AwaitedStudy, wanted: Wanted, missing: list[AwaitedInstance]) -> Fetch:
        fetch = Fetch(study, wanted)
        rests = study.state is StudyState.PARTIAL and time.time() - study.updated_at / 1e6 < self.settings.rest
        if study.state in MOVED or rests:
            fetch.ended = self._over(study, study.state, tuple(missing))
            return fetch
        self._queue(study)
        if study.patient.patient_id:
            self._catalogue.ledger.prioritize(study.campaign, PRIORS, patients=[study.patient.patient_id])
        return fetch

    def _queue(self, study: AwaitedStudy) -> None:
        """Ask for the job of a study, unless it runs."""
        job = self._catalogue.jobs.of(STUDY, job_key(study.campaign, study.pk))
        row = self._catalogue.ledger_reader.study(study.pk)
        if row.state not in AWAITED or (job is not None and job.worker and row.state is StudyState.RETRIEVING):
            return
        ask = partial(ask_for_study, self._catalogue, study.campaign, priority=URGENT, asked=True)
        self._catalogue.ledger.queue_now(row, self._worker, ask, WAITED_FOR)
        _log.info("study-asked-for", campaign=study.campaign, study_instance_uid=study.study_instance_uid)

    def _is_known(self, study: AwaitedStudy) -> bool:
        """Whether the ledger knows the instances of a study."""
        return study.is_inventoried or bool(self._catalogue.ledger_reader.instances(study.pk))


def _why(missing: Sequence[AwaitedInstance]) -> str:
    if not missing:
        return ""
    detail = next((one.detail for one in missing if one.detail), "")
    return f"{len(missing)} instances could not be had from the old archive" + (f": {detail}" if detail else "")
