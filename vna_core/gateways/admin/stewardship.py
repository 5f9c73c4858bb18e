"""The routes of stewardship: deletions, holds, and what scrubs have found."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.routing import Route

from vna_core.access.gate import Gate
from vna_core.catalogue import Catalogue
from vna_core.configuration import Settings
from vna_core.domain.access import Action, PrincipalKind
from vna_core.domain.stewardship import Extent
from vna_core.gateways.admin import deletions, holds
from vna_core.gateways.admin.quarantine import page_of
from vna_core.gateways.web.exchange import Exchange, Pace
from vna_core.gateways.web.protection import Endpoint, Handler
from vna_core.ports.storage import Store
from vna_core.stewardship.deletion import Deleting


class Findings:
    """GET ``/api/v1/findings``: what scrubs have found wrong, a page at a time by store and key (``next`` as ``after``)."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        text, limit = page_of(exchange)
        store, _, key = text.partition(":")
        found = await exchange.blocking(lambda: self._catalogue.checks.findings(after=(store, key), limit=limit))
        following = f"{found[-1].store}:{found[-1].key}" if len(found) == limit else None
        listed = [
            {
                "store": one.store,
                "key": one.key,
                "finding": one.outcome,
                "detail": one.detail,
                "checked_at": one.checked_at.isoformat() if one.checked_at else None,
            }
            for one in found
        ]
        await exchange.json({"findings": listed, "next": following})


def stewardship_routes(
    api: str, settings: Settings, stores: Mapping[str, Store], catalogue: Catalogue, pace: Pace, gate: Gate
) -> list[Route]:
    """Every route of stewardship below `api`."""
    routes: list[Route] = []
    deleting = Deleting(stores, stores[settings.landing], catalogue, auditor=gate.auditor, kind=PrincipalKind.TOKEN)

    def add(method: str, path: str, name: str, needs: Action, handler: Handler) -> None:
        routes.append(Route(api + path, Endpoint(handler, pace, gate, needs), methods=[method], name=name))

    for name, level in (("studies", Extent.STUDY), ("series", Extent.SERIES), ("instances", Extent.INSTANCE)):
        parameter = "sop" if level is Extent.INSTANCE else "uid"
        hidden = deletions.Hidden(level, deleting, catalogue)
        add("DELETE", f"/{name}/{{{parameter}}}", f"delete-{level.value}", Action.DELETE, hidden)
    purged = deletions.Purged(deleting, catalogue, settings.retention)
    add("GET", "/deletions", "deletions", Action.ADMINISTER, deletions.Listed(catalogue))
    add("GET", "/deletions/{id}", "deletion", Action.ADMINISTER, deletions.Shown(catalogue))
    add("POST", "/deletions/{id}/undelete", "undelete", Action.ADMINISTER, deletions.Undone(deleting))
    add("POST", "/deletions/{id}/purge", "purge", Action.ADMINISTER, purged)
    add("GET", "/holds", "holds", Action.ADMINISTER, holds.Listed(catalogue))
    add("POST", "/holds", "set-hold", Action.ADMINISTER, holds.Set(deleting))
    add("DELETE", "/holds/{id}", "release-hold", Action.ADMINISTER, holds.Released(deleting))
    add("GET", "/findings", "findings", Action.ADMINISTER, Findings(catalogue))
    return routes
