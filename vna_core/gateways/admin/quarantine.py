"""``/api/v1/quarantine``: what could not be archived, why, and its octets."""

from __future__ import annotations

from typing import Any

from vna_core.catalogue import Catalogue, QuarantineEntry
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.numbers import whole_number
from vna_core.gateways.web.exchange import Exchange
from vna_core.ingest.quarantine import Quarantine

MAX_PAGE = 1000


def page_of(exchange: Exchange) -> tuple[str, int]:
    """The ``after`` and ``limit`` parameters of a list. Raises InvalidRequest."""
    limit = whole_number(exchange.parameter("limit") or "100")
    if limit is None or not 1 <= limit <= MAX_PAGE:
        raise InvalidRequest(f"The limit is a whole number from 1 to {MAX_PAGE}.", parameter="limit")
    return exchange.parameter("after") or "", limit


def numbered_page_of(exchange: Exchange) -> tuple[int, int]:
    """The same of a list whose entries are numbered from 1; 0 for its first page. Raises InvalidRequest."""
    text, limit = page_of(exchange)
    after = whole_number(text or "0")
    if after is None:
        raise InvalidRequest("The parameter 'after' is the `next` of the page before.", parameter="after")
    return after, limit


def entry_json(entry: QuarantineEntry) -> dict[str, Any]:
    """One entry as the API shows it."""
    source = entry.source
    return {
        "id": entry.id,
        "sha256": entry.sha256,
        "size": entry.size,
        "code": entry.code,
        "message": entry.message,
        "source": {"kind": source.kind, "name": source.name, "address": source.address, "issuer": source.issuer},
        "sop_instance_uid": entry.sop_instance_uid,
        "received_at": entry.received_at.isoformat(),
        "times": entry.times,
        "resolution": entry.resolution,
    }


class Listed:
    """GET ``/api/v1/quarantine``: unresolved entries by id, a page at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        after, limit = page_of(exchange)
        entries = await exchange.blocking(lambda: list(self._catalogue.quarantined(after=after, limit=limit)))
        following = entries[-1].id if len(entries) == limit else None
        await exchange.json({"quarantine": [entry_json(entry) for entry in entries], "next": following})


class Shown:
    """GET ``/api/v1/quarantine/{id}``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        entry = await exchange.blocking(self._catalogue.quarantine_entry, exchange.path_parameters["id"])
        await exchange.json(entry_json(entry))


class Octets:
    """GET ``/api/v1/quarantine/{id}/original``: the octets as received."""

    def __init__(self, catalogue: Catalogue, quarantine: Quarantine) -> None:
        self._catalogue = catalogue
        self._quarantine = quarantine

    async def __call__(self, exchange: Exchange) -> None:
        entry = await exchange.blocking(self._catalogue.quarantine_entry, exchange.path_parameters["id"])
        headers = {"Content-Disposition": f'attachment; filename="{entry.id}.bin"'}
        await exchange.stream(self._quarantine.octets(entry.id), "application/octet-stream", entry.size, headers=headers)
