"""What a request of the federated Studies Service is about is brought from the members that hold it, before it is answered."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vna_core.domain.errors import NotFound, PeerError
from vna_core.federation.bringing import Retrieval, Takes, Wants, everything
from vna_core.federation.federation import Federation
from vna_core.federation.members import VIA
from vna_core.gateways.dicomweb.warning_field import warn
from vna_core.gateways.web.exchange import Exchange
from vna_core.gateways.web.protection import Handler


def asked_by_federation(exchange: Exchange) -> bool:
    """Whether a question was passed on already: it is not passed on again, so that it does not go in circles."""
    return VIA in (exchange.header(b"via") or "")


class Brought:
    """A handler of the Studies Service, before which what it is about is brought from the members that hold it."""

    def __init__(self, federation: Federation, handler: Handler) -> None:
        self._federation = federation
        self._handler = handler

    async def __call__(self, exchange: Exchange) -> None:
        retrieval = await exchange.blocking(self._brought, exchange)
        note_missing(exchange, retrieval, retrieval.warnings)
        exchange.look_through(retrieval.view)
        await self._handler(exchange)

    def _brought(self, exchange: Exchange) -> Retrieval:
        retrieval = self._begin(exchange)
        self._bring(retrieval)
        refuse_nothing(retrieval)
        return retrieval

    def _bring(self, retrieval: Retrieval) -> None:
        for _ in self._federation.bringing.instances(retrieval):
            continue

    def _begin(
        self, exchange: Exchange, takes: Takes | None = None, wants: Wants = everything, *, ahead: bool = True
    ) -> Retrieval:
        path = exchange.path_parameters
        sops = (path["instance"],) if "instance" in path else ()
        return self._federation.bringing.begin(
            exchange.permit,
            path["study"],
            path.get("series"),
            sops,
            takes=takes,
            wants=wants,
            ahead=ahead,
            local_only=asked_by_federation(exchange),
        )


def refuse_nothing(retrieval: Retrieval) -> None:
    """Raises NotFound when nobody holds what is asked for, PeerError when nobody delivered any of it."""
    if not retrieval.outcome.got:
        if retrieval.outcome.wanted or retrieval.silent:
            raise PeerError(" ".join(retrieval.warnings), members=[one.name for one in retrieval.silent])
        raise NotFound("No member holds anything under these UIDs.")


def note_missing(exchange: Exchange, retrieval: Retrieval, sentences: Sequence[str]) -> None:
    """Say in the answer's head what is known to be missing when it goes out."""
    reports = [report.as_dict() for report in retrieval.located.reports]
    exchange.extra_headers["VNA-Members"] = json.dumps(reports, separators=(",", ":"))
    warn(exchange, sentences)
