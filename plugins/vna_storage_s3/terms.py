"""Storage classes, locks, legal holds, and the recall of archived objects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from vna_core.domain.errors import ConfigurationError, StorageError, StoreRefused, VnaError
from vna_core.ports.storage import Terms
from vna_storage_s3.client import S3Client

AMAZON_TIERS: Final = ("STANDARD", "INTELLIGENT_TIERING", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
ARCHIVED: Final = frozenset(("GLACIER", "DEEP_ARCHIVE"))
_AT_ONCE: Final = 5 << 30
"""Octets that one request copies; larger objects are copied in parts."""
_PART: Final = 1 << 30


class ObjectTerms:
    """Changes how objects of one bucket are kept.

    Parameters
    ----------
    parameters
        Of a new object: encryption, tags. Its storage class and lock come from the terms.
    customer_key
        Parameters of SSE-C.
    """

    def __init__(
        self, client: S3Client, parameters: Mapping[str, Any], customer_key: Mapping[str, Any], *, versioned: bool
    ) -> None:
        self._client, self._customer_key, self._versioned = client, customer_key, versioned
        left_out = ("StorageClass", "Tagging", "ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus")
        self._parameters = {name: value for name, value in parameters.items() if name not in left_out}

    def apply(self, name: str, terms: Terms) -> None:
        """Bring object `name` of the bucket to these terms. Raises as `Store.adjust`."""
        found = self._client.call("head_object", name, **self._customer_key)
        if terms.tier and terms.tier != tier_of(found):
            self._move(name, terms.tier, found)
        if terms.locked_until is not None:
            self._lock(name, terms.locked_until, terms.compliance, found)
        if terms.legal_hold is not None:
            status = "ON" if terms.legal_hold else "OFF"
            self._refusable("put_object_legal_hold", name, LegalHold={"Status": status})

    def recall(self, name: str, days: int) -> bool:
        """Begin to restore an archived object for some days; whether it can be read."""
        found = self._client.call("head_object", name, **self._customer_key)
        if tier_of(found) not in ARCHIVED:
            return True
        restore = str(found.get("Restore", ""))
        if not restore:
            self._refusable("restore_object", name, RestoreRequest={"Days": max(1, days)})
            restore = str(self._client.call("head_object", name, **self._customer_key).get("Restore", ""))
        return 'ongoing-request="false"' in restore

    def _move(self, name: str, tier: str, found: Mapping[str, Any]) -> None:
        """Copy the object onto itself in another class; no octet travels. Its lock goes with it."""
        parameters: dict[str, Any] = {**self._parameters, "StorageClass": tier}
        if found.get("ObjectLockMode"):
            parameters["ObjectLockMode"] = found["ObjectLockMode"]
            parameters["ObjectLockRetainUntilDate"] = found["ObjectLockRetainUntilDate"]
        if found.get("ObjectLockLegalHoldStatus") == "ON":
            parameters["ObjectLockLegalHoldStatus"] = "ON"
        source = {"Bucket": self._client.bucket, "Key": name}
        keys = {**self._customer_key, **{f"CopySource{key}": value for key, value in self._customer_key.items()}}
        if int(found["ContentLength"]) > _AT_ONCE:
            self._move_in_parts(name, found, parameters, source)
        else:
            given = {"MetadataDirective": "COPY", "TaggingDirective": "COPY", "CopySourceIfMatch": found["ETag"]}
            self._client.call("copy_object", name, CopySource=source, **given, **parameters, **keys)
        version = found.get("VersionId")
        if self._versioned and version not in (None, "null"):
            self._remove_version(name, str(version))

    def _move_in_parts(
        self, name: str, found: Mapping[str, Any], parameters: Mapping[str, Any], source: Mapping[str, str]
    ) -> None:
        client, customer_key = self._client, self._customer_key
        keys = {**customer_key, **{f"CopySource{key}": value for key, value in customer_key.items()}}
        metadata = {"Metadata": dict(found.get("Metadata", {}))}
        upload = client.call("create_multipart_upload", name, **metadata, **parameters, **customer_key)["UploadId"]
        size, parts = int(found["ContentLength"]), []
        try:
            for number, at in enumerate(range(0, size, _PART), 1):
                given = {
                    "PartNumber": number,
                    "UploadId": upload,
                    "CopySource": source,
                    "CopySourceIfMatch": found["ETag"],
                    "CopySourceRange": f"bytes={at}-{min(size, at + _PART) - 1}",
                }
                answer = client.call("upload_part_copy", name, **given, **keys)
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            client.call("complete_multipart_upload", name, UploadId=upload, MultipartUpload={"Parts": parts}, **customer_key)
        except VnaError:
            client.call("abort_multipart_upload", name, UploadId=upload)
            raise

    def _remove_version(self, name: str, version: str) -> None:
        """The version in the class before. One that is locked stays until its lock ends, and so does what it costs."""
        try:
            self._client.call("delete_object", name, VersionId=version)
        except StoreRefused:
            return
        except (ConfigurationError, StorageError) as error:
            if error.transient:
                raise

    def _lock(self, name: str, until: datetime, compliance: bool, found: Mapping[str, Any]) -> None:
        held = found.get("ObjectLockRetainUntilDate")
        wanted = until.astimezone(UTC).replace(microsecond=0)
        mode = "COMPLIANCE" if compliance or found.get("ObjectLockMode") == "COMPLIANCE" else "GOVERNANCE"
        if held is not None and held >= wanted and found.get("ObjectLockMode") == mode:
            return
        retain = {"Mode": mode, "RetainUntilDate": max(wanted, held) if held is not None else wanted}
        self._refusable("put_object_retention", name, Retention=retain)

    def _refusable(self, operation: str, name: str, **parameters: Any) -> None:
        """A request on one object that a bucket or a user's rights may not allow."""
        try:
            self._client.call(operation, name, **parameters)
        except (ConfigurationError, StoreRefused) as error:
            raise StorageError(f"Store {self._client.name!r} does not allow {operation}.", store=self._client.name) from error


def tier_of(found: Mapping[str, Any]) -> str:
    """The storage class in the answer to a question about an object; services leave the standard one out."""
    return str(found.get("StorageClass") or "STANDARD")
