"""Settled series become packs, packs of a series become one, and what they were made of goes when nobody reads it any more.

In this order, so that a process may die anywhere: the pack is written and read back whole; then, in one transaction, versions are
read from it; then, after a delay, what they were read from before is removed. What a dead process wrote and nothing points at is
taken up or removed the next time the series is packed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from vna_core.archival_storage.keys import array_key, digest_of_pack, is_pack, pack_folder
from vna_core.archival_storage.packs import Pack, read_pack
from vna_core.catalogue import Catalogue
from vna_core.configuration.packs import PackSettings
from vna_core.domain.errors import DigestMismatch, LeaseLost, Malformed, StorageError, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import Leftover, ListedPack, PackClaim, SeriesPlace, StoredVersion
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.packing import Batch, UnreadableMember, batches, make_pack, parsed_headers

LEASE: Final = 600.0
"""Seconds for which a series is claimed; renewed for every pack."""
_WAIT: Final = 3600.0
"""Seconds until another look at what could not be removed yet."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PackingReport:
    """What was done to one series.

    Attributes
    ----------
    packs
        Keys of the packs that were made.
    damaged
        Keys of objects that could not be read and were left out.
    skipped
        Why nothing was done; empty otherwise.
    """

    study_instance_uid: str
    series_instance_uid: str
    packs: list[str] = field(default_factory=list)
    members: int = 0
    octets: int = 0
    damaged: list[str] = field(default_factory=list)
    skipped: str = ""


class PackKeeper:
    """Seals and compacts series in one store, and removes what is left over in all.

    Parameters
    ----------
    store
        Where packs are made: the landing store.
    after_step
        Called with the name of each step left; fault tests end the process there.
    everywhere
        Loose objects stay until every store that has them has them in a pack: where a placement policy brings packs there.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        store: Store,
        catalogue: Catalogue,
        settings: PackSettings,
        after_step: Callable[[str], object] = lambda _: None,
        everywhere: bool = False,
    ) -> None:
        self._stores = stores
        self._store = store
        self._everywhere = everywhere
        self._catalogue = catalogue
        self._settings = settings
        self._after_step = after_step

    def settled(self, now: float, *, at_once: bool = False) -> Iterator[SeriesPlace]:
        """Series whose loose objects can be sealed, in the order of their keys.

        Parameters
        ----------
        now
            Seconds since 1970.
        at_once
            Without waiting for the quiet time.
        """
        after = 0
        while page := self._catalogue.packs.series(after=after):
            for place in page:
                if self.waits_for(place, now, at_once=at_once) == 0:
                    yield place
            after = page[-1].pk

    def waits_for(self, place: SeriesPlace, now: float, *, at_once: bool = False) -> float | None:
        """Seconds until a series has settled; None when too little of it is loose."""
        count, size, last = self._catalogue.packs.loose_summary(place, self._store.name)
        if count < self._settings.minimum_instances or size < self._settings.minimum_size:
            return None
        return 0.0 if at_once else max(0.0, last / 1e6 + self._settings.quiet - now)

    def seal(self, place: SeriesPlace) -> PackingReport:
        """Put the loose objects of a series into packs.

        Raises
        ------
        OutOfResources, StoreUnavailable, CatalogueError
            The archive cannot go on now: what is sealed is sealed, and the next call goes on.
        """
        report = _report(place)
        with _Claimed(self._catalogue, place, report) as claim:
            if claim is not None:
                loose = self._catalogue.packs.loose(place, self._store.name)
                self._pack(place, claim, loose, [], report)
                if not report.packs and not report.damaged:
                    report.skipped = "nothing is loose"
                self._remove_unknown(place)
        return report

    def compact(self, place: SeriesPlace) -> PackingReport:
        """Make as few packs of a series as there can be, without what was deleted or has taken another place.

        Raises as `seal` does.
        """
        report = _report(place)
        with _Claimed(self._catalogue, place, report) as claim:
            if claim is not None:
                packed, here = self._packed(place)
                loose = [one for row in self._rows(place) for one in self._catalogue.packs.loose(row, self._store.name)]
                if self._is_worth_it(packed, loose, here):
                    self._pack(place, claim, [*packed, *loose], self._replaced(packed), report)
                    self._remove_unknown(place)
                else:
                    report.skipped = "nothing to gain"
        return report

    def _rows(self, place: SeriesPlace) -> list[SeriesPlace]:
        """The series of every patient under these UIDs: they share a folder of packs, and may share packs."""
        return self._catalogue.packs.series(study=place.study_instance_uid, series=place.series_instance_uid)

    def _packed(self, place: SeriesPlace) -> tuple[list[StoredVersion], Mapping[str, ListedPack]]:
        """Objects in packs that belong to this series wholly, and those packs by key.

        A pack of which a version went to another series stays as it is: what takes over a pack takes over all of it.
        """
        packs = self._catalogue.packs
        listed = packs.listed(study=place.study_instance_uid, series=place.series_instance_uid, limit=10_000)
        found = [one for row in self._rows(place) for one in packs.packed(row, self._names())]
        taken = Counter(one.location.key for one in found)
        here = {one.key: one for one in listed if taken[one.key] == one.live}
        return self._named([one for one in found if one.location.key in here]), here

    def _named(self, packed: Sequence[StoredVersion]) -> list[StoredVersion]:
        """The same, by the names they have in their packs: an earlier generation may have had another UID than its version."""
        names = {
            (key, one.range.offset): one.name.rsplit(".", 2)[0]
            for key, store in _where(packed).items()
            for one in self._read(store, key).members
        }
        named = []
        for one in packed:
            uid = names.get((one.location.key, one.location.offset), "~")
            named.append(one if uid.startswith("~") else replace(one, sop_instance_uid=uid))
        return named

    def _replaced(self, packed: Sequence[StoredVersion]) -> list[str]:
        """Digests of packs that are taken over, and of those that they had taken over: one of them may still lie somewhere."""
        taken = _where(packed)
        earlier = {sha256 for key, store in taken.items() for sha256 in self._read(store, key).replaces}
        return sorted({*map(digest_of_pack, taken), *earlier})

    def _names(self) -> list[str]:
        """Stores to read packs from, the one to read from first."""
        return [self._store.name, *(name for name in self._stores if name != self._store.name)]

    def _read(self, store: str, key: str) -> Pack:
        return read_pack(reader(self._stores[store], key), self._stores[store].stat(key).size)

    def _is_worth_it(
        self, packed: Sequence[StoredVersion], loose: Sequence[StoredVersion], here: Mapping[str, ListedPack]
    ) -> bool:
        """Whether there would be fewer packs, octets are in them that nothing points at, or a copy of one is damaged."""
        now = {one.location.key for one in packed}
        if not packed:
            return False
        if any(here[key].live < here[key].members for key in now) or self._catalogue.packs.damaged(now):
            return True
        largest = self._settings.maximum_size
        needed = batches([one for one in (*packed, *loose) if one.size <= largest], {}, largest)
        return len(needed) < len(now) + bool(loose)

    def _pack(
        self,
        place: SeriesPlace,
        claim: PackClaim,
        objects: Sequence[StoredVersion],
        replaces: Sequence[str],
        report: PackingReport,
    ) -> None:
        """Pack objects; one that cannot be read is marked and left out. Then nothing is taken over, as not all of it was."""
        left = [one for one in objects if one.size <= self._settings.maximum_size]
        headers = parsed_headers(self._catalogue.packs.headers(sorted({one.held.pk for one in left})))
        waiting = batches(left, headers, self._settings.maximum_size)
        while waiting:
            batch = waiting.pop(0)
            last = () if waiting or report.damaged else replaces  # only when every other pack is there and read from
            try:
                self._seal_batch(place, claim, batch, last, report)
            except UnreadableMember as error:
                bad = error.member
                _log.error("object-not-packed", store=bad.location.store, key=bad.location.key, code=error.code)
                self._catalogue.set_location_state(bad.held.pk, bad.location, "bad")
                report.damaged.append(bad.location.key)
                if replaces:
                    return
                waiting[:0] = batches([one for one in batch.objects if one is not bad], headers, self._settings.maximum_size)

    def _seal_batch(
        self, place: SeriesPlace, claim: PackClaim, batch: Batch, replaces: Sequence[str], report: PackingReport
    ) -> None:
        self._catalogue.packs.keep_claim(claim, LEASE)
        new = make_pack(place, batch, self._store, self._stores, replaces, self._after_step)
        delay, (here, *others) = self._settings.removal_delay, self._names()
        self._catalogue.packs.switch(claim, new, here, batch.objects, delay, others)
        self._after_step("switched")
        report.packs.append(new.key)
        report.members += len(new.members)
        report.octets += batch.size

    def _remove_unknown(self, place: SeriesPlace) -> None:
        """Remove packs that a process wrote which died before anything pointed at them; each member of them is held elsewhere."""
        packs, name = self._catalogue.packs, self._store.name
        held = {one.sha256 for row in self._rows(place) for one in (*packs.loose(row, name), *packs.packed(row, [name]))}
        for stored in unknown_packs(self._catalogue, self._store, place):
            try:
                found = read_pack(reader(self._store, stored.key), stored.size)
            except (DigestMismatch, Malformed):
                _log.error("pack-damaged", store=name, key=stored.key)
                continue
            if {one.sha256 for one in found.members} <= held:
                remove_pack(self._store, stored.key)

    def remove_leftovers(self, *, at_once: bool = False) -> int:
        """Remove what nothing points at any more and nobody can still be reading; how many objects.

        What holds deleted instances that may be taken back stays, and what a store refuses to delete (it is locked): both are
        looked at again later.

        A store that does not answer is left for another time. Raises CatalogueError.
        """
        return sum(self._removed_from(store, found) for store, found in self._leftovers(at_once).items())

    def _removed_from(self, store: str, found: Sequence[tuple[str, int]]) -> int:
        packs, gone, waiting, removed = self._catalogue.packs, list[str](), list[str](), 0
        try:
            for key, instance in found:
                fate = packs.fate_of(store, key, instance, everywhere=self._everywhere)
                if fate is Leftover.FREE and not self._is_removed(self._stores[store], key):
                    fate = Leftover.WAITS
                removed += fate is Leftover.FREE
                (waiting if fate is Leftover.WAITS else gone).append(key)
                self._after_step("removed")
        except StoreUnavailable as error:
            _log.warning("leftovers-not-removed", store=store, code=error.code)
        packs.forget_leftovers(store, gone)
        packs.postpone_leftovers(store, waiting, _WAIT)
        return removed

    def _leftovers(self, at_once: bool) -> dict[str, list[tuple[str, int]]]:
        """What is due, by store: those that are configured."""
        found: dict[str, list[tuple[str, int]]] = {}
        for store, key, instance in self._catalogue.packs.leftovers(100_000, due_in=10 * 365 * 86_400.0 if at_once else 0.0):
            if store in self._stores:
                found.setdefault(store, []).append((key, instance))
        return found

    def _is_removed(self, store: Store, key: str) -> bool:
        """Remove an object; False where the store refuses."""
        try:
            self._remove(store, key)
        except StoreUnavailable:
            raise
        except StorageError as error:
            _log.info("object-not-removed", store=store.name, key=key, code=error.code)
            return False
        return True

    @staticmethod
    def _remove(store: Store, key: str) -> None:
        if is_pack(key):
            remove_pack(store, key)
        else:
            store.delete(key)


class _Claimed:
    """A series for as long as the block runs; the claim is None where somebody else has it."""

    def __init__(self, catalogue: Catalogue, place: SeriesPlace, report: PackingReport) -> None:
        self._packs, self._place, self._report = catalogue.packs, place, report
        self._claim: PackClaim | None = None

    def __enter__(self) -> PackClaim | None:
        self._claim = self._packs.claim(self._place, LEASE)
        if self._claim is None:
            self._report.skipped = "another process is packing it"
        return self._claim

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._claim is not None and not (kind is not None and issubclass(kind, LeaseLost)):
            self._packs.release(self._claim)


def _report(place: SeriesPlace) -> PackingReport:
    return PackingReport(place.study_instance_uid, place.series_instance_uid)


def _where(packed: Sequence[StoredVersion]) -> dict[str, str]:
    """Keys of the packs that objects lie in, and the store to read each from."""
    return {one.location.key: one.location.store for one in packed}


def reader(store: Store, key: str) -> Callable[[int, int], bytes]:
    return lambda offset, length: store.read(key, ByteRange(offset, length))


def unknown_packs(catalogue: Catalogue, store: Store, place: SeriesPlace) -> list[StoredObject]:
    """Packs of a series in a store of which the catalogue knows nothing: a process wrote them that died before anything pointed at them."""
    packs = catalogue.packs

    def is_known(key: str) -> bool:
        return bool(packs.listed(key=key)) or packs.is_needed(store.name, key) or packs.is_left_over(store.name, key)

    stored = list(store.list(pack_folder(place.study_instance_uid, place.series_instance_uid)))
    return [one for one in stored if is_pack(one.key) and not is_known(one.key)]


def remove_pack(store: Store, key: str) -> None:
    """Remove a pack and the array metadata beside it, which goes first: it tells nobody of a pack that is gone."""
    store.delete(array_key(key))
    store.delete(key)
