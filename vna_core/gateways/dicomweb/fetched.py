"""What a retrieval does while a source is in cut-over: what is not here yet is fetched, and the client waits or is asked to come again."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from vna_core.gateways.web.exchange import Exchange
from vna_core.gateways.web.protection import Handler
from vna_core.migration.cutover import CutOver, Fetch, Fetched, Wanted

_LOOK_EVERY: Final = 0.5


class FetchedFirst:
    """A handler of a study, series or instance that is called when everything asked for is here.

    Raises FetchPending (503 with Retry-After) when ``cutover.wait_web`` is over, PeerUnavailable (504) when the source does not
    answer, and FetchIncomplete (502) when it did not deliver everything: a study is never answered for in part as if it were whole.
    Holds no thread while it waits.
    """

    def __init__(self, handler: Handler, cutover: CutOver) -> None:
        self._handler, self._cutover = handler, cutover

    async def __call__(self, exchange: Exchange) -> None:
        if self._cutover.is_active:
            await self._fetch(exchange)
        await self._handler(exchange)

    async def _fetch(self, exchange: Exchange) -> None:
        path = exchange.path_parameters
        wanted = Wanted(
            path["study"],
            frozenset({path["series"]} if "series" in path else ()),
            frozenset({path["instance"]} if "instance" in path else ()),
        )
        settings = self._cutover.settings
        give_up = time.monotonic() + settings.wait_web
        fetches = await exchange.blocking(self._cutover.begin, exchange.catalogue.scope, wanted)
        while fetches:
            found = await exchange.blocking(self._look, fetches)
            left = give_up - time.monotonic()
            if left <= 0 or not any(one.waiting for one in found):
                for one in found:
                    one.check(settings.retry_after)
                return
            await asyncio.sleep(min(_LOOK_EVERY, left))

    def _look(self, fetches: list[Fetch]) -> list[Fetched]:
        return [self._cutover.look(one) for one in fetches]
