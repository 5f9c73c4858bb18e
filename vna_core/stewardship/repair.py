"""Copies that a scrub found bad or missing come back from good ones; orphans that are good are recorded.

Nothing is deleted here but an object that is certainly damaged, at the moment in which a verified copy takes its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from vna_core.archival_storage.keeping import keep, verified
from vna_core.archival_storage.keys import STUDIES, digest_of_content, digest_of_pack, is_array, is_pack
from vna_core.catalogue import Catalogue
from vna_core.catalogue.checks import BAD, ObjectCheck
from vna_core.domain.errors import (
    CatalogueError,
    Malformed,
    OutOfResources,
    StorageError,
    StoreUnavailable,
    Unarchivable,
    VnaError,
)
from vna_core.domain.instance import Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import Leftover
from vna_core.ports.storage import Store
from vna_core.stewardship.descriptions import described_pack, description_of, stand_beside
from vna_core.stewardship.left_copies import LeftCopies
from vna_core.stewardship.notes import spread_notes
from vna_core.stewardship.pack_jobs import COMPACT, ask_for_compaction
from vna_core.stewardship.scrub import MISSING, NO_STORE, ORPHANED, ROT
from vna_core.stewardship.sealing import remove_pack
from vna_core.stewardship.taking_up import FoundObject, Taken, TakingUp

REPAIRED: Final = "repaired"
ADOPTED: Final = "adopted"
LISTED: Final = "listed"
"""An orphan that was left as it is, or a damaged pack that waits for something."""
LOST: Final = "lost"
"""No good copy was found anywhere."""
FAILED: Final = "failed"
"""A good copy is there, but it could not be put in its place now."""

_KEPT: Final = (
    "nothing is read from it, and it stays while it holds what is under a hold or was deleted and may be taken back, or while another "
    "object of its series cannot be read"
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of one finding. `outcome` is ``repaired``, ``adopted``, ``listed``, ``lost`` or ``failed``."""

    store: str
    key: str
    finding: str
    outcome: str
    detail: str = ""


@dataclass(slots=True)
class RepairReport:
    """What a repair did. `notes` counts small notes that stores lacked."""

    repairs: list[Repair] = field(default_factory=list)
    notes: int = 0

    def counts(self) -> dict[str, int]:
        """How many of each outcome."""
        counted: dict[str, int] = {}
        for one in self.repairs:
            counted[one.outcome] = counted.get(one.outcome, 0) + 1
        return counted

    @property
    def complete(self) -> bool:
        """Whether everything found was put right."""
        return all(one.outcome in (REPAIRED, ADOPTED) for one in self.repairs)


class Repairing:
    """Works through what scrubs have found. May be interrupted anywhere, and run again.

    Parameters
    ----------
    adopt
        Record good orphans; otherwise they are only listed.
    after_step
        Called with the name of each step left; fault tests end the process there.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        catalogue: Catalogue,
        *,
        adopt: bool = True,
        after_step: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._stores = dict(sorted(stores.items(), key=lambda one: not one[1].abilities().local))  # reading from afar is paid for
        self._catalogue = catalogue
        self._checks = catalogue.checks
        self._adopt = adopt
        self._after_step = after_step
        self._taking_up = TakingUp(stores, catalogue)
        self._left = LeftCopies(stores, catalogue)

    def run(self, progress: Callable[[Repair], object] = lambda _: None) -> RepairReport:
        """Put right what can be.

        Raises
        ------
        CatalogueError
            The catalogue cannot go on now; the next call goes on.
        """
        report = RepairReport(notes=spread_notes(self._stores))
        for finding in self._findings():
            repair = self._repaired(finding)
            if repair is not None:
                report.repairs.append(repair)
                progress(repair)
            self._after_step("repaired")
        return report

    def _findings(self) -> Iterator[ObjectCheck]:
        after = ("", "")
        while page := self._checks.findings(after=after):
            yield from page
            after = (page[-1].store, page[-1].key)

    def _repaired(self, finding: ObjectCheck) -> Repair | None:
        def ended(outcome: str, detail: str = "") -> Repair:
            return Repair(finding.store, finding.key, finding.outcome, outcome, detail)

        store = self._stores.get(finding.store)
        if store is None or finding.outcome == NO_STORE:
            return ended(LISTED, "the store is not configured")
        try:
            if finding.outcome == ORPHANED:
                return self._orphan(finding, store, ended)
            if finding.outcome not in BAD:
                return ended(LISTED, finding.detail)
            return self._restored(finding, store, ended)
        except CatalogueError:
            raise
        except VnaError as error:
            return ended(FAILED, error.message)

    # -- orphans ----------------------------------------------------------------------------------------------------------

    def _orphan(self, finding: ObjectCheck, store: Store, ended: Callable[..., Repair]) -> Repair:
        if not self._adopt or not finding.key.startswith(STUDIES):
            return ended(LISTED, "damaged" if finding.detail else "")
        try:
            adopted = self._taking_up.adopt(FoundObject(store, finding.key, store.stat(finding.key).size))
        except (StorageError, Unarchivable) as error:
            if isinstance(error, StoreUnavailable | OutOfResources):
                raise
            self._checks.note([ObjectCheck(finding.store, finding.key, finding.checked_at, ORPHANED, ROT)])
            return ended(LISTED, f"damaged: {error.message}")
        if adopted is Taken.DELETED:
            return ended(LISTED, "its octets were deleted")
        if adopted is Taken.KNOWN:
            return ended(LISTED, "its octets are held by another object")
        self._after_step("adopted")
        self._checks.note([ObjectCheck(finding.store, finding.key)])
        return ended(ADOPTED)

    # -- copies -----------------------------------------------------------------------------------------------------------

    def _restored(self, finding: ObjectCheck, store: Store, ended: Callable[..., Repair]) -> Repair:
        if is_array(finding.key):
            return self._restored_description(finding, store, ended)
        sha256 = digest_of_content(finding.key) or digest_of_pack(finding.key)
        if not sha256:
            return self._restored_members(finding, store, ended)
        source = self._good_source(finding, sha256)
        if source is None:
            if self._is_good(store, finding.key, None, sha256):  # it came back by itself, or somebody put it back
                self._good_again(finding)
                return ended(REPAIRED, "it is as it should be")
            return self._without_a_copy(finding, store, ended)
        where, content = source
        self._after_step("source")
        try:
            keep(store, finding.key, lambda: verified(content(), sha256), sha256)
        except StorageError as error:
            if isinstance(error, StoreUnavailable):
                raise
            return ended(FAILED, f"the damaged object cannot be replaced: {error.message}")
        self._after_step("written")
        if not self._is_good(store, finding.key, None, sha256):
            return ended(FAILED, "what was written does not come back")
        if is_pack(finding.key):  # what lies beside it for readers of Zarr was lost with it
            stand_beside(store, finding.key, description_of(store, finding.key))
        self._good_again(finding)
        return ended(REPAIRED, f"from {where}")

    def _without_a_copy(self, finding: ObjectCheck, store: Store, ended: Callable[..., Repair]) -> Repair:
        """What is nowhere else is lost, but for a pack whose instances lie about loose: they are packed anew, and it goes."""
        if not is_pack(finding.key):
            return ended(LOST, "no good copy is left in the configured stores")
        given, lost = self._left.give_back(store.name, finding.key)
        found = f"; {given} others are read from loose objects now" if given else ""
        if lost:
            return ended(LOST, f"of {lost} instances no good copy is left in the configured stores{found}")
        packs = self._catalogue.packs
        if not given and not packs.listed(key=finding.key) and not packs.is_left_over(store.name, finding.key):
            return ended(LOST, "no good copy is left in the configured stores, and what lay in it is not known")
        if packs.fate_of(store.name, finding.key, 0) is not Leftover.FREE:
            places = packs.places_in(finding.key)
            for place in places:
                ask_for_compaction(self._catalogue, place)
            if not places:
                return ended(LISTED, f"no whole copy is left; {_KEPT}{found}")
            return ended(LISTED, f"no whole copy is left; what is read from it is packed anew (job {COMPACT}){found}")
        self._after_step("given back")
        for name in self._stores:  # nothing of it is read from any of them
            packs.leave(name, [(finding.key, 0)], 0.0)
        if finding.outcome != MISSING:
            remove_pack(store, finding.key)
        packs.gone(store.name, finding.key)
        packs.forget_leftovers(store.name, [finding.key])
        self._checks.note([], [finding])
        return ended(
            REPAIRED, f"{given} instances are read from loose objects" if given else "its instances are read from elsewhere"
        )

    def _restored_members(self, finding: ObjectCheck, store: Store, ended: Callable[..., Repair]) -> Repair:
        """An object of several versions comes back whole from another store in which it has the same key, if all are right there."""
        members = self._checks.members(store.name, finding.key)
        for name, other in self._stores.items():
            if name == store.name or not members:
                continue
            if not all(self._is_good(other, finding.key, ByteRange(one.offset, one.length), one.sha256) for one in members):
                continue
            digest = _digest(other.chunks(finding.key))
            self._after_step("source")
            keep(store, finding.key, lambda other=other: other.chunks(finding.key), digest)  # type: ignore[misc]
            self._after_step("written")
            self._good_again(finding)
            return ended(REPAIRED, f"from {name}")
        return ended(LOST, "no good copy of the whole object is left in the configured stores")

    def _restored_description(self, finding: ObjectCheck, store: Store, ended: Callable[..., Repair]) -> Repair:
        """What lies beside a pack comes back out of the pack, or out of a copy of the pack."""
        pack = described_pack(store, finding.key)
        for name, one in {finding.store: store, **self._stores}.items():
            try:
                description = description_of(one, pack) if pack else None
            except (StorageError, Malformed) as error:
                _log.info("copy-not-usable", store=name, key=pack, code=error.code)
                continue
            if description is None:  # it was sealed anew or deleted meanwhile, or its frames never were an array
                self._good_again(finding)
                return ended(REPAIRED, "nothing is to be there")
            stand_beside(store, pack, description)
            self._after_step("written")
            self._good_again(finding)
            return ended(REPAIRED, f"from the pack in {name}")
        return ended(LOST, "no good copy of the pack is left in the configured stores")

    def _good_source(self, finding: ObjectCheck, sha256: str) -> tuple[str, Callable[[], Iterator[bytes]]] | None:
        """A copy with the right octets, elsewhere: under the same key in another store, or wherever the catalogue knows one."""
        places = [Location(name, finding.key, 0, 0) for name in self._stores if name != finding.store]
        for held in self._checks.versions_at(finding.store, finding.key):
            if held.sha256 == sha256:
                places += [where for where in held.locations if (where.store, where.key) != (finding.store, finding.key)]
        for where in places:
            store = self._stores.get(where.store)
            wanted = ByteRange(where.offset, where.length) if where.length else None
            if store is not None and self._is_good(store, where.key, wanted, sha256):
                return where.store, lambda store=store, where=where, wanted=wanted: store.chunks(where.key, wanted)  # type: ignore[misc]
        return None

    def _is_good(self, store: Store, key: str, wanted: ByteRange | None, sha256: str) -> bool:
        try:
            return _digest(store.chunks(key, wanted)) == sha256
        except StorageError as error:
            _log.info("copy-not-usable", store=store.name, key=key, code=error.code)
            return False

    def _good_again(self, finding: ObjectCheck) -> None:
        self._checks.mark(finding.store, finding.key, "ok")
        self._checks.note([ObjectCheck(finding.store, finding.key)])


def _digest(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in chunks:
        digest.update(piece)
    return digest.hexdigest()
