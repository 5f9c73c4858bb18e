"""Writing one object: a single request, or blocks that become an object when their list is committed.

Blocks that nobody commits are removed by the service after a week, and are no object before.
"""

from __future__ import annotations

import base64
import secrets
from collections import deque
from concurrent.futures import Future, wait
from typing import Any, Final

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, ImmutabilityPolicy, StandardBlobTier

from vna_core.domain.errors import ObjectExists, ObjectMissing, StorageError, StoreUnavailable, VnaError
from vna_core.ports.storage import StoredObject
from vna_core.ports.upload import Upload
from vna_storage_azure.client import AzureClient, error_code
from vna_storage_azure.options import AzureOptions

DIGEST: Final = "sha256"
WRITER: Final = "vna_write"
"""Metadata: the digest of the whole object, and a token that tells a lost answer of our own from somebody else's object."""


class ObjectWriter:
    """Writes objects that do not exist yet. Every request carries an MD5 that the service checks."""

    def __init__(self, client: AzureClient, options: AzureOptions) -> None:
        self._client, self._options = client, options
        self._scope = {"encryption_scope": options.encryption_scope} if options.encryption_scope else {}

    def write(self, name: str, upload: Upload) -> StoredObject:
        """Write it as object `name` of the container. Raises as `Store.create`."""
        token = secrets.token_hex(16)
        try:
            if upload.small is None or not self._put(name, bytes(upload.small), {DIGEST: upload.sha256, WRITER: token}):
                self._send_blocks(name, upload, token)
        except (ObjectExists, ObjectMissing, StoreUnavailable) as error:
            self._settle(name, upload.key, token, error)
        except StorageError as error:
            if error_code(error.__cause__) not in ("InvalidBlockList", "InvalidBlobOrBlock", "InvalidBlobType"):
                raise
            self._settle(name, upload.key, token, error)  # another writer's commit threw our blocks away
        size, digest = upload.passed()
        return StoredObject(upload.key, size, digest)

    def _put(self, name: str, octets: bytes, metadata: dict[str, str]) -> bool:
        """False when the key is taken by nothing but blocks that an earlier writer never committed."""
        client, blob = self._client, self._client.blob(name)
        request = blob.upload_blob(
            octets,
            length=len(octets),
            overwrite=False,
            metadata=metadata,
            validate_content=True,
            max_concurrency=1,
            **self._object_parameters(),
            **client.retries,
        )
        try:
            client.call(request, name)
        except ObjectExists:
            try:
                client.call(blob.get_blob_properties(**client.retries), name)
            except ObjectMissing:
                return False
            raise
        return True

    def _send_blocks(self, name: str, upload: Upload, token: str) -> None:
        client, blob = self._client, self._client.blob(name)
        pending: deque[Future[Any]] = deque()
        blocks: list[BlobBlock] = []
        try:
            for number, body in enumerate(filter(None, upload.parts)):
                if len(pending) >= self._options.parallel_parts:
                    client.result(pending.popleft(), name)
                # blocks of two writers of one key must not be mistaken for each other
                block = base64.b64encode(f"{token}-{number:06}".encode()).decode()
                blocks.append(BlobBlock(block_id=block))
                request = blob.stage_block(
                    block, bytes(body), length=len(body), validate_content=True, **self._scope, **client.retries
                )
                pending.append(client.start(request))
            while pending:
                client.result(pending.popleft(), name)
        except BaseException:
            for future in pending:
                future.cancel()
            wait(pending, 60)
            raise
        _, digest = upload.passed()
        commit = blob.commit_block_list(
            blocks,
            metadata={DIGEST: digest, WRITER: token},
            validate_content=True,
            match_condition=MatchConditions.IfMissing,
            **self._object_parameters(),
            **client.retries,
        )
        client.call(commit, name)

    def _object_parameters(self) -> dict[str, Any]:
        options = self._options
        parameters: dict[str, Any] = dict(self._scope)
        if options.tier:
            parameters["standard_blob_tier"] = StandardBlobTier(options.tier)
        if options.tags:
            parameters["tags"] = dict(options.tags)
        until = options.locked_until()
        if until is not None:
            parameters["immutability_policy"] = ImmutabilityPolicy(expiry_time=until, policy_mode=options.lock)
        if options.legal_hold:
            parameters["legal_hold"] = True
        return parameters

    def _settle(self, name: str, key: str, token: str, error: VnaError) -> None:
        """Return when the object is ours after all: the answer to an earlier try of this very write was lost on its way."""
        client = self._client
        try:
            found = client.call(client.blob(name).get_blob_properties(**client.retries), name)
        except StorageError:
            found = None
        if found is not None and (found.metadata or {}).get(WRITER) == token:
            return
        if found is not None or isinstance(error, ObjectExists):
            raise ObjectExists("The key exists already; nothing was written.", store=client.name, key=key) from error
        if isinstance(error, StoreUnavailable):
            raise error
        raise StoreUnavailable(f"Store {client.name!r} lost an upload; try again.", store=client.name) from error
