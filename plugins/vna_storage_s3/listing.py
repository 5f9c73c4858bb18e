"""Listing in the order of octets, also from services that keep folders.

Such a service lists everything below ``a/`` before ``a!``, and begins after a key in that order too: a listing resumed by key would
leave out objects. UIDs meet this all the time (``1.2/...`` and ``1.2.3/...``). There, small folders are sorted here, and large ones are
walked level by level, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vna_storage_s3.client import S3Client

FOLDER: Final = 10_000
"""Objects that are sorted here at most."""


def in_order(client: S3Client, prefix: str, start: str) -> Iterator[dict[str, Any]]:
    """Objects whose name begins with `prefix` and sorts after `start`, as the service orders them: for services that do it right."""
    while True:
        begin = {"StartAfter": start} if start else {}
        page = client.call("list_objects_v2", Prefix=prefix, **begin)
        for found in page.get("Contents", ()):
            start = str(found["Key"])
            yield found
        if not page.get("IsTruncated"):
            return


def by_folders(client: S3Client, prefix: str, start: str) -> Iterator[dict[str, Any]]:
    """The same from a service that orders by folders."""
    names: dict[str, dict[str, Any] | None] = {}
    for page in _pages(client, Prefix=prefix, Delimiter="/"):
        names.update((str(one["Prefix"]), None) for one in page.get("CommonPrefixes", ()))
        names.update((str(one["Key"]), one) for one in page.get("Contents", ()))
    for name, found in sorted(names.items()):
        if found is not None:
            if name > start and name.startswith(prefix):
                yield found
        elif name > start or start.startswith(name):
            yield from _below(client, name, start)


def _below(client: S3Client, folder: str, start: str) -> Iterator[dict[str, Any]]:
    small: list[dict[str, Any]] = []
    for page in _pages(client, Prefix=folder):
        small += page.get("Contents", ())
        if len(small) > FOLDER:
            yield from by_folders(client, folder, start)
            return
    yield from sorted((one for one in small if str(one["Key"]) > start), key=lambda one: str(one["Key"]))


def _pages(client: S3Client, **parameters: Any) -> Iterator[dict[str, Any]]:
    following: dict[str, Any] = {}
    while True:
        page = client.call("list_objects_v2", **parameters, **following)
        yield page
        if not page.get("IsTruncated"):
            return
        following = {"ContinuationToken": page["NextContinuationToken"]}
