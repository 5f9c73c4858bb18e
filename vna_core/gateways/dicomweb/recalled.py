"""What a retrieval does when images are in an archive tier: their study is recalled, and the client waits or is asked to come again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from vna_core.access.view import CatalogueView
from vna_core.domain.errors import RecallPending
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.held import held_under

_LOOK_EVERY: Final = 1.0

T = TypeVar("T")


def readable_under(archive: WebArchive, catalogue: CatalogueView, path: Mapping[str, Any]) -> list[HeldInstance]:
    """What `held_under` finds, all of which can be read. Raises NotFound, InvalidRequest, RecallPending."""
    found = held_under(catalogue, path)
    archive.availability.ensure(found)
    return found


async def when_recalled(archive: WebArchive, call: Callable[[], Awaitable[T]]) -> T:
    """The result of a call, tried again while its images are being recalled. Holds no thread while it waits.

    Raises RecallPending when ``placement.recall.wait_web`` is over, which is answered with 503 and Retry-After.
    """
    give_up = time.monotonic() + archive.availability.settings.wait_web
    while True:
        try:
            return await call()
        except RecallPending:
            left = give_up - time.monotonic()
            if left <= 0:
                raise
        await asyncio.sleep(min(_LOOK_EVERY, left))
