"""What a bucket can really do: asked of the bucket itself, with small objects that are removed again."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from vna_core.domain.errors import (
    ConfigurationError,
    ObjectExists,
    ObjectMissing,
    StorageError,
    StoreRefused,
    StoreUnavailable,
    VnaError,
)
from vna_storage_s3.client import S3Client

ORPHANED_AFTER: Final = timedelta(days=1)
_CONTENT: Final = b"probe"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a bucket."""

    conditional_create: bool
    checksums: bool
    ordered: bool
    versioned: bool
    object_lock: bool
    server_side_copy: bool
    tags: bool


def probed(client: S3Client, prefix: str, customer_key: Mapping[str, Any]) -> Findings:
    """Try everything once.

    Raises
    ------
    ConfigurationError
        It ignores the customer key.
    StoreRefused
        The bucket is missing or refuses us.
    StoreUnavailable
        It does not answer.
    """
    try:
        client.call("head_bucket")
    except ObjectMissing as error:
        message = f"Store {client.name!r}: bucket {client.bucket!r} does not exist; create it first."
        raise StoreRefused(message, store=client.name) from error
    name = f"{prefix}probe/{secrets.token_hex(8)}"
    copy = f"{name}-copy"
    try:
        client.call("put_object", name, Body=_CONTENT, IfNoneMatch="*", **customer_key)
        _check_customer_key(client, name, customer_key)
        findings = Findings(
            conditional_create=_refuses_second(client, name, customer_key),
            checksums=_refuses_damage(client, name, customer_key),
            ordered=_orders_octets(client, name, customer_key),
            versioned=_versioned(client),
            object_lock=_locks(client),
            server_side_copy=_copies(client, name, copy, customer_key),
            tags=_tags(client, name),
        )
    finally:
        remove(client, name)
        remove(client, copy)
    _warn(client.name, findings)
    return findings


def abort_orphans(client: S3Client, prefix: str) -> int:
    """Abort uploads in parts that nobody completed for a day; how many. Their parts cost money and are visible nowhere."""
    aborted = 0
    for upload in orphans(client, prefix):
        client.call("abort_multipart_upload", upload["Key"], UploadId=upload["UploadId"])
        _log.warning("orphaned-upload-aborted", store=client.name, key=upload["Key"])
        aborted += 1
    return aborted


def orphans(client: S3Client, prefix: str) -> Iterator[dict[str, Any]]:
    """Uploads in parts below `prefix` begun more than a day ago."""
    before = datetime.now(UTC) - ORPHANED_AFTER
    marker: dict[str, Any] = {}
    while True:
        page = client.call("list_multipart_uploads", Prefix=prefix, **marker)
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] < before and upload["Key"].startswith(prefix):
                yield upload
        if not page.get("IsTruncated"):
            return
        marker = {"KeyMarker": page.get("NextKeyMarker", ""), "UploadIdMarker": page.get("NextUploadIdMarker", "")}


def remove(client: S3Client, name: str) -> None:
    """Delete a probe object, every version of it."""
    with contextlib.suppress(StorageError, ConfigurationError):
        answer = client.call("list_object_versions", Prefix=name)
        for version in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
            if version["Key"] == name and version.get("VersionId", "null") != "null":
                client.call("delete_object", name, VersionId=version["VersionId"])
    with contextlib.suppress(StorageError, ConfigurationError):
        found = client.call("list_objects_v2", Prefix=name, MaxKeys=2).get("Contents", ())
        if any(one["Key"] == name for one in found):  # deleting once more would leave a marker in a versioned bucket
            client.call("delete_object", name)


def _refuses_second(client: S3Client, name: str, customer_key: Mapping[str, Any]) -> bool:
    """Both ways of creating must be refused: services exist that know only one."""
    try:
        client.call("put_object", name, Body=_CONTENT, IfNoneMatch="*", **customer_key)
    except ObjectExists:
        return _refuses_second_in_parts(client, name, customer_key)
    except StoreUnavailable:
        raise
    except StorageError:
        return False
    return False


def _refuses_second_in_parts(client: S3Client, name: str, customer_key: Mapping[str, Any]) -> bool:
    upload_id = client.call("create_multipart_upload", name, **customer_key)["UploadId"]
    refused = False
    try:
        part = client.call("upload_part", name, PartNumber=1, UploadId=upload_id, Body=_CONTENT, **customer_key)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.call("complete_multipart_upload", name, UploadId=upload_id, MultipartUpload=parts, IfNoneMatch="*")
    except ObjectExists:
        refused = True
    except StoreUnavailable:
        raise
    except StorageError:
        refused = False
    with contextlib.suppress(StorageError):
        client.call("abort_multipart_upload", name, UploadId=upload_id)
    return refused


def _refuses_damage(client: S3Client, name: str, customer_key: Mapping[str, Any]) -> bool:
    wrong = base64.b64encode(hashlib.sha256(b"something else").digest()).decode()
    try:
        client.call("put_object", name, Body=_CONTENT, ChecksumSHA256=wrong, **customer_key)
    except StoreUnavailable:
        raise
    except StorageError:
        return True
    return False


def _orders_octets(client: S3Client, name: str, customer_key: Mapping[str, Any]) -> bool:
    inside, beside = f"{name}-order/a/b", f"{name}-order/a!"
    try:
        for one in (inside, beside):
            client.call("put_object", one, Body=b"", **customer_key)
        listed = client.call("list_objects_v2", Prefix=f"{name}-order/").get("Contents", ())
        return [one["Key"] for one in listed] == [beside, inside]
    finally:
        remove(client, inside)
        remove(client, beside)


def _check_customer_key(client: S3Client, name: str, customer_key: Mapping[str, Any]) -> None:
    if not customer_key:
        return
    try:
        client.call("get_object", name)
    except StoreRefused:
        return
    except StoreUnavailable:
        raise
    except VnaError:
        return
    raise ConfigurationError(
        f"Store {client.name!r} gives out an object without the customer key: it ignores encryption.", store=client.name
    )


def _versioned(client: S3Client) -> bool:
    try:
        return client.call("get_bucket_versioning").get("Status") in ("Enabled", "Suspended")
    except (StorageError, ConfigurationError):
        return False


def _locks(client: S3Client) -> bool:
    try:
        configuration = client.call("get_object_lock_configuration").get("ObjectLockConfiguration", {})
    except (StorageError, ConfigurationError):
        return False
    return bool(configuration.get("ObjectLockEnabled") == "Enabled")


def _copies(client: S3Client, name: str, copy: str, customer_key: Mapping[str, Any]) -> bool:
    source = {f"CopySource{parameter}": value for parameter, value in customer_key.items()}
    try:
        client.call("copy_object", copy, CopySource={"Bucket": client.bucket, "Key": name}, **customer_key, **source)
    except (StorageError, ConfigurationError):
        return False
    return True


def _tags(client: S3Client, name: str) -> bool:
    try:
        client.call("put_object_tagging", name, Tagging={"TagSet": [{"Key": "probe", "Value": "yes"}]})
        found = client.call("get_object_tagging", name).get("TagSet", ())
    except (StorageError, ConfigurationError):
        return False
    return {"Key": "probe", "Value": "yes"} in found


def _warn(store: str, findings: Findings) -> None:
    if not findings.conditional_create:
        _log.warning(
            "store-overwrites",
            store=store,
            consequence="the service ignores If-None-Match: two writers at once may overwrite each other; unfit for landing",
        )
    if not findings.checksums:
        _log.warning("store-ignores-checksums", store=store, consequence="every object is read back after it was written")
