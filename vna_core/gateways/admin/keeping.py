"""Which of several versions is right, over HTTP: it stands, the others are set aside."""

from __future__ import annotations

from vna_core.access.choice import Choice
from vna_core.access.gate import Permit
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.gateways.admin.deletions import deletion_json
from vna_core.gateways.admin.instances import choice_of
from vna_core.gateways.web.exchange import Exchange
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.settling import all_but, others


class KeptInstance:
    """POST ``/api/v1/instances/{sop}/keep``: the version that ``?version=`` (with ``?study=``) or ``?sha256=`` names is right; others are set aside.

    ``reason`` is needed. The answer is a deletion of level ``version``, which can be taken back like any other.
    """

    def __init__(self, deleting: Deleting, catalogue: Catalogue) -> None:
        self._deleting = deleting
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        chosen, reason = choice_of(exchange), exchange.parameter("reason")
        if not chosen.is_of_any_version:
            raise InvalidRequest("Say which version is right.", parameter="version")
        if not reason:
            raise InvalidRequest("What is set aside needs a reason.", parameter="reason")
        done = await exchange.blocking(self._keep, exchange.permit, exchange.path_parameters["sop"], chosen, reason)
        await exchange.json(deletion_json(done))

    def _keep(self, permit: Permit, sop: str, chosen: Choice, reason: str) -> Deletion:
        seen = permit.catalogue.versions(sop)
        away = others(seen, chosen.among(seen))
        permit.catalogue.demand_all(self._catalogue.versions(sop))
        return self._deleting.delete(Extent.VERSION, sop, reason, permit.principal.name, versions=[one.pk for one in away])


class KeptStudy:
    """POST ``/api/v1/studies/{uid}/keep``, ``?which=latest`` or ``first``: of each instance with several versions, that one is right.

    ``reason`` is needed. The answer is a deletion of level ``version``, which can be taken back like any other.
    """

    def __init__(self, deleting: Deleting, catalogue: Catalogue) -> None:
        self._deleting = deleting
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        which, reason = exchange.parameter("which"), exchange.parameter("reason")
        if which not in ("latest", "first"):
            raise InvalidRequest("Say which versions are right: latest or first.", parameter="which")
        if not reason:
            raise InvalidRequest("What is set aside needs a reason.", parameter="reason")
        done = await exchange.blocking(self._keep, exchange.permit, exchange.path_parameters["uid"], which == "latest", reason)
        await exchange.json(deletion_json(done))

    def _keep(self, permit: Permit, study: str, latest: bool, reason: str) -> Deletion:
        held = self._catalogue.instances(study=study, all_versions=True)
        permit.catalogue.demand_all(held)
        away = all_but(held, latest=latest)
        return self._deleting.delete(Extent.VERSION, study, reason, permit.principal.name, versions=[one.pk for one in away])
