"""Whether this process lives, and whether the archive can do its work."""

from __future__ import annotations

from collections.abc import Mapping

from vna_core.catalogue import Catalogue
from vna_core.domain.audit import Auditor
from vna_core.domain.errors import VnaError
from vna_core.federation.federation import Federation
from vna_core.gateways.admin.metrics import CONTENT_TYPE, Metrics
from vna_core.gateways.web.exchange import Exchange
from vna_core.ports.storage import Store


class Health:
    """GET ``/healthz``: this process answers."""

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json({"status": "ok"})


class Readiness:
    """GET ``/readyz``: every store takes and gives an object, the catalogue answers, the audit trail is written; 503 where one does not."""

    def __init__(self, catalogue: Catalogue, stores: Mapping[str, Store], auditor: Auditor) -> None:
        self._catalogue = catalogue
        self._auditor = auditor
        self._stores = stores

    async def __call__(self, exchange: Exchange) -> None:
        checks: dict[str, str] = await exchange.blocking(self._check)
        ready = all(state == "ok" for state in checks.values())
        await exchange.json({"status": "ready" if ready else "not-ready", "checks": checks}, 200 if ready else 503)

    def _check(self) -> dict[str, str]:
        checks = {"audit": "audit-unavailable" if self._auditor.failing else "ok"}
        for name, probe in (
            ("catalogue", self._catalogue.ping),
            *((f"store:{name}", store.probe) for name, store in self._stores.items()),
        ):
            try:
                probe()
                checks[name] = "ok"
            except (VnaError, OSError) as error:
                checks[name] = getattr(error, "code", "unavailable")
        return checks


class Exposition:
    """GET ``/metrics``."""

    def __init__(self, catalogue: Catalogue, metrics: Metrics, federation: Federation | None = None) -> None:
        self._catalogue = catalogue
        self._members = () if federation is None else tuple(federation.members)
        self._metrics = metrics

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.octets(await exchange.blocking(self._metrics.exposition, self._catalogue, self._members), CONTENT_TYPE)
