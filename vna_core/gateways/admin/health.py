"""Whether this process lives, and whether the archive can do its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vna_core.catalogue import Catalogue
from vna_core.domain.audit import Auditor
from vna_core.domain.errors import VnaError
from vna_core.gateways.admin.metrics import CONTENT_TYPE, exposition
from vna_core.gateways.web.exchange import Exchange
from vna_core.metering import Meters
from vna_core.ports.storage import Store


class Health:
    """GET ``/healthz``: this process answers."""

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json({"status": "ok"})


class Readiness:
    """GET ``/readyz``: every store takes and gives an object, the catalogue answers, the audit trail is written.

    503 where the archive cannot do its work. While a store does not answer that nothing lands in, it is ``degraded``: what other
    stores hold is served and new images are taken.
    """

    def __init__(self, catalogue: Catalogue, stores: Mapping[str, Store], auditor: Auditor, landing: str) -> None:
        self._needed = ("audit", "catalogue", f"store:{landing}")
        self._catalogue = catalogue
        self._auditor = auditor
        self._stores = stores

    async def __call__(self, exchange: Exchange) -> None:
        checks: dict[str, str] = await exchange.blocking(self._check)
        failing = [name for name, state in checks.items() if state != "ok"]
        status = "not-ready" if any(name in self._needed for name in failing) else "degraded" if failing else "ready"
        await exchange.json({"status": status, "checks": checks}, 503 if status == "not-ready" else 200)

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

    def __init__(self, catalogue: Catalogue, run: Meters, certificates: Sequence[str]) -> None:
        self._catalogue = catalogue
        self._run = run
        self._certificates = certificates

    async def __call__(self, exchange: Exchange) -> None:
        text = await exchange.blocking(exposition, self._run, self._catalogue, self._certificates)
        await exchange.octets(text, CONTENT_TYPE)
