"""Whether what lies where a store is configured is that store: looked at before anything is read or written there.

A disk that is not mounted, a bucket that was emptied, and two names that were swapped all look like a store that works.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import structlog

from vna_core.archival_storage.keeping import is_there
from vna_core.archival_storage.store_identity import IDENTITY, new_identity, read_identity, write_identity
from vna_core.catalogue.store_identities import KnownStore, StoreIdentities
from vna_core.domain.errors import ObjectArchived, StoreUnrecognized
from vna_core.ports.storage import Store

_ARCHIVED: Final = "archived"

_log = structlog.get_logger(__name__)


class KnowingStores:
    """Compares the identity in a store with the one in the catalogue.

    Parameters
    ----------
    configured
        Names of all stores of the configuration.
    """

    def __init__(self, identities: StoreIdentities, configured: Collection[str]) -> None:
        self._identities, self._configured = identities, configured

    def check(self, store: Store) -> None:
        """Return when this is the store that the catalogue knows by its name, or a new one, which gets its identity.

        Costs one small read of the store, and one question to the catalogue, where the store is known. May be called by several
        processes at once: the catalogue decides which identity a store gets.

        Parameters
        ----------
        store
            As its plugin opened it, without wrappers.

        Raises
        ------
        StoreUnrecognized
            It is another store, or holds nothing of what it must hold.
        StoreUnavailable
            It does not answer.
        """
        known, found = self._identities.of(store.name), _read(store)
        if known.marked and found == known.identity:
            return
        if found == _ARCHIVED:
            self._look(store, "lies in a cold tier", enough=True)
            _log.warning("store-identity-archived", store=store.name, key=IDENTITY, consequence="looked at a few objects instead")
        elif found:
            self._take_over(store, known, found)
        else:
            self._look(store, "is missing", enough=not known.marked)
            self._settle(store, write_identity(store, self._identities.propose(store.name, new_identity())))

    def replace(self, store: Store) -> str:
        """Take a store in the place of the one that the catalogue knows by its name; its identity.

        What lies there keeps its identity where it has one that no other store of the configuration has. Where the catalogue knows objects
        in it, it counts as replaced until a scrub has compared them.
        """
        try:
            found = _read(store)
        except StoreUnrecognized:  # damaged
            found = ""
            store.delete(IDENTITY)
        if found == _ARCHIVED:
            raise StoreUnrecognized(
                f"{IDENTITY} in store {store.name!r} lies in a cold tier: recall it there, then call this again.",
                store=store.name,
            )
        if found:
            self._refuse_bearer(store, found)
        identity = found or write_identity(store, new_identity())
        self._identities.settle(store.name, identity, replaced=bool(self._identities.keys_in(store.name)))
        return identity

    def misses(self, store: Store) -> bool:
        """Whether a store holds none of a few objects that the catalogue knows in it."""
        keys = self._identities.keys_in(store.name)
        return bool(keys) and not any(is_there(store, key) for key in keys)

    def _look(self, store: Store, why: str, *, enough: bool) -> None:
        """Refuse a store in which the catalogue knows objects, unless a few of them are there and that is `enough`."""
        keys = self._identities.keys_in(store.name)
        if not keys or (enough and any(is_there(store, key) for key in keys)):
            return
        raise StoreUnrecognized(
            f"What lies where store {store.name!r} is configured is not that store: {IDENTITY} {why}, and the catalogue knows "
            f"objects there. Is it mounted, is the path, bucket or prefix right? If it is lost for good: "
            f"`vna store replace {store.name}`.",
            store=store.name,
        )

    def _take_over(self, store: Store, known: KnownStore, found: str) -> None:
        if known.marked:
            bearer = self._identities.bearer(found)
            whose = f"that of store {bearer!r}" if bearer else "unknown"
            raise StoreUnrecognized(
                f"What lies where store {store.name!r} is configured is another store: its identity {found} is {whose}, "
                f"and not {known.identity}. Correct the configuration or what is mounted. If it is to take the place of the other: "
                f"`vna store replace {store.name}`.",
                store=store.name,
                found=found,
                expected=known.identity,
            )
        self._settle(store, found)

    def _settle(self, store: Store, identity: str) -> None:
        self._refuse_bearer(store, identity, renamed=True)
        self._identities.settle(store.name, identity)

    def _refuse_bearer(self, store: Store, identity: str, *, renamed: bool = False) -> None:
        """Refuse a place that another store is known by; `renamed`: even where that is not configured any more."""
        bearer = self._identities.bearer(identity)
        if bearer in ("", store.name) or not (renamed or bearer in self._configured):
            return
        if bearer in self._configured:
            advice = f"Two stores need two places; of a copy made by hand, delete {IDENTITY}."
        else:
            advice = f"Configure it as {bearer!r} again, or, if it has a new name: `vna store replace {store.name}`."
        raise StoreUnrecognized(
            f"What lies where store {store.name!r} is configured is store {bearer!r}, or a copy of it. {advice}",
            store=store.name,
            found=identity,
        )


def _read(store: Store) -> str:
    try:
        return read_identity(store)
    except ObjectArchived:
        return _ARCHIVED
