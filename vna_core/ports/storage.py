"""The storage port: what a backend must do (decision D2).

A store keeps immutable objects under keys. Keys are ASCII, made by the archive, at most 1,024 octets, ``/`` between segments.
Every method may be called from several threads at once, and all but `create` may be called again after a failure without
further thought; `create` may too, because it never overwrites.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vna_core.domain.errors import StorageError, VnaError
from vna_core.domain.octets import ByteRange

Content = Iterable[bytes | bytearray | memoryview]
"""An object's octets in pieces. Each piece stays as it is until the store has taken the whole object: it may look at it again."""
Key = str | Callable[[str], str]
"""A key, or a function that makes it from the SHA-256 (lower-case hexadecimal) of the content just written."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a store can do, as probed at start; core code branches on these and never on a plugin's name.

    Attributes
    ----------
    conditional_create
        An existing key is never overwritten, even by a race of two writers.
    local
        Reads cost no network; fit for landing.
    durable_create
        When `create` returns, a power loss does not lose the object.
    checksums
        The store itself refuses octets that were damaged on their way to it.
    tiers
        Storage classes or access tiers that objects may be put in, as the store names them; empty where there is one kind.
    archive_tiers
        Those of them from which an object must be recalled before it can be read: reading it raises ObjectArchived.
    recall
        There is such a tier.
    object_lock
        Objects can be locked against deletion for a time, or held.
    server_side_copy
        An object can be copied inside the store without its octets travelling.
    tags
        Objects can carry tags. They never hold patient data.
    """

    conditional_create: bool
    local: bool
    durable_create: bool
    checksums: bool = False
    tiers: tuple[str, ...] = ()
    recall: bool = False
    object_lock: bool = False
    server_side_copy: bool = False
    tags: bool = False
    archive_tiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its key and size; `sha256` where the store knows it, `modified` in UTC where it keeps it.

    `tier` is told by `Store.stat` of a store with tiers.
    """

    key: str
    size: int
    sha256: str | None = None
    modified: datetime | None = None
    tier: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """How an object is to be kept from now on; what is not given stays as it is.

    Attributes
    ----------
    tier
        One of `Abilities.tiers`.
    locked_until
        Nobody can delete the object before (UTC). A lock can be made longer, never shorter.
    compliance
        The lock binds the account's owner too. Otherwise somebody with a right of its own may lift it.
    legal_hold
        Nobody can delete the object while it is true, whatever the lock says.
    """

    tier: str = ""
    locked_until: datetime | None = None
    compliance: bool = False
    legal_hold: bool | None = None


@dataclass(frozen=True, slots=True)
class NewObject:
    """What `create` takes, as a value: key, content, and the digest that the content must have (None: any)."""

    key: Key
    content: Content
    sha256: str | None = None


class Store(ABC):
    """One configured storage backend (a directory, a bucket, a container)."""

    name: str

    @abstractmethod
    def abilities(self) -> Abilities:
        """What this store was found to be able to do. Constant after `open`."""

    @property
    def base_uri(self) -> str:
        """URI below which readers without the archive find each object under its key, as it was given to `create`.

        Empty where there is none: the octets lie there in another form, or nobody else can reach them. Never with credentials.
        """
        return ""

    @abstractmethod
    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """Write an object that does not exist yet, and return only when it is durable.

        Raises
        ------
        ObjectExists
            The key is taken; nothing was written, and the object there is untouched.
        DigestMismatch
            `sha256` was given and the content differs; nothing is left behind under the key.
        OutOfResources
            No space is left; nothing is left behind.
        StoreUnavailable
            The store does not answer. Whether the object exists is then unknown: call again.
        """

    def create_all(self, objects: Sequence[NewObject]) -> list[StoredObject | VnaError]:
        """Create several objects, and return when each is durable or has failed; results in order, failures as in `create`.

        A store that can share the cost of making objects durable does so here.
        """
        results: list[StoredObject | VnaError] = []
        for one in objects:
            try:
                results.append(self.create(one.key, one.content, one.sha256))
            except VnaError as error:
                results.append(error)
        return results

    @abstractmethod
    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """The octets of a range (all of them without one), in memory. A range past the end gives what is there.

        A negative offset counts from the end: ``ByteRange(-8, 8)`` is the last eight octets, or all where there are fewer.
        Raises ObjectMissing, ObjectArchived, StoreUnavailable.
        """

    @abstractmethod
    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """The same in pieces of at most 1 MiB, for objects of any size."""

    @abstractmethod
    def stat(self, key: str) -> StoredObject:
        """Size of an object, and its tier where there are several. Raises ObjectMissing."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object for good. A missing key is not an error."""

    def adjust(self, key: str, terms: Terms) -> None:
        """Move an object to a tier, lock it, hold it or let it go. May be called again: what is so already stays so.

        Raises
        ------
        StorageError
            The store has no such tier, or no locks.
        ObjectMissing, StoreUnavailable
        ObjectArchived
            The object must be recalled before it can be moved to that tier.
        """
        raise StorageError(f"Store {self.name!r} has neither tiers nor locks.", store=self.name, key=key)

    def recall(self, key: str, days: int) -> bool:
        """Have an object of an archive tier brought back for reading, at least for so many days; whether it can be read now.

        Returns at once. Called again it begins nothing new and tells how it stands. Afterwards the object may be in another
        tier, or return to its own by itself: `adjust` with the tier has it there again in either case.

        Raises ObjectMissing, StoreUnavailable; StorageError where the service refuses.
        """
        self.stat(key)
        return True

    @abstractmethod
    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """Objects whose key begins with `prefix` and sorts after `after`, in key order (by octets)."""

    @abstractmethod
    def probe(self) -> None:
        """Write, read back and delete a small object. Raises what went wrong. Called at start and by ``/readyz``."""

    def close(self) -> None:  # noqa: B027 - most stores have nothing to give back
        """Give back connections. The store is not used afterwards."""
