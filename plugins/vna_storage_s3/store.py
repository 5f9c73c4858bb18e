"""The store itself: keys below a prefix of one bucket."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from vna_core.domain.errors import (
    ConfigurationError,
    ObjectExists,
    ObjectMissing,
    StorageError,
    StoreRefused,
    StoreUnavailable,
    VnaError,
)
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.domain.storage_keys import checked_key
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject, Terms
from vna_core.ports.upload import taken_in
from vna_storage_s3.client import S3Client
from vna_storage_s3.listing import by_folders, in_order
from vna_storage_s3.options import S3Options
from vna_storage_s3.probing import Findings, abort_orphans, probed, remove
from vna_storage_s3.terms import AMAZON_TIERS, ARCHIVED, ObjectTerms, tier_of
from vna_storage_s3.writing import DIGEST, ObjectWriter

_FETCH: Final = 8 << 20
"""Octets of one request when an object is streamed: a broken one is repeated, and nobody holds a connection between pieces."""
_LOCKS: Final = 64


class S3Store(Store):
    """Objects of one bucket, below a prefix.

    Raises
    ------
    ConfigurationError
        The bucket cannot do what an option asks for.
    StoreRefused
        The bucket is missing, or refuses us.
    StoreUnavailable
        The service does not answer.
    """

    def __init__(self, name: str, options: S3Options) -> None:
        self.name, self._options, self._prefix = name, options, options.prefix
        try:
            self._customer_key = options.customer_key()
        except ValueError as error:
            raise ConfigurationError(f"Store {name!r}: {error}.", store=name) from error
        self._client = S3Client(name, options)
        try:
            self._findings = probed(self._client, self._prefix, self._customer_key)
            self._check_options(self._findings)
            with contextlib.suppress(StorageError, ConfigurationError):  # listing uploads is a right of its own
                abort_orphans(self._client, self._prefix)
        except VnaError:
            self._client.close()
            raise
        self._writer = ObjectWriter(
            self._client,
            parallel=options.parallel_parts,
            conditional=self._findings.conditional_create,
            checksums=self._findings.checksums,
            customer_key=self._customer_key,
        )
        self._terms = ObjectTerms(
            self._client, options.object_parameters(), self._customer_key, versioned=self._findings.versioned
        )
        # without conditions, at least the threads of this process do not overwrite each other
        self._locks = tuple(threading.Lock() for _ in range(0 if self._findings.conditional_create else _LOCKS))

    @property
    def base_uri(self) -> str:
        """``s3://BUCKET/PREFIX``; none where only this store has the key that the service encrypts with."""
        return "" if self._options.customer_key_file else f"s3://{self._options.bucket}/{self._prefix}"

    def abilities(self) -> Abilities:
        """As probed when the store was opened."""
        amazon = not self._options.endpoint or ".amazonaws.com" in self._options.endpoint
        own = dict.fromkeys(("STANDARD", self._options.storage_class, *self._options.tiers))
        tiers = AMAZON_TIERS if amazon else tuple(filter(None, own))
        return Abilities(
            conditional_create=self._findings.conditional_create,
            local=False,
            durable_create=True,
            checksums=self._findings.checksums,
            tiers=tiers,
            archive_tiers=tuple(one for one in tiers if one in ARCHIVED),
            recall=not ARCHIVED.isdisjoint(tiers),
            object_lock=self._findings.object_lock,
            server_side_copy=self._findings.server_side_copy,
            tags=self._findings.tags,
        )

    # -- writing ----------------------------------------------------------------------------------------------------------

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        options = self._options
        with taken_in(
            self.name, key, content, sha256, part_size=options.part_size, digest_first=True, folder=options.spool
        ) as upload:
            name = self._named(upload.key)
            lock = self._locks[hash(name) % _LOCKS] if self._locks else contextlib.nullcontext()
            with lock:
                return self._writer.write(name, upload, options.object_parameters())

    def delete(self, key: str) -> None:
        """See `Store.delete`. In a bucket that keeps versions, every version goes."""
        name = self._named(checked_key(key, self.name))
        if not self._findings.versioned:
            with contextlib.suppress(ObjectMissing):
                self._client.call("delete_object", name)
            return
        answer = self._client.call("list_object_versions", Prefix=name)
        for version in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
            if version["Key"] == name:
                self._delete_version(name, key, str(version["VersionId"]))

    def _delete_version(self, name: str, key: str, version: str) -> None:
        try:
            self._client.call("delete_object", name, VersionId=version)
        except (ConfigurationError, StoreRefused) as error:
            raise StorageError("The object is locked or may not be deleted.", store=self.name, key=key) from error

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`. Another class is a copy of the object onto itself, made by the service."""
        if terms.tier and terms.tier not in self.abilities().tiers:
            raise StorageError(f"Store {self.name!r} has no tier {terms.tier!r}.", store=self.name, key=key)
        if (terms.locked_until is not None or terms.legal_hold) and not self._findings.object_lock:
            raise StorageError(f"Store {self.name!r}: the bucket was made without object lock.", store=self.name, key=key)
        self._terms.apply(self._named(checked_key(key, self.name)), terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`. The service itself puts a recalled object away after the days."""
        return self._terms.recall(self._named(checked_key(key, self.name)), days)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        name = self._named(checked_key(key, self.name))
        if byte_range is None:
            return bytes(self._client.call("get_object", name, **self._customer_key)["Body"])
        return self._fetch(name, byte_range)[0]

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`. All pieces are of one object: should it be replaced meanwhile, the next request is refused."""
        name = self._named(checked_key(key, self.name))
        if byte_range is not None and byte_range.offset < 0:
            byte_range = byte_range.within(self.stat(key).size)
        offset, end = (byte_range.offset, byte_range.end) if byte_range is not None else (0, None)
        match: dict[str, Any] = {}
        while True:
            wanted = _FETCH if end is None else min(_FETCH, end - offset)
            octets, etag = self._fetch(name, ByteRange(offset, wanted), **match)
            yield from (octets[at : at + CHUNK] for at in range(0, len(octets), CHUNK))
            offset += len(octets)
            if len(octets) < wanted or offset == end:
                return
            match = {"IfMatch": etag} if etag else {}

    def _fetch(self, name: str, byte_range: ByteRange, **conditions: Any) -> tuple[bytes, str]:
        """A range and the ETag of its object; nothing past the end."""
        if byte_range.length <= 0:
            found = self._client.call("head_object", name, **self._customer_key)
            return b"", str(found.get("ETag", ""))
        begin, last = byte_range.offset, byte_range.end - 1
        ranged = f"bytes={begin}" if begin < 0 else f"bytes={begin}-{last}"
        try:
            answer = self._client.call("get_object", name, Range=ranged, **conditions, **self._customer_key)
        except ObjectExists as error:
            raise StoreUnavailable("The object was replaced while it was read; read it again.", store=self.name) from error
        except StorageError as error:
            if _beyond(error):
                return b"", ""
            raise
        octets = bytes(answer["Body"])
        return octets[: byte_range.length], str(answer.get("ETag", ""))

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        name = self._named(checked_key(key, self.name))
        found = self._client.call("head_object", name, **self._customer_key)
        digest = found.get("Metadata", {}).get(DIGEST) or None
        return StoredObject(key, int(found["ContentLength"]), digest, _utc(found.get("LastModified")), tier_of(found))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. The service itself begins after the key, where its order is that of octets."""
        listed = in_order if self._findings.ordered else by_folders
        for found in listed(self._client, self._prefix + prefix, self._prefix + after if after else ""):
            key = str(found["Key"]).removeprefix(self._prefix)
            if not key or key.endswith("/"):  # a folder that somebody made, or that was emptied: no object of ours
                continue
            yield StoredObject(key, int(found["Size"]), None, _utc(found.get("LastModified")))

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """See `Store.probe`. The object of the probe is neither locked nor in a cold tier."""
        name, content = self._named(f"probe/{secrets.token_hex(8)}"), secrets.token_bytes(64)
        self._client.call("put_object", name, Body=content, **self._customer_key)
        try:
            if self._client.call("get_object", name, **self._customer_key)["Body"] != content:
                raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        finally:
            remove(self._client, name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _named(self, key: str) -> str:
        return self._prefix + key

    def _check_options(self, findings: Findings) -> None:
        """An option that the bucket cannot fulfil is refused now, not at the first image."""
        wanted = self._options
        if (wanted.lock or wanted.legal_hold) and not findings.object_lock:
            what = "the bucket was made without object lock, so 'lock' and 'legal_hold' cannot be kept"
        elif wanted.tags and not findings.tags:
            what = "the service keeps no tags, so 'tags' cannot be kept"
        else:
            return
        raise ConfigurationError(f"Store {self.name!r}: {what}.", store=self.name)


def _beyond(error: StorageError) -> bool:
    """Whether the service answered that the range begins past the end."""
    response = getattr(error.__cause__, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if response else None
    return bool(status == 416 or response.get("Error", {}).get("Code") == "InvalidRange")


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment is not None else None
