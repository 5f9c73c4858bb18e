"""``/api/v1/statistics`` and ``/api/v1/conflicts``."""

from __future__ import annotations

from vna_core.catalogue import Catalogue
from vna_core.gateways.admin.instances import version_json
from vna_core.gateways.admin.quarantine import numbered_page_of
from vna_core.gateways.web.exchange import Exchange


class Totals:
    """GET ``/api/v1/statistics``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        statistics = await exchange.blocking(self._catalogue.statistics)
        names = ("patients", "studies", "series", "instances", "versions", "conflicts", "quarantined", "bytes")
        await exchange.json({name: getattr(statistics, name) for name in names})


class Conflicts:
    """GET ``/api/v1/conflicts``: versions under one SOP Instance UID that differ, a page at a time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        after, limit = numbered_page_of(exchange)
        conflicts = await exchange.blocking(lambda: list(self._catalogue.conflicts(after=after, limit=limit)))
        await exchange.json(
            {
                "conflicts": [
                    {
                        "id": str(one.pk),
                        "sop_instance_uid": one.sop_instance_uid,
                        "classification": one.classification,
                        "why": one.why,
                        "detected_at": one.detected_at.isoformat(),
                        "first": version_json(one.first, exchange.base),
                        "second": version_json(one.second, exchange.base),
                    }
                    for one in conflicts
                ],
                "next": str(conflicts[-1].pk) if len(conflicts) == limit else None,
            }
        )
