"""Which of several versions is right, over HTTP: it stands, the others are set aside."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vna_core.access.choice import Choice
from vna_core.access.gate import Permit
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.instance import HeldInstance
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.gateways.admin.deletions import reason_of
from vna_core.gateways.admin.instances import choice_of
from vna_core.gateways.web.exchange import Exchange
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.settling import all_but, others

Away = Callable[[CatalogueView], list[HeldInstance]]
"""The versions to be set aside, all in the scope of a view. Raises NotFound, InvalidRequest, NotAuthorized."""


class _Kept:
    def __init__(self, deleting: Deleting, catalogue: Catalogue) -> None:
        self._deleting = deleting
        self._catalogue = catalogue

    async def _answer(self, exchange: Exchange, uid: str, away: Away) -> None:
        reason = reason_of(exchange, "What is set aside")
        done = await exchange.blocking(self._keep, exchange.permit, uid, away, reason)
        await exchange.json(done.as_dict())

    def _keep(self, permit: Permit, uid: str, away: Away, reason: str) -> Deletion:
        versions = [one.pk for one in away(permit.catalogue)]
        return self._deleting.delete(Extent.VERSION, uid, reason, permit.principal.name, versions=versions)


class KeptInstance(_Kept):
    """POST ``/api/v1/instances/{sop}/keep``: the version that ``?version=`` (with ``?study=``) or ``?sha256=`` names is right; others are set aside.

    ``reason`` is needed. The answer is a deletion of level ``version``, which can be taken back like any other.
    """

    async def __call__(self, exchange: Exchange) -> None:
        chosen, sop = choice_of(exchange), exchange.path_parameters["sop"]
        if not chosen.is_of_any_version:
            raise InvalidRequest("Say which version is right.", parameter="version")
        await self._answer(exchange, sop, partial(self._others, sop, chosen))

    def _others(self, sop: str, chosen: Choice, view: CatalogueView) -> list[HeldInstance]:
        seen = view.versions(sop)
        away = others(seen, chosen.among(seen))
        view.demand_all(self._catalogue.versions(sop))
        return away


class KeptStudy(_Kept):
    """POST ``/api/v1/studies/{uid}/keep``, ``?which=latest`` or ``first``: of each instance with several versions, that one is right.

    ``reason`` is needed. The answer is a deletion of level ``version``, which can be taken back like any other.
    """

    async def __call__(self, exchange: Exchange) -> None:
        which, study = exchange.parameter("which"), exchange.path_parameters["uid"]
        if which not in ("latest", "first"):
            raise InvalidRequest("Say which versions are right: latest or first.", parameter="which")
        await self._answer(exchange, study, partial(self._all_but, study, which == "latest"))

    def _all_but(self, study: str, latest: bool, view: CatalogueView) -> list[HeldInstance]:
        held = self._catalogue.instances(study=study, all_versions=True)
        view.demand_all(held)
        return all_but(held, latest=latest)
