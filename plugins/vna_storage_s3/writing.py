"""Writing one object: a single request, or parts that become an object only when all of them are there."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, wait
from io import BytesIO
from typing import Any, Final

from vna_core.domain.errors import DigestMismatch, ObjectExists, ObjectMissing, StorageError, StoreUnavailable, VnaError
from vna_core.ports.storage import StoredObject
from vna_core.ports.upload import Upload
from vna_storage_s3.client import S3Client

DIGEST: Final = "sha256"
WRITER: Final = "vna-write"
"""Metadata: the digest of the whole object, and a token that tells a lost answer of our own from somebody else's object."""


class ObjectWriter:
    """Writes objects that do not exist yet.

    Parameters
    ----------
    parallel
        Parts on their way at once.
    conditional
        The service honours If-None-Match; otherwise it was looked before, and is looked again before completion.
    checksums
        The service refuses damaged octets; otherwise what was written is read back.
    customer_key
        Parameters of SSE-C, sent with every request on octets.
    """

    def __init__(
        self, client: S3Client, *, parallel: int, conditional: bool, checksums: bool, customer_key: Mapping[str, str]
    ) -> None:
        self._client, self._parallel = client, parallel
        self._condition = {"IfNoneMatch": "*"} if conditional else {}
        self._checksums, self._customer_key = checksums, customer_key

    def write(self, name: str, upload: Upload, parameters: Mapping[str, Any]) -> StoredObject:
        """Write it as object `name` of the bucket. Raises as `Store.create`."""
        token = secrets.token_hex(16)
        parameters = {**parameters, "Metadata": {DIGEST: upload.sha256, WRITER: token}, **self._customer_key}
        self._refuse_taken(name, upload.key)
        try:
            if upload.small is not None:
                self._put(name, upload, parameters)
            else:
                self._send_parts(name, upload, parameters)
        except (ObjectExists, ObjectMissing, StoreUnavailable) as error:
            self._settle(name, upload.key, token, error)
        size, digest = upload.passed()
        if not self._checksums:
            self._read_back(name, size, digest)
        return StoredObject(upload.key, size, digest)

    def _put(self, name: str, upload: Upload, parameters: Mapping[str, Any]) -> None:
        body = BytesIO(upload.small or b"")  # handed over as octets it would be copied once more
        checksum = base64.b64encode(bytes.fromhex(upload.sha256)).decode()
        self._client.call("put_object", name, Body=body, ChecksumSHA256=checksum, **self._condition, **parameters)

    def _send_parts(self, name: str, upload: Upload, parameters: Mapping[str, Any]) -> None:
        """Every part with its digest; on any failure the upload is aborted, so that nothing is left or paid for."""
        client = self._client
        begun = client.call("create_multipart_upload", name, ChecksumAlgorithm="SHA256", **parameters)
        upload_id = begun["UploadId"]
        pending: deque[tuple[dict[str, Any], Future[dict[str, Any]]]] = deque()
        parts: list[dict[str, Any]] = []
        try:
            for number, body in enumerate(upload.parts, 1):
                if len(pending) >= self._parallel:
                    parts.append(self._arrived(*pending.popleft(), name))
                checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
                part = {"PartNumber": number, "ChecksumSHA256": checksum}
                request = {**part, "UploadId": upload_id, "Body": BytesIO(body), **self._customer_key}
                pending.append((part, client.start("upload_part", name, **request)))
            while pending:
                parts.append(self._arrived(*pending.popleft(), name))
            upload.passed()
            self._refuse_taken(name, upload.key)
            listed = {"Parts": parts}
            client.call("complete_multipart_upload", name, UploadId=upload_id, MultipartUpload=listed, **self._condition)
        except BaseException:
            for _, future in pending:
                future.cancel()
            wait([future for _, future in pending], 60)
            self._abort(name, upload_id)
            raise

    def _arrived(self, part: dict[str, Any], future: Future[dict[str, Any]], name: str) -> dict[str, Any]:
        answer = self._client.result(future, name)
        if answer.get("ChecksumSHA256", part["ChecksumSHA256"]) != part["ChecksumSHA256"]:
            raise DigestMismatch("A part was damaged on its way to the store; nothing was stored.", store=self._client.name)
        return {**part, "ETag": answer["ETag"]} if self._checksums else {"PartNumber": part["PartNumber"], "ETag": answer["ETag"]}

    def _abort(self, name: str, upload_id: str) -> None:
        try:
            self._client.call("abort_multipart_upload", name, UploadId=upload_id)
        except VnaError:  # what is left is found and aborted when the store is opened a day later
            return

    def _refuse_taken(self, name: str, key: str) -> None:
        """Where the service ignores conditions, looking is the best there is."""
        if self._condition:
            return
        try:
            self._client.call("head_object", name, **self._customer_key)
        except ObjectMissing:
            return
        raise ObjectExists("The key exists already; nothing was written.", store=self._client.name, key=key)

    def _settle(self, name: str, key: str, token: str, error: VnaError) -> None:
        """Return when the object is ours after all: the answer to an earlier try of this very write was lost on its way."""
        try:
            found = self._client.call("head_object", name, **self._customer_key)
        except VnaError:
            found = {}
        if found.get("Metadata", {}).get(WRITER) == token:
            return
        if found or isinstance(error, ObjectExists):  # of two writers at once, one may hear 409 instead of 412
            raise ObjectExists("The key exists already; nothing was written.", store=self._client.name, key=key) from error
        if isinstance(error, ObjectMissing):
            raise StoreUnavailable(f"Store {self._client.name!r} lost an upload; try again.", store=self._client.name) from error
        raise error

    def _read_back(self, name: str, size: int, digest: str) -> None:
        found, at = hashlib.sha256(), 0
        while at < size:
            piece = self._client.call("get_object", name, Range=f"bytes={at}-{at + (8 << 20) - 1}", **self._customer_key)["Body"]
            found.update(piece)
            at += len(piece)
            if not piece:
                break
        if found.hexdigest() != digest:
            self._client.call("delete_object", name)
            raise StorageError(f"Store {self._client.name!r} gave back other octets; the object was removed.", key=name)
