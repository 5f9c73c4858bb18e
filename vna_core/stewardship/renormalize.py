"""Held instances normalized once more by the present rules: what would change, doing it, and taking it back.

The octets as received are rebuilt from the stored object and go through the rules again. Where the data set comes out
otherwise, the new object is stored beside the earlier one and stands for the version from then on. Nothing is ever removed:
undoing a run makes the earlier objects stand for their versions again and leaves a note in the landing store, so that the
catalogue rebuilt from the stores is the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

import structlog

from vna_core.archival_storage.checksum import Checksummed
from vna_core.archival_storage.comparison import same_octets
from vna_core.archival_storage.copies import CopyReader
from vna_core.archival_storage.keeping import keep, verified
from vna_core.archival_storage.keys import instance_key, undone_run_key
from vna_core.catalogue import Catalogue, Generation, NormalizationRun, Replacement, Scope
from vna_core.catalogue.generations import DONE, UNDOING, UNDONE, advanced
from vna_core.dicom.codestream import NATIVE
from vna_core.dicom.reverse_patch import rebuild
from vna_core.dicom.trailer_format import Provenance, read_trailer
from vna_core.domain.errors import CatalogueError, InvalidRequest, ObjectExists, OutOfResources, StoreUnavailable, VnaError
from vna_core.domain.instance import CanonicalInstance, HeldInstance
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.renormalization import Renormalization
from vna_core.ports.storage import Store
from vna_core.stewardship.stored_entry import proven_entry, stored_entry, undone_runs

WORKERS: Final = 6
"""Versions at once, so that flushes of the store overlap."""

_PIECE: Final = 60
_log = structlog.get_logger(__name__)


class Make(Protocol):
    """Makes the canonical object of octets as received by the rules of the run."""

    def __call__(
        self,
        pieces: Iterable[bytes],
        received_from: Source,
        received_at: datetime,
        hints: tuple[str, str, str],
        *,
        label: tuple[str, datetime] | None = None,
        renormalization: Renormalization | None = None,
    ) -> AbstractContextManager[CanonicalInstance]:
        """As `IngestPipeline.made_again`."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One held version as the present rules see it.

    Attributes
    ----------
    canonical
        What they make of it, without octets; None where `error` says why they make nothing.
    differs
        Whether the data set is another than the one that is held.
    """

    held: HeldInstance
    canonical: CanonicalInstance | None = None
    differs: bool = False
    error: VnaError | None = None


class Renormalizer:
    """Looks at held versions, and changes what stands for them.

    Parameters
    ----------
    rule_set
        Version of the rules that `make` applies.
    after_step
        Called with the name of each step left; fault tests end the process there.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        landing: Store,
        catalogue: Catalogue,
        make: Make,
        rule_set: str,
        after_step: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._stores = stores
        self._landing = landing
        self._catalogue = catalogue
        self._make = make
        self._rule_set = rule_set
        self._after_step = after_step
        self._copies = CopyReader(
            stores, lambda held, location: catalogue.set_location_state(held.pk, location, "bad"), catalogue.moved
        )

    def check(self, scope: Scope) -> Iterator[Examined]:
        """Every version of a scope, by primary key. Nothing is written.

        Raises
        ------
        OutOfResources, StoreUnavailable, CatalogueError
            The archive cannot go on now.
        """
        position, until = 0, self._catalogue.generations.last()
        while page := self._catalogue.generations.page(scope, position, until):
            for held in page:
                yield self._examined(held)
            position = page[-1].pk

    def apply(self, scope: Scope, progress: Callable[[NormalizationRun], object] = lambda _: None) -> NormalizationRun:
        """Normalize every version of a scope once more; an unfinished run of the same scope and rules is gone on with.

        Versions that the rules cannot read, or whose copies are damaged, stay as they are and are counted as failed.

        Raises
        ------
        OutOfResources, StoreUnavailable, CatalogueError
            The archive cannot go on now: what is done is done, and the next call goes on.
        """
        ledger = self._catalogue.generations
        run = ledger.unfinished(scope, self._rule_set)
        if run is None:
            begun = datetime.now(UTC)
            run = ledger.begin(begun.strftime("%Y%m%dT%H%M%S%fZ"), scope, self._rule_set, begun)
        with ThreadPoolExecutor(WORKERS, "renormalize") as pool:
            while page := ledger.page(scope, run.position, run.until, _PIECE):
                ended = list(pool.map(partial(self._step, run=run), page))
                self._after_step("stored")
                changes = [one for one in ended if isinstance(one, Replacement)]
                failed = sum(isinstance(one, VnaError) for one in ended)
                run = advanced(run, page[-1].pk, examined=len(page), changed=len(changes), failed=failed)
                ledger.replace(changes, run)
                self._after_step("recorded")
                progress(run)
        run = replace(run, state=DONE)
        ledger.save(run)
        return run

    def undo(self, run_id: str, progress: Callable[[NormalizationRun], object] = lambda _: None) -> NormalizationRun:
        """Make the objects stand for their versions again that a run took the place of.

        Versions for which a later run made an object keep that. An interrupted undoing is gone on with.

        Raises
        ------
        NotFound
            No run has this id.
        OutOfResources, StoreUnavailable, CatalogueError
            The archive cannot go on now; the next call goes on.
        """
        ledger = self._catalogue.generations
        run = ledger.run(run_id)
        if run.state == UNDONE:
            return run
        self._note_undone(run)
        if run.state != UNDOING:
            run = replace(run, state=UNDOING, position=0)
            ledger.save(run)
        self._after_step("noted")
        undone = undone_runs(self._stores)
        while page := ledger.of_run(run_id, run.position, _PIECE):
            changes, kept, failed = [], 0, 0
            for made in page:
                try:
                    change = self._earlier(made, undone)
                except (OutOfResources, StoreUnavailable, CatalogueError):
                    raise
                except VnaError as error:
                    _log.error("earlier-object-damaged", pk=made.instance, code=error.code)
                    failed += 1
                    continue
                kept += change is None
                changes += [] if change is None else [change]
            run = advanced(run, page[-1].instance, undone=len(changes), kept=kept, failed=failed)
            ledger.replace(changes, run)
            self._after_step("undone")
            progress(run)
        run = replace(run, state=UNDONE)
        ledger.save(run)
        return run

    def _step(self, held: HeldInstance, run: NormalizationRun) -> Replacement | VnaError | None:
        """One version: the object that is to stand for it, why there is none, or None where it is right as it is."""
        found = self._examined(held)
        return self._stored(held, run) if found.differs else found.error

    def _note_undone(self, run: NormalizationRun) -> None:
        note = json.dumps({"run": run.id, "rule_set": run.rule_set, "undone_at": datetime.now(UTC).isoformat()})
        try:
            self._landing.create(undone_run_key(run.id), iter((note.encode("ascii"),)))
        except ObjectExists:
            return

    def _earlier(self, made: Generation, undone: frozenset[str]) -> Replacement | None:
        """The object before, of the runs that were not undone; None where another is current by now."""
        if not made.is_current:
            return None
        before = [
            one
            for one in self._catalogue.generations.of_version(made.instance)
            if one.number < made.number and one.run not in undone
        ]
        earlier, found = before[-1], before[-1].location
        store = self._stores.get(found.store)
        if store is None:
            raise InvalidRequest(f"The earlier object is in a store that is not configured: {found.store}.")
        return Replacement(made.instance, proven_entry(store, found.key, found.length, found.offset, earlier.sha256))

    def _examined(self, held: HeldInstance) -> Examined:
        try:
            provenance = read_trailer(self._reader(held), held.size).provenance
            made = provenance.renormalization
            label = (provenance.rule_set, provenance.received_at if made is None else made.at)
            with self._made(held, provenance, label) as canonical:
                differs = not self._same_data_set(canonical, held)
                return Examined(held, replace(canonical, segments=()), differs)
        except (OutOfResources, StoreUnavailable, CatalogueError):
            raise
        except VnaError as error:
            return Examined(held, error=error)
        except Exception as error:  # noqa: BLE001 - a fault of ours stops neither a dry run nor a run over other versions
            _log.exception("renormalization-failed", sha256=held.original_sha256)
            return Examined(held, error=VnaError(f"An internal error ({type(error).__name__})."))

    def _stored(self, held: HeldInstance, run: NormalizationRun) -> Replacement:
        provenance = read_trailer(self._reader(held), held.size).provenance
        known = self._catalogue.generations.of_version(held.pk)
        number = max((one.number for one in known), default=0) + 1
        again = Renormalization(run.id, number, run.started_at, held.sop_instance_uid)
        with self._made(held, provenance, (self._rule_set, run.started_at), again) as canonical:
            key = instance_key(canonical.study_instance_uid, canonical.series_instance_uid, canonical.sop_instance_uid)
            content = Checksummed(canonical.chunks)
            stored = keep(self._landing, key, content)
        return Replacement(held.pk, replace(stored_entry(self._landing, stored.key, stored.size), crc32c=content.crc32c))

    def _made(
        self, held: HeldInstance, provenance: Provenance, label: tuple[str, datetime], again: Renormalization | None = None
    ) -> AbstractContextManager[CanonicalInstance]:
        transfer_syntax = "" if held.transfer_syntax_uid in NATIVE else held.transfer_syntax_uid
        hints = (transfer_syntax, held.sop_class_uid, held.sop_instance_uid if provenance.renormalization is None else "")
        pieces = verified(rebuild(self._reader(held), held.size), held.original_sha256)
        return self._make(pieces, provenance.source, provenance.received_at, hints, label=label, renormalization=again)

    def _reader(self, held: HeldInstance) -> Callable[[int, int], bytes]:
        return lambda offset, length: self._copies.read(held, ByteRange(offset, min(length, held.size - offset)))

    def _same_data_set(self, canonical: CanonicalInstance, held: HeldInstance) -> bool:
        """Whether the data sets are octet for octet the same; File Meta Information and trailer tell of the writer."""
        length = held.trailer_offset - held.data_set_offset
        if canonical.trailer_offset - canonical.data_set_offset != length:
            return False
        if canonical.transfer_syntax_uid != held.transfer_syntax_uid:
            return False
        return same_octets(_data_set(canonical), self._copies.chunks(held, ByteRange(held.data_set_offset, length)))


def _data_set(canonical: CanonicalInstance) -> Iterator[bytes | memoryview]:
    """Octets between File Meta Information and trailer, which is the last segment."""
    skip = canonical.data_set_offset
    for piece in replace(canonical, segments=canonical.segments[:-1]).chunks():
        if skip >= len(piece):
            skip -= len(piece)
            continue
        yield piece[skip:]
        skip = 0
