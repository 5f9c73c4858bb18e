"""The way in: the only module that knows the order of the rooms."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from vna_core.archival_storage.copies import CopyReader
from vna_core.catalogue import Catalogue
from vna_core.configuration import IngestSettings
from vna_core.dicom.inflate import InflationRoom
from vna_core.domain.errors import (
    Deleted,
    EmptyPayload,
    LimitExceeded,
    NotAskedFor,
    OtherStudy,
    OutOfResources,
    Truncated,
    Unarchivable,
    VnaError,
)
from vna_core.domain.identifiers import Identified
from vna_core.domain.instance import CanonicalInstance, HeldInstance, Location, Segment
from vna_core.domain.octets import ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.renormalization import Renormalization
from vna_core.ingest.announce import Observer, announce, notify
from vna_core.ingest.identify import identify
from vna_core.ingest.index import index
from vna_core.ingest.names_in_damage import readable_names
from vna_core.ingest.normalize import KnownElements, Label, SiteRules, normalize
from vna_core.ingest.normalize.assembly import close_payloads
from vna_core.ingest.place import place
from vna_core.ingest.quarantine import Quarantine
from vna_core.ingest.receive import ByteBudget, Reception
from vna_core.ingest.reconcile import reconcile
from vna_core.ingest.stage_clock import StageClock
from vna_core.ingest.stages import Reconciled
from vna_core.ports.dialect import Dialect
from vna_core.ports.storage import Store

_log = structlog.get_logger(__name__)

ROOMS: Final = ("identify", "normalize", "reconcile", "place", "index", "announce")
"""Names of the rooms after `receive`, in order."""


class IngestPipeline:
    """Receives instances and takes them through the rooms.

    Parameters
    ----------
    landing
        Store where every instance is written first.
    stores
        All stores by name, the landing store among them; earlier versions are compared where they are.
    data
        Data folder; large instances are spooled in ``spool`` below it.
    observers
        Called with every result.
    processes
        How many processes share ``ingest.memory_budget``.
    dialects
        Vendors' dialects, asked about every instance that shows one of their markers.
    after_room
        Called with a room's name each time it is left; fault tests end the process there.
    site
        What the hospital changes.

    Attributes
    ----------
    under_way
        How many calls of `offer` and `offer_all` have not come back.
    """

    def __init__(
        self,
        landing: Store,
        catalogue: Catalogue,
        settings: IngestSettings,
        data: Path,
        observers: Iterable[Observer] = (),
        *,
        stores: Mapping[str, Store] | None = None,
        processes: int = 1,
        dialects: tuple[Dialect, ...] = (),
        after_room: Callable[[str], object] | None = None,
        site: SiteRules | None = None,
    ) -> None:
        self._settings = settings
        self.site = site or SiteRules()
        self._dialects = dialects
        self._known = KnownElements()
        self._spool = data / "spool"
        self._catalogue = catalogue
        self._observers = tuple(observers)
        self._after_room = after_room
        self.clock = StageClock()
        self._counting = threading.Lock()
        self.under_way = 0
        self.budget = ByteBudget(max(settings.memory_budget // processes, 1 << 20))
        self._inflation = InflationRoom(self.budget.maximum)
        self.quarantine = Quarantine(landing, catalogue, settings)
        copies = CopyReader(stores or {landing.name: landing}, self._copy_damaged, catalogue.moved)
        self._reconcile = partial(reconcile, catalogue=catalogue, copies=copies)
        self._place = partial(place, landing=landing)
        self._index = partial(index, catalogue=catalogue, landing=landing)

    def reception(
        self,
        source: Source,
        *,
        transfer_syntax_uid: str = "",
        sop_class_uid: str = "",
        sop_instance_uid: str = "",
        digest_later: bool = False,
    ) -> Reception:
        """A context manager that takes one instance's octets; its `finish` gives what `offer` takes. See `Reception`."""
        hints = (transfer_syntax_uid, sop_class_uid, sop_instance_uid)
        return Reception(source, self._settings, self._spool, self.budget, *hints, digest_later=digest_later)

    def offer(
        self, received: ReceivedInstance, *, cut_short: bool = False, only: Callable[[Identified], bool] | None = None
    ) -> IngestResult:
        """Take one instance through the rooms; its octets are closed afterwards.

        Safe to call again with the same octets: what is held already ends as duplicate.

        Parameters
        ----------
        cut_short
            The sender broke off before the end: the octets are kept in quarantine.
        only
            Whether an instance is one that was asked for. Anything else, and what cannot be read as an instance, is refused, and
            nothing of it is kept: neither in the archive nor in quarantine.

        Raises
        ------
        OutOfResources, StorageError, CatalogueError
            The archive cannot take anything now. Nothing is acknowledged.
        """
        (result,) = self._offer((received,), cut_short, only)
        if isinstance(result, VnaError):
            raise result
        return result

    def offer_all(self, received: Sequence[ReceivedInstance]) -> list[IngestResult | VnaError]:
        """Take several instances through the rooms side by side; they share flushes, and none is held up by another's failure.

        Returns, when all of them are durable or have failed, a result for each in order; in place of it the error that `offer`
        would raise.
        """
        return self._offer(received, False, None)

    def _offer(
        self, received: Sequence[ReceivedInstance], cut_short: bool, only: Callable[[Identified], bool] | None
    ) -> list[IngestResult | VnaError]:
        with self._counting:
            self.under_way += 1
        try:
            return self._through(received, cut_short, only)
        finally:
            with self._counting:
                self.under_way -= 1
            for one in received:
                one.octets.close()

    @contextmanager
    def made_again(
        self,
        pieces: Iterable[bytes],
        received_from: Source,
        received_at: datetime,
        hints: tuple[str, str, str],
        *,
        site: SiteRules | None = None,
        label: tuple[str, datetime] | None = None,
        renormalization: Renormalization | None = None,
    ) -> Iterator[CanonicalInstance]:
        """The canonical object of octets as received, as the rules make it now. Nothing is stored, recorded or announced.

        Parameters
        ----------
        hints
            Transfer syntax, SOP Class and SOP Instance UID that were named outside the octets.
        site
            Other site rules than the archive's.
        label
            Rule set and moment to be told in the data set.

        Raises
        ------
        Unarchivable, LimitExceeded
            The octets would go to quarantine.
        OutOfResources
            The spool cannot be written.
        """
        with self.reception(received_from) as reception:
            for piece in pieces:
                reception.write(piece)
            received = reception.finish()
        received = ReceivedInstance(received.octets, received_from, received_at, *hints)
        segments: list[Segment] = []
        try:
            parsed = identify(received, self._settings, room=self._inflation)
            canonical = normalize(
                received,
                parsed,
                self._settings,
                site=self.site if site is None else site,
                dialects=self._dialects,
                label=None if label is None else Label(*label),
                renormalization=renormalization,
            )
            segments.extend(canonical.segments)
            yield canonical
        finally:
            close_payloads(segments)
            received.octets.close()

    def _through(
        self, received: Sequence[ReceivedInstance], cut_short: bool, only: Callable[[Identified], bool] | None
    ) -> list[IngestResult | VnaError]:
        """Rooms that compute take one instance after the other; those that flush take together what is left."""
        states: list[Any] = [self._attempt(self._understood, one, cut_short, only) for one in received]
        states = self._each("reconcile", states, lambda canonical: self._attempt(self._reconciled, canonical))
        states = self._together("place", states, self._place)
        states = self._together("index", states, self._index)
        return self._each("announce", states, lambda indexed: announce(indexed, self._observers))

    def _each(self, room: str, states: Sequence[Any], work: Callable[[Any], Any]) -> list[Any]:
        """What a room makes of each instance that has no result yet."""
        return [state if _is_over(state) else self._left(room, work(state)) for state in states]

    def _together(self, room: str, states: Sequence[Any], work: Callable[[list[Any]], Sequence[Any]]) -> list[Any]:
        """The same for a room that takes all of them at once."""
        results = iter(work([state for state in states if not _is_over(state)]))
        return [state if _is_over(state) else self._left(room, next(results)) for state in states]

    @staticmethod
    def _attempt(work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        except VnaError as error:
            return error

    def _understood(
        self, received: ReceivedInstance, cut_short: bool, only: Callable[[Identified], bool] | None
    ) -> CanonicalInstance | IngestResult:
        """The canonical object, or how the instance ended."""
        try:
            if received.octets.size == 0:
                raise EmptyPayload("Nothing was offered: the payload has no octets.")
            if cut_short:
                raise Truncated("The sender broke off before the end of the instance.")
            parsed = identify(received, self._settings, self._known.layouts, self._inflation)
            self._left("identify", parsed)
            canonical = normalize(received, parsed, self._settings, site=self.site, dialects=self._dialects, known=self._known)
        except EmptyPayload as error:
            return self._ended(IngestResult(Outcome.REFUSED, error=error, source=received.source))
        except OutOfResources:
            raise
        except (Unarchivable, LimitExceeded, OtherStudy) as error:
            return self._unread(received, error, only is not None)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost anybody an image: keep the octets, tell the sender
            _log.exception("normalization-failed", sha256=received.octets.sha256)
            failure = VnaError(f"The instance could not be read because of an internal error ({type(error).__name__}).")
            return self._unread(received, failure, only is not None)
        self._left("normalize", canonical)
        if only is not None and not only(canonical):
            close_payloads(list(canonical.segments))
            return self._unread(received, NotAskedFor("It delivered an instance that was not asked for."), True)
        return canonical

    def _reconciled(self, canonical: CanonicalInstance) -> Reconciled | IngestResult:
        """Whose it is and whether it is held; or that it was deleted here."""
        try:
            return self._reconcile(canonical)
        except Deleted as error:
            uids = (
                canonical.study_instance_uid,
                canonical.series_instance_uid,
                canonical.sop_instance_uid,
                canonical.sop_class_uid,
            )
            return self._ended(IngestResult(Outcome.REFUSED, *uids, error=error, source=canonical.received.source))

    def _left(self, room: str, state: Any) -> Any:
        self.clock.left(room)
        if self._after_room is not None and not isinstance(state, VnaError):
            self._after_room(room)
        return state

    def _unread(self, received: ReceivedInstance, error: VnaError, unasked: bool) -> IngestResult:
        """How an instance ends that goes no further: refused where nothing is kept that was not asked for, else in quarantine."""
        if unasked:
            return self._ended(IngestResult(Outcome.REFUSED, error=error, source=received.source))
        return self._quarantined(received, error)

    def _quarantined(self, received: ReceivedInstance, error: VnaError) -> IngestResult:
        try:
            quarantine_id = self.quarantine.keep(received, error)
        except OutOfResources:
            raise
        except LimitExceeded as full:
            return self._ended(IngestResult(Outcome.REFUSED, error=full, source=received.source))
        _log.warning("quarantined", quarantine_id=quarantine_id, code=error.code, source=received.source.name)
        names = readable_names(received)
        return self._ended(
            IngestResult(
                Outcome.QUARANTINED,
                names.study_instance_uid,
                names.series_instance_uid,
                names.sop_instance_uid,
                names.sop_class_uid,
                quarantine_id=quarantine_id,
                error=error,
                source=received.source,
            )
        )

    def _ended(self, result: IngestResult) -> IngestResult:
        notify(result, self._observers)
        return result

    def _copy_damaged(self, held: HeldInstance, location: Location) -> None:
        self._catalogue.set_location_state(held.pk, location, "bad")


def _is_over(state: object) -> bool:
    return isinstance(state, IngestResult | VnaError)
