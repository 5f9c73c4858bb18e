"""One study of a campaign: fetched, compared with the inventory, and written down instance by instance.

Comes in: a study of the ledger whose instances are known. Afterwards every instance has an end, and whatever is odd is on the
worklist. If the process dies here, nothing is lost: what was stored before is found in the catalogue by the next attempt.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_ledger import fetched_anew
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerInstance, LedgerStudy
from vna_core.catalogue.stored_text import from_stored, identifier
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerRefused, PeerUnavailable, VnaError
from vna_core.domain.migration import GIVEN_UP, InstanceState, StudyState
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.migration.delivery_clock import DeliveryClock
from vna_core.migration.fetch_ends import as_came, as_left, is_lost, reason_of, settle
from vna_core.migration.handover import Handover
from vna_core.migration.promised import is_promised
from vna_core.migration.shut_door import is_shut
from vna_core.ports.pacs import PacsAdapter

TRIES: Final = 3
"""How often an instance is asked for before it is left to people."""

_ONE_BY_ONE: Final = 64
"""Instances up to which the last try asks for each alone, so that one that breaks the retrieval does not cost the others."""

_FLUSH: Final = 100
_STATES: Final[Mapping[Outcome, InstanceState]] = {
    Outcome.HELD: InstanceState.STORED,
    Outcome.DUPLICATE: InstanceState.STORED,
    Outcome.CONFLICT: InstanceState.STORED,
    Outcome.QUARANTINED: InstanceState.QUARANTINED,
    Outcome.REFUSED: InstanceState.FAILED,
}
_TO_BE_ASKED: Final = (InstanceState.INVENTORIED, InstanceState.FAILED, InstanceState.MISSING)
CURED: Final = (
    GIVEN_UP,
    "not-delivered",
    "retrieve-failed",
    "quarantined",
    "refused",
    "digest-differs",
    "copy-damaged",
)
"""Reasons for exceptions that a complete fetch takes away."""

_log = structlog.get_logger(__name__)
Observer = Callable[[IngestResult], object]


@dataclass(slots=True)
class StudyResult:
    """How a fetch went. `seconds` by stage: ``source``, ``pipeline``, ``store``."""

    state: StudyState
    fetched: int = 0
    unexpected: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"source": 0.0, "pipeline": 0.0, "store": 0.0})
    failed_calls: int = 0


class StudyFetch:
    """Fetches one study.

    Parameters
    ----------
    beat
        Called for every instance that came; raises what ends the work (a lost lease).
    patience
        Seconds without an answer after which a retrieval is given up.

    Attributes
    ----------
    answered
        The source delivered something, or ended a retrieval by itself: it is there.
    """

    def __init__(
        self,
        study: LedgerStudy,
        adapter: PacsAdapter,
        pipeline: IngestPipeline,
        catalogue: Catalogue,
        worker: str,
        observer: Observer,
        beat: Callable[[], object],
        patience: float,
    ) -> None:
        self._study, self._adapter, self._pipeline = study, adapter, pipeline
        self._catalogue, self._worker = catalogue, worker
        self._observer, self._beat, self._patience = observer, beat, patience
        self._lock = threading.Lock()
        self._open: dict[int, LedgerInstance] = {}
        self._named: dict[str, list[LedgerInstance]] = defaultdict(list)
        self._ended: dict[int, InstanceEnd] = {}
        self._buffer: list[InstanceEnd] = []
        self._quarantined: dict[int, InstanceEnd] = {}
        self._unexpected: dict[str, str] = {}
        self._odd: dict[tuple[str, int], tuple[str, str]] = {}
        self._bad_digests: set[int] = set()
        self._result = StudyResult(StudyState.RETRIEVING)
        self._deadline = Deadline()
        self._clock = DeliveryClock()
        self.answered = False

    def run(self) -> StudyResult:
        """Fetch what has no end yet.

        Raises
        ------
        PeerUnavailable, PeerRefused
            The source does not answer any more, or lets us in nowhere; what came before is written down.
        OutOfResources, StorageError, CatalogueError, LeaseLost
            The archive cannot take anything now, or the work is not ours any more.
        """
        known = self._catalogue.ledger_reader.instances(self._study.pk)
        for one in known:
            self._named[one.sop_instance_uid].append(one)
            if one.state in _TO_BE_ASKED:
                self._open[one.pk] = one
        whole = len(self._open) == sum(one.state is not InstanceState.DELETED_AT_SOURCE for one in known)
        self._held_before()
        whole = whole and not self._ended
        reason = ""
        for attempt in range(TRIES):
            missing = self._missing(attempt)
            if not missing:
                break
            try:
                reason = self._attempt(missing, whole and attempt == 0, attempt) or reason
            finally:
                self._flush()
        self._finish(reason)
        return self._result

    # -- asking -----------------------------------------------------------------------------------------------------------

    def _missing(self, attempt: int) -> list[LedgerInstance]:
        """What is still to be asked for; what was quarantined is asked for once more, as the way may have damaged it."""
        again = self._quarantined if attempt == 1 else {}
        return [one for pk, one in self._open.items() if pk not in self._ended and (pk not in self._quarantined or pk in again)]

    def _attempt(self, missing: Sequence[LedgerInstance], whole: bool, attempt: int) -> str:
        """Ask once for everything missing; what the source said about failures."""
        reason = ""
        for series, sops in self._questions(missing, whole, attempt):
            try:
                reason = self._ask(series, sops) or reason
            except PeerUnavailable as error:
                self._result.failed_calls += 1
                self._adapter.probe()  # raises when the source itself is gone: then the study waits
                reason = error.message
            except PeerRefused as error:
                self._result.failed_calls += 1
                if is_shut(self._adapter, self._catalogue, self._study.campaign, self._patience):
                    raise
                reason = error.message
            except PeerError as error:
                self._result.failed_calls += 1
                _log.warning("fetch-failed", study_instance_uid=self._study.study_instance_uid, code=error.code)
                reason = error.message
            self.answered = True
        return reason

    def _questions(
        self, missing: Sequence[LedgerInstance], whole: bool, attempt: int
    ) -> Iterator[tuple[str | None, tuple[str, ...]]]:
        if whole:
            yield None, ()
            return
        by_series: dict[str, list[str]] = defaultdict(list)
        for one in missing:
            by_series[one.series_instance_uid].append(one.sop_instance_uid)
        for series, sops in by_series.items():
            if attempt == TRIES - 1 and len(missing) <= _ONE_BY_ONE:
                yield from ((series, (sop,)) for sop in sops)
            else:
                yield series, tuple(dict.fromkeys(sops))

    def _ask(self, series: str | None, sops: tuple[str, ...]) -> str:
        self._deadline = Deadline(self._patience * (1 + len(sops or self._open) / 100))
        study, deadline = self._study.study_instance_uid, self._deadline
        try:
            with Handover(self._take_over) as handover, self._clock.retrieval():
                report = self._adapter.fetch(study, partial(self._deliver, handover), series, sops, deadline=deadline)
        finally:
            self._result.seconds["source"] = self._clock.waited
        return report.message

    # -- what comes -------------------------------------------------------------------------------------------------------

    def _deliver(self, handover: Handover, received: ReceivedInstance) -> None:
        """One instance came. Raises what ends the work, also what the archive could not take of earlier ones."""
        self.answered = True
        with self._clock.delivery():
            try:
                self._beat()
            except BaseException:
                received.octets.close()
                raise
            handover.put(received)

    def _take_over(self, group: Sequence[ReceivedInstance]) -> None:
        """Store what came, together. Raises what the archive cannot take now."""
        whole = [one for one in group if self._as_promised(one)]
        came = [(one.sop_instance_uid, one.octets.sha256, one.octets.size) for one in whole]
        begun = time.perf_counter()
        self._pipeline.clock.begin()
        results = self._pipeline.offer_all(whole)
        storing = self._pipeline.clock.storing()
        taken = [(one, *told) for one, told in zip(results, came, strict=True) if not isinstance(one, VnaError)]
        with self._lock:
            self._result.seconds["store"] += storing
            self._result.seconds["pipeline"] += time.perf_counter() - begun - storing
            self._result.fetched += len(taken)
            for one in taken:
                self._take(*one)
            full = len(self._buffer) >= _FLUSH
        if full:
            self._flush()
        for result, *_ in taken:
            self._observer(result)
        for failure in results:
            if isinstance(failure, VnaError):
                raise failure

    def _as_promised(self, received: ReceivedInstance) -> bool:
        """Whether an instance has a digest that the source named for its UID; one that has not is closed, and noted."""
        promised = [one for one in self._named.get(received.sop_instance_uid, ()) if one.source_digest]
        if not promised or any(is_promised(received, one.source_digest) for one in promised):
            return True
        received.octets.close()
        with self._lock:
            self._bad_digests.update(one.pk for one in promised)
        return False

    def _take(self, result: IngestResult, said: str, digest: str, size: int) -> None:
        one = self._instance_of(result, said, digest)
        if one is None:
            if result.sop_instance_uid or said:
                self._unexpected.setdefault(result.sop_instance_uid or said, digest)
            return
        if result.outcome is Outcome.CONFLICT:
            self._odd["same-uid-other-content", one.pk] = (result.sop_instance_uid, digest)
        if result.study_instance_uid and result.study_instance_uid != self._study.study_instance_uid:
            self._odd["stale-header", 0] = (f"the file names study {result.study_instance_uid}", "")
        if one.pk in self._ended:
            earlier = self._ended[one.pk]
            if earlier.received_sha256 and earlier.received_sha256 != digest and result.outcome is not Outcome.QUARANTINED:
                self._odd["same-uid-other-content", one.pk] = ("delivered twice with different octets", digest)
            return
        error = result.error
        end = InstanceEnd(
            one,
            _STATES[result.outcome],
            result.outcome.value,
            "" if error is None else error.message,
            digest,
            size,
            result.sop_instance_uid or said,
            result.quarantine_id or "",
        )
        if result.outcome in (Outcome.QUARANTINED, Outcome.REFUSED):
            self._quarantined.setdefault(one.pk, end)
            return
        end = self._ended[one.pk] = as_came(end)
        self._buffer.append(end)

    def _instance_of(self, result: IngestResult, said: str, digest: str) -> LedgerInstance | None:
        """The inventory's entry for what came: by the UID stored or said, in its series, by its digest, the first of several without an end.

        What was asked for by its UID and came with another one is that instance where it is of this study; else it is not.
        """
        strange = bool(result.study_instance_uid) and result.study_instance_uid != self._study.study_instance_uid
        for sop in (result.sop_instance_uid,) if strange else (result.sop_instance_uid, said):
            named = self._named.get(sop, [])
            if len(named) > 1:
                named = [one for one in named if one.series_instance_uid == result.series_instance_uid] or [
                    one for one in named if one.pk not in self._ended
                ]
            if len(named) > 1:  # files under one UID: each has its own entry
                named = (
                    [one for one in named if one.source_digest == f"sha256:{digest}"]
                    or [one for one in named if one.pk not in self._ended]
                    or named
                )
            if named:
                return named[0]
        return None

    def _held_before(self) -> None:
        """What the archive holds already: from an earlier attempt of this campaign, or from elsewhere."""
        reader = self._catalogue.ledger_reader
        held: dict[tuple[str, str, str], list[tuple[str, int, str]]] = defaultdict(list)
        for version in reader.held([one.sop_instance_uid for one in self._open.values()]):
            key = (version.study_instance_uid, version.series_instance_uid, version.sop_instance_uid)
            held[key].append((version.original_sha256, version.original_size, version.source))
        for one in list(self._open.values()):
            found = held.get((self._study.study_instance_uid, one.series_instance_uid, one.sop_instance_uid))
            if found is None or fetched_anew(one) or self._shares_uid(one):
                continue
            ours = next((known for known in found if known[2] == self._adapter.name), None)
            outcome = (Outcome.HELD if ours else Outcome.DUPLICATE).value
            digest, size, _ = ours or found[0]
            end = InstanceEnd(
                one,
                InstanceState.STORED,
                outcome,
                "held before",
                digest if ours else "",
                size if ours else 0,
                one.sop_instance_uid,
                rule="held-before",
            )
            self._ended[one.pk] = end
            self._buffer.append(end)
        self._flush()

    def _shares_uid(self, one: LedgerInstance) -> bool:
        """Whether the source has several files under its UID: then nothing but the file itself says which of them is held."""
        return sum(other.series_instance_uid == one.series_instance_uid for other in self._named[one.sop_instance_uid]) > 1

    def _flush(self) -> None:
        with self._lock:
            ends, self._buffer = self._buffer, []
        self._catalogue.ledger.end_instances(self._study, ends, self._worker)

    # -- the end ----------------------------------------------------------------------------------------------------------

    def _finish(self, reason: str) -> None:
        """Give the rest an end, put what is odd on the worklist, and compare with what the catalogue holds."""
        left = [one for pk, one in self._open.items() if pk not in self._ended]
        ends = [as_left(self._quarantined.get(one.pk) or self._lost(one, reason)) for one in left]
        held = {one.sop_instance_uid for one in self._catalogue.ledger_reader.held(self._stored_uids())}
        for end in self._ended.values():
            if from_stored(identifier(end.stored_sop_instance_uid)) not in held:
                was = replace(end.instance, state=end.state, outcome=end.outcome, received_size=end.received_size)
                ends.append(InstanceEnd(was, InstanceState.MISSING, detail="not in the catalogue", rule="uid-set"))
        state = StudyState.STORED if not any(is_lost(end) for end in ends) else StudyState.PARTIAL
        with self._catalogue.ledger.writing(self._study.campaign, self._worker) as writing:
            writing.end_instances(self._study.pk, ends)
            writing.solve(self._study.pk, CURED, "fetch")
            settle(writing, self._study.pk, self._ended.values(), ends)
            for end in ends:
                reason_code = reason_of(end, bool(reason), end.instance.pk in self._bad_digests)
                sample = end.quarantine_id or end.instance.sop_instance_uid
                writing.except_(reason_code, self._study.pk, end.instance.pk, end.detail, sample)
            for (code, instance), (detail, cause) in {**self._odd, **self._stale_header()}.items():
                writing.except_(code, self._study.pk, instance, detail, detail, cause)
            if self._unexpected:
                sample, count = next(iter(self._unexpected)), len(self._unexpected)
                writing.except_("unexpected-instance", self._study.pk, detail=f"{count} instances", sample=sample)
                writing.count("unexpected", "delivered", number=count)
            writing.move_study(self._study.pk, state, "uid-set", f"{len(self._ended)} of {len(self._open)}")
        self._result.state, self._result.unexpected = state, len(self._unexpected)

    def _stored_uids(self) -> list[str]:
        return [end.stored_sop_instance_uid for end in self._ended.values()]

    def _lost(self, one: LedgerInstance, reason: str) -> InstanceEnd:
        if one.pk in self._bad_digests:
            return InstanceEnd(one, InstanceState.FAILED, detail="other octets than the source's digest says")
        if reason:
            return InstanceEnd(one, InstanceState.FAILED, detail=reason)
        return InstanceEnd(one, InstanceState.MISSING, detail="the source did not deliver it")

    def _stale_header(self) -> dict[tuple[str, int], tuple[str, str]]:
        """Whether the source's database names another patient or order than the files."""
        if not self._ended:
            return {}
        filed = self._catalogue.ledger_reader.filed(self._study.study_instance_uid)
        for at, (told, what) in enumerate(
            ((self._study.patient_id, "patient"), (self._study.accession_number, "accession number"))
        ):
            named = {one[at] for one in filed}
            if told.strip() and named and named != {told.strip()}:
                detail = f"the file names another {what} than the source's database"
                return {("stale-header", 0): (detail, "\0".join((told.strip(), *sorted(named))))}
        return {}
