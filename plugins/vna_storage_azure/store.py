"""The store itself: keys below a prefix of one container."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog
from azure.core import MatchConditions
from azure.storage.blob import BlobProperties

from vna_core.domain.errors import (
    ConfigurationError,
    InvalidRequest,
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
from vna_storage_azure.client import AzureClient
from vna_storage_azure.options import AzureOptions
from vna_storage_azure.terms import ARCHIVED, TIERS, ObjectTerms
from vna_storage_azure.writing import DIGEST, ObjectWriter

_FETCH: Final = 8 << 20
"""Octets of one request when an object is streamed: a broken one is repeated, and nobody holds a connection between pieces."""

_log = structlog.get_logger(__name__)


class AzureStore(Store):
    """Objects of one container, below a prefix.

    Raises
    ------
    ConfigurationError
        The service cannot do what an option asks for.
    StoreRefused
        The container is missing, or refuses us.
    StoreUnavailable
        The service does not answer.
    """

    def __init__(self, name: str, options: AzureOptions) -> None:
        self.name, self._options, self._prefix = name, options, options.prefix
        self._client = AzureClient(name, options)
        self._writer = ObjectWriter(self._client, options)
        try:
            self._abilities = self._probed()
        except VnaError:
            self._client.close()
            raise
        self._terms = ObjectTerms(self._client, self._abilities.object_lock)

    def abilities(self) -> Abilities:
        """As probed when the store was opened."""
        return self._abilities

    # -- writing ----------------------------------------------------------------------------------------------------------

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        options = self._options
        with taken_in(
            self.name, key, content, sha256, part_size=options.part_size, digest_first=False, folder=options.spool
        ) as upload:
            return self._writer.write(self._named(upload.key), upload)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._remove(self._named(checked_key(key, self.name)))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(ObjectMissing):
            self._client.call(self._client.blob(name).delete_blob(delete_snapshots="include", **self._client.retries), name)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self._terms.apply(self._named(checked_key(key, self.name)), terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`. A recalled blob is in the Hot tier until it is moved again."""
        return self._terms.recall(self._named(checked_key(key, self.name)), days)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        if byte_range is not None and byte_range.length <= _FETCH:
            name = self._named(checked_key(key, self.name))
            return self._fetch(name, self._from_start(key, byte_range))[0]
        return b"".join(self.chunks(key, byte_range))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`. All pieces are of one object: should it be replaced meanwhile, the next request is refused."""
        name = self._named(checked_key(key, self.name))
        if byte_range is not None:
            byte_range = self._from_start(key, byte_range)
        offset, end = (byte_range.offset, byte_range.end) if byte_range is not None else (0, None)
        match: dict[str, Any] = {}
        while True:
            wanted = _FETCH if end is None else min(_FETCH, end - offset)
            octets, etag = self._fetch(name, ByteRange(offset, wanted), **match)
            yield from (octets[at : at + CHUNK] for at in range(0, len(octets), CHUNK))
            offset += len(octets)
            if len(octets) < wanted or offset == end:
                return
            match = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}

    def _from_start(self, key: str, byte_range: ByteRange) -> ByteRange:
        """The service knows no ranges from the end, so the size is asked for first."""
        if byte_range.offset >= 0:
            return byte_range
        return byte_range.within(self.stat(key).size)

    def _fetch(self, name: str, byte_range: ByteRange, **conditions: Any) -> tuple[bytes, str]:
        """A range and the ETag of its object; nothing past the end."""
        blob, client = self._client.blob(name), self._client
        if byte_range.length <= 0:
            found = client.call(blob.get_blob_properties(**client.retries), name)
            return b"", str(found.etag)

        async def download() -> tuple[bytes, str]:
            stream = await blob.download_blob(
                offset=byte_range.offset, length=byte_range.length, max_concurrency=1, **conditions, **client.retries
            )
            return await stream.readall(), str(stream.properties.etag)

        try:
            return client.call(download(), name)
        except ObjectExists as error:
            raise StoreUnavailable("The object was replaced while it was read; read it again.", store=self.name) from error
        except StorageError as error:
            if getattr(error.__cause__, "status_code", 0) == 416:
                return b"", ""
            raise

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        name = self._named(checked_key(key, self.name))
        found = self._client.call(self._client.blob(name).get_blob_properties(**self._client.retries), name)
        digest = (found.metadata or {}).get(DIGEST)
        return StoredObject(key, int(found.size), digest, found.last_modified, str(found.blob_tier or ""))

    async def _page(self, prefix: str, marker: str | None) -> tuple[Sequence[BlobProperties], str | None]:
        listing = self._client.container.list_blobs(name_starts_with=prefix or None, **self._client.retries)
        pages = listing.by_page(continuation_token=marker)
        async for page in pages:
            return [found async for found in page], pages.continuation_token
        return [], None

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. Pages are asked for by the service's own marker; it cannot begin after a key, so what lies before is skipped."""
        marker: str | None = None
        while True:
            page, marker = self._client.call(self._page(self._prefix + prefix, marker))
            for found in page:
                key = str(found.name).removeprefix(self._prefix)
                if key > after and not key.endswith("/"):  # a folder that somebody made is no object of ours
                    yield StoredObject(key, int(found.size), None, found.last_modified)
            if not marker:
                return

    # -- the rest ---------------------------------------------------------------------------------------------------------

    def probe(self) -> None:
        """See `Store.probe`. The object of the probe is neither locked nor in a cold tier."""
        name, content = self._named(f"probe/{secrets.token_hex(8)}"), secrets.token_bytes(64)
        self._put_plain(name, content)
        try:
            if self._fetch(name, ByteRange(0, len(content)))[0] != content:
                raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        finally:
            self._remove(name)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _named(self, key: str) -> str:
        if "\\" in key or key.endswith(".") or "./" in key:  # the service would take another name for it
            raise InvalidRequest("Azure takes no backslash, and no dot at the end of a segment.", store=self.name)
        return self._prefix + key

    def _put_plain(self, name: str, content: bytes) -> None:
        request = self._client.blob(name).upload_blob(
            content, length=len(content), overwrite=False, validate_content=True, **self._client.retries
        )
        self._client.call(request, name)

    def _probed(self) -> Abilities:
        """Try once what the service may not do."""
        name = self._named(f"probe/{secrets.token_hex(8)}")
        try:
            self._put_plain(name, b"probe")
        except ObjectMissing as error:
            message = f"Store {self.name!r}: container {self._client.container_name!r} does not exist; create it first."
            raise StoreRefused(message, store=self.name) from error
        try:
            conditional, tags = self._refuses_second(name), self._keeps_tags(name)
            copies = self._copies(name)
        finally:
            self._remove(name)
        if not conditional:
            _log.warning(
                "store-overwrites", store=self.name, consequence="two writers at once may overwrite each other; unfit for landing"
            )
        if self._options.tags and not tags:
            raise ConfigurationError(
                f"Store {self.name!r}: the service keeps no tags, so 'tags' cannot be kept.", store=self.name
            )
        return Abilities(
            conditional_create=conditional,
            local=False,
            durable_create=True,
            checksums=True,
            tiers=TIERS,
            archive_tiers=(ARCHIVED,),
            recall=True,
            object_lock=self._locks(),
            server_side_copy=copies,
            tags=tags,
        )

    def _refuses_second(self, name: str) -> bool:
        try:
            self._put_plain(name, b"second")
        except ObjectExists:
            return True
        return False

    def _keeps_tags(self, name: str) -> bool:
        blob, client = self._client.blob(name), self._client
        try:
            client.call(blob.set_blob_tags({"probe": "yes"}, **client.retries), name)
            return bool(client.call(blob.get_blob_tags(**client.retries), name) == {"probe": "yes"})
        except StorageError:
            return False

    def _copies(self, name: str) -> bool:
        source, copy, client = self._client.blob(name), f"{name}-copy", self._client
        try:
            client.call(client.blob(copy).start_copy_from_url(source.url, **client.retries), name)
        except StorageError:
            return False
        self._remove(copy)
        return True

    def _locks(self) -> bool:
        """Whether the container was made for immutability of single objects."""
        try:
            properties = self._client.call(self._client.container.get_container_properties(**self._client.retries))
        except (StorageError, InvalidRequest):
            return False
        return bool(getattr(properties, "immutable_storage_with_versioning_enabled", False))
