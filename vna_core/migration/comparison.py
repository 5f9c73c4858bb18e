"""Proof after the move, at three levels: UID sets, octets as received out of every copy, and pixels fetched once more.

The first level is done by every fetch. The second reads every copy of every instance and rebuilds what was received from it. The
third asks the source again, for a sample or for all, and explains every difference by a rule or lists it.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from vna_core.access.retrieve import Retriever
from vna_core.archival_storage.comparison import same_octets
from vna_core.catalogue import Catalogue
from vna_core.catalogue.migration_ledger import COPY_DAMAGED
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerInstance, LedgerStudy
from vna_core.catalogue.migration_writing import Writing
from vna_core.domain.errors import DigestMismatch, LimitExceeded, ObjectMissing, StorageError, StoreUnavailable, Unarchivable
from vna_core.domain.instance import CanonicalInstance, HeldInstance
from vna_core.domain.migration import MOVED, InstanceState, StudyState
from vna_core.domain.octets import ReceivedInstance
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ports.pacs import PacsAdapter

HABITS: Final = frozenset(("00080054", "00080056", "00080005", "00020016", "00020012", "00020013"))
"""Elements that sources set anew at each retrieval: who retrieves, availability, character set, who wrote the file."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Verification:
    """What was compared, and how it came out. Studies are in exactly one of verified, committed, reconciled and damaged; an instance
    that differs is in one of differing and accepted (by somebody, as it is now)."""

    studies: int = 0
    instances: int = 0
    octets: int = 0
    verified: int = 0
    committed: int = 0
    reconciled: int = 0
    damaged: int = 0
    fetched_again: int = 0
    equal_octets: int = 0
    equal_pixels: int = 0
    explained: int = 0
    differing: int = 0
    accepted: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing was found damaged, short of copies or different."""
        return not (self.damaged or self.differing or self.verified)


class Verifier:
    """Verifies what a campaign moved.

    Parameters
    ----------
    copies
        In how many stores an instance must be readable to be committed.
    adapter
        The source, for the third level (None: it is not asked).
    share
        Share of the studies whose pixels are fetched once more, 0.0 to 1.0.
    seed
        Chooses the sample.
    """

    def __init__(
        self,
        campaign: str,
        catalogue: Catalogue,
        retriever: Retriever,
        pipeline: IngestPipeline,
        worker: str,
        *,
        copies: int = 1,
        adapter: PacsAdapter | None = None,
        share: float = 0.0,
        seed: int = 0,
        told: Callable[[Verification], object] = lambda so_far: None,
    ) -> None:
        self._campaign, self._catalogue, self._retriever = campaign, catalogue, retriever
        self._pipeline, self._worker, self._copies = pipeline, worker, copies
        self._adapter, self._share, self._random = adapter, share, random.Random(seed)
        self._told = told
        self.result = Verification()

    def run(self, *, again: bool = False) -> Verification:
        """Verify every study that was moved and not verified yet, or (`again`) every one that was moved.

        Raises StoreUnavailable, PeerUnavailable: run again to go on with what is left.
        """
        states = tuple(MOVED) if again or self._share else (StudyState.STORED, StudyState.VERIFIED)
        for study in self._catalogue.ledger_reader.studies(self._campaign, states):
            hidden = self._catalogue.rejections.hidden(study.study_instance_uid).all  # given out to nobody: not read either
            aside = self._catalogue.deletions.set_aside(study.study_instance_uid)
            instances = [
                one
                for one in self._catalogue.ledger_reader.instances(study.pk)
                if one.state is InstanceState.STORED
                and one.stored_sop_instance_uid not in hidden
                and one.received_sha256 not in aside
            ]
            done = study.state in (StudyState.COMMITTED, StudyState.RECONCILED) and not again
            intact = done or self._second_level(study, instances)
            if intact and self._adapter is not None and self._random.random() < self._share:
                self._third_level(study, instances)
            self.result.studies += 1
            self._told(self.result)
        return self.result

    # -- octets as received out of every copy -----------------------------------------------------------------------------

    def _second_level(self, study: LedgerStudy, instances: Sequence[LedgerInstance]) -> bool:
        """Whether every instance comes back from every copy, and from enough of them."""
        damaged: list[tuple[LedgerInstance, str]] = []
        fewest = self._copies
        for one in instances:
            stores, problem = self._readable(one)
            if problem:
                damaged.append((one, problem))
            elif stores < self._copies:
                fewest = min(fewest, stores)
        ledger = self._catalogue.ledger
        with ledger.writing(self._campaign, self._worker) as writing:
            bad = {one.pk for one, _ in damaged}
            writing.prove(study.pk, [one for one in instances if one.pk not in bad and not one.proof], "digest")
            if damaged:
                ends = [
                    InstanceEnd(
                        one,
                        InstanceState.FAILED,
                        one.outcome,
                        COPY_DAMAGED,
                        one.received_sha256,
                        one.received_size,
                        one.stored_sop_instance_uid,
                        rule="verify-digest",
                    )
                    for one, _ in damaged
                ]
                writing.end_instances(study.pk, ends)
                for one, problem in damaged:
                    writing.except_("copy-damaged", study.pk, one.pk, problem, one.stored_sop_instance_uid)
                writing.move_study(study.pk, StudyState.PARTIAL, "verify-digest", f"{len(damaged)} copies damaged")
                self.result.damaged += 1
                return False
            writing.move_study(study.pk, StudyState.VERIFIED, "verify-digest", f"{len(instances)} instances")
            if fewest < self._copies:
                writing.except_("copies-missing", study.pk, detail=f"{fewest} of {self._copies} stores")
                self.result.verified += 1
                return False
            writing.solve(study.pk, ("copies-missing",), "verify-digest")
            writing.move_study(study.pk, StudyState.COMMITTED, "copies", f"{self._copies} stores")
        self.result.committed += 1
        return True

    def _readable(self, one: LedgerInstance) -> tuple[int, str]:
        """In how many stores an instance is whole, and what is wrong with a copy that is not."""
        versions = self._catalogue.versions(one.stored_sop_instance_uid)
        held = next((version for version in versions if version.original_sha256 == one.received_sha256), None)
        if held is None and one.received_sha256:
            return 0, "the octets as received are not held any more"
        if held is None:
            held = next((version for version in versions if version.current), None)
        if held is None or not held.locations:
            return 0, "there is no copy"
        stores: set[str] = set()
        for location in held.locations:
            try:
                self._read_back(replace(held, locations=(location,)))
            except StoreUnavailable:
                raise
            except (DigestMismatch, ObjectMissing, Unarchivable, StorageError) as error:
                return len(stores), f"{location.store}: {error.message}"
            stores.add(location.store)
        self.result.instances += 1
        return len(stores), ""

    def _read_back(self, held: HeldInstance) -> None:
        digest = hashlib.sha256()
        for piece in self._retriever.original(held):
            digest.update(piece)
            self.result.octets += len(piece)
        if digest.hexdigest() != held.original_sha256:
            raise DigestMismatch("The octets as received do not come back from the stored copy.")

    # -- pixels fetched once more -----------------------------------------------------------------------------------------

    def _third_level(self, study: LedgerStudy, instances: Sequence[LedgerInstance]) -> None:
        assert self._adapter is not None
        by_uid: dict[str, list[LedgerInstance]] = {}
        for one in instances:
            for uid in {one.sop_instance_uid, one.stored_sop_instance_uid}:
                by_uid.setdefault(uid, []).append(one)
        equal: dict[int, LedgerInstance] = {}
        odd: dict[int, tuple[str, str, str]] = {}

        def compare(received: ReceivedInstance) -> None:
            try:
                self.result.fetched_again += 1
                for one in by_uid.get(received.sop_instance_uid or self._uid_within(received, instances), ()):
                    reason, detail, cause = self._compared(one, received)
                    if reason:
                        odd[one.pk] = (reason, detail, cause)
                    else:
                        equal[one.pk] = one
            finally:
                received.octets.close()

        report = self._adapter.fetch(study.study_instance_uid, compare)
        with self._catalogue.ledger.writing(self._campaign, self._worker) as writing:
            for pk, (reason, detail, cause) in odd.items():
                if pk not in equal:
                    self._tell(writing, reason, study.pk, pk, detail, cause)
            again = [one for one in instances if one.pk not in equal and one.pk not in odd]
            for one in again:
                self._tell(writing, "not-delivered", study.pk, one.pk, report.message or "not delivered a second time")
            differing = len([pk for pk in odd if pk not in equal]) + len(again)
            writing.prove(study.pk, [one for one in equal.values() if one.proof != "pixel"], "pixel")
            if not differing and writing.move_study(study.pk, StudyState.RECONCILED, "verify-pixel", f"{len(equal)} instances"):
                self.result.reconciled += 1

    def _tell(self, writing: Writing, reason: str, study: int, instance: int, detail: str, cause: str = "") -> None:
        """Put an instance that differs on the worklist, and count it by whether somebody accepted just that."""
        writing.except_(reason, study, instance, detail, cause=cause)
        if writing.is_accepted(reason, study, instance):
            self.result.accepted += 1
        else:
            self.result.differing += 1

    def _uid_within(self, received: ReceivedInstance, instances: Sequence[LedgerInstance]) -> str:
        """The SOP Instance UID of octets that came without one, as the parts of a WADO-RS answer do; empty where they have none."""
        same = next((one for one in instances if one.received_sha256 == received.octets.sha256), None)
        if same is not None:
            return same.sop_instance_uid
        try:
            with self._made_again(received) as made:
                return made.sop_instance_uid
        except (Unarchivable, LimitExceeded):
            return ""

    def _made_again(self, received: ReceivedInstance) -> AbstractContextManager[CanonicalInstance]:
        hints = (received.transfer_syntax_uid, received.sop_class_uid, received.sop_instance_uid)
        pieces = map(bytes, received.octets.chunks())
        return self._pipeline.made_again(pieces, received.source, received.received_at, hints)

    def _compared(self, one: LedgerInstance, received: ReceivedInstance) -> tuple[str, str, str]:
        """Reason and detail of a difference that no rule explains, and what tells it from others; empty where there is none."""
        came = received.octets.sha256
        if came == one.received_sha256:
            self.result.equal_octets += 1
            return "", "", ""
        versions = self._catalogue.versions(one.stored_sop_instance_uid)
        held = next((version for version in versions if version.original_sha256 == one.received_sha256), None) or next(
            (version for version in versions if version.current), None
        )
        if held is None:
            return "content-differs", "nothing is held to compare with", came
        try:
            with self._made_again(received) as made:
                if not self._same_pixels(held, made):
                    return "pixels-differ", "the pixel data differ", came
                self.result.equal_pixels += 1
                differing = self._differing(held, made)
        except (Unarchivable, LimitExceeded) as error:
            return "content-differs", f"the second retrieval cannot be read: {error.message}", came
        if not differing:
            self.result.explained += 1
            return "", "", ""
        cause = json.dumps(differing, sort_keys=True, ensure_ascii=True)
        return "content-differs", "differs in " + ", ".join(sorted(differing)[:12]), cause

    def _same_pixels(self, held: HeldInstance, made: CanonicalInstance) -> bool:
        if held.pixel_data is None or made.pixel_data is None:
            return held.pixel_data is None and made.pixel_data is None
        if held.transfer_syntax_uid != made.transfer_syntax_uid or held.pixel_data.length != made.pixel_data.length:
            return False
        read = self._retriever.reader(held)
        begin, length = held.pixel_data.offset, held.pixel_data.length
        stored = (read(begin + at, min(1 << 20, length - at)) for at in range(0, length, 1 << 20))
        return same_octets(stored, _part(made, made.pixel_data.offset, length))

    def _differing(self, held: HeldInstance, made: CanonicalInstance) -> dict[str, Any]:
        """What the source says now (None: nothing) of elements in which that differs from what is held, but for its habits, by tag."""
        fresh = json.loads(made.json_header)
        stored: dict[str, Any] = {}
        for header in self._catalogue.metadata(
            study=held.study_instance_uid, series=held.series_instance_uid, sop=held.sop_instance_uid
        ):
            stored = json.loads(header.json)
        tags = (fresh.keys() | stored.keys()) - HABITS
        return {tag: fresh.get(tag) for tag in tags if fresh.get(tag) != stored.get(tag)}


def _part(made: CanonicalInstance, offset: int, length: int) -> Iterator[bytes | memoryview]:
    """A range of an object that is not stored."""
    position, end = 0, offset + length
    for piece in made.chunks():
        low, high = max(offset, position), min(end, position + len(piece))
        if low < high:
            yield piece[low - position : high - position]
        position += len(piece)
