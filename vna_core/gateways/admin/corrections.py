"""``/api/v1/corrections``: corrections that other archives send, those that travel from here, and rejection by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.routing import Route

from vna_core.access.gate import Gate, Permit
from vna_core.catalogue import Catalogue
from vna_core.configuration import Settings
from vna_core.configuration.federation import departments_by_issuer
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.corrections import Correction, Delivery, Rejection
from vna_core.domain.errors import InvalidRequest, LimitExceeded, NotFound
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.gateways.admin.deletions import reason_of, under
from vna_core.gateways.admin.keeping import KeptInstance, KeptStudy
from vna_core.gateways.admin.quarantine import numbered_page_of
from vna_core.gateways.web.exchange import Exchange, Pace
from vna_core.gateways.web.protection import Endpoint, Handler
from vna_core.ports.storage import Store
from vna_core.stewardship.correcting import Correcting, Told, parse
from vna_core.stewardship.deletion import Deleting

_LARGEST: Final = 64 << 20


def correction_json(one: Correction, deliveries: list[Delivery]) -> dict[str, Any]:
    """One correction with who has applied it, for machines."""
    return {
        "id": one.id,
        "number": one.number,
        "kind": one.kind.value,
        "undoes": one.undoes,
        "subject": one.subject,
        "content": dict(one.content),
        "reason": one.reason,
        "made_by": one.made_by,
        "made_at": one.made_at.isoformat(),
        "origin": one.origin,
        "members": [
            {
                "member": each.member,
                "state": each.state.value,
                "attempts": each.attempts,
                "error": each.error,
                "updated_at": each.updated_at.isoformat(),
            }
            for each in deliveries
        ],
    }


class Applied:
    """POST ``/api/v1/corrections``: a correction of another archive, applied once; it answers when that is durable.

    What rejects, merges or moves needs the right to correct, what deletes that to delete.
    """

    def __init__(self, correcting: Correcting, gate: Gate) -> None:
        self._correcting = correcting
        self._gate = gate

    async def __call__(self, exchange: Exchange) -> None:
        octets = bytearray()
        async for piece in exchange.body():
            octets += piece
            if len(octets) > _LARGEST:
                raise LimitExceeded("The body is larger than a correction can be.", limit="body", maximum=_LARGEST)
        told = await exchange.blocking(_told, bytes(octets))
        if told.needs is not Action.CORRECT:
            await exchange.enter(self._gate, told.needs)
        permit = exchange.permit
        state = await exchange.blocking(self._correcting.apply, told, permit.principal, permit.catalogue.scope)
        await exchange.json({"id": told.id, "state": state})


def _told(octets: bytes) -> Told:
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.") from error
    return parse(document)


class Listed:
    """GET ``/api/v1/corrections``: a page at a time; ``?waiting=true`` those that somebody has not applied, ``?member=`` that one."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(self._listed, exchange))

    def _listed(self, exchange: Exchange) -> dict[str, Any]:
        after, limit = numbered_page_of(exchange)
        chosen = {"member": exchange.parameter("member") or "", "waiting": exchange.parameter("waiting") == "true"}
        found = self._catalogue.corrections.listed(after=after, limit=limit, **chosen)  # type: ignore[arg-type]
        told = self._catalogue.corrections.deliveries(found)
        following = str(found[-1].number) if len(found) == limit else None
        return {"corrections": [correction_json(one, told[one.number]) for one in found], "next": following}


class Shown:
    """GET ``/api/v1/corrections/{id}``: one correction, and who has applied it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(self._shown, exchange.path_parameters["id"]))

    def _shown(self, correction_id: str) -> dict[str, Any]:
        found = self._catalogue.corrections.find(correction_id)
        if found is None:
            raise NotFound("There is no such correction.", id=correction_id)
        return correction_json(found, self._catalogue.corrections.deliveries([found])[found.number])


class Retried:
    """POST ``/api/v1/corrections/{id}/retry``: told again to whoever has not applied it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        number = await exchange.blocking(self._catalogue.corrections.retry, exchange.path_parameters["id"])
        await exchange.json({"id": exchange.path_parameters["id"], "deliveries": number})


class RejectedByHand:
    """POST ``/api/v1/studies/{uid}/reject``, also series and instances, with ``?title=`` and ``?reason=``: hidden, never purged.

    ``title`` is ``quality``, ``patient-safety``, ``worklist`` or ``retention`` (PS3.16 CID 7011).
    """

    def __init__(self, level: Extent, deleting: Deleting, catalogue: Catalogue) -> None:
        self._level = level
        self._deleting = deleting
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        uid = next(iter(exchange.path_parameters.values()))
        title = Rejection.of_word(exchange.parameter("title") or "")
        if title is None:
            titles = ", ".join(one.word for one in Rejection)
            raise InvalidRequest(f"A rejection needs a title: {titles}.", parameter="title")
        reason = reason_of(exchange, "A rejection")
        done = await exchange.blocking(self._reject, exchange.permit, uid, title, reason)
        await exchange.json(done.as_dict())

    def _reject(self, permit: Permit, uid: str, title: Rejection, reason: str) -> Deletion:
        permit.catalogue.demand_all(under(self._catalogue, self._level, uid))
        return self._deleting.delete(self._level, uid, reason, permit.principal.name, rejection=title)


def correction_routes(
    api: str, settings: Settings, stores: Mapping[str, Store], catalogue: Catalogue, pace: Pace, gate: Gate
) -> list[Route]:
    """Every route of corrections below `api`."""
    routes: list[Route] = []
    landing = stores[settings.landing]

    def deleting(principal: Principal) -> Deleting:
        return Deleting(stores, landing, catalogue, auditor=gate.auditor, kind=principal.kind)

    def add(method: str, path: str, name: str, needs: Action, handler: Handler) -> None:
        routes.append(Route(api + path, Endpoint(handler, pace, gate, needs), methods=[method], name=name))

    departments = departments_by_issuer(settings.federation.members)
    correcting = Correcting(catalogue, gate.auditor, settings.corrections, deleting, departments)
    add("POST", "/corrections", "apply-correction", Action.CORRECT, Applied(correcting, gate))
    add("GET", "/corrections", "corrections", Action.ADMINISTER, Listed(catalogue))
    add("GET", "/corrections/{id}", "correction", Action.ADMINISTER, Shown(catalogue))
    add("POST", "/corrections/{id}/retry", "retry-correction", Action.ADMINISTER, Retried(catalogue))
    by_token = Deleting(stores, landing, catalogue, auditor=gate.auditor, kind=PrincipalKind.TOKEN)
    for name, level in (("studies", Extent.STUDY), ("series", Extent.SERIES), ("instances", Extent.INSTANCE)):
        parameter = "sop" if level is Extent.INSTANCE else "uid"
        handler = RejectedByHand(level, by_token, catalogue)
        add("POST", f"/{name}/{{{parameter}}}/reject", f"reject-{level.value}", Action.CORRECT, handler)
    add("POST", "/instances/{sop}/keep", "keep-instance", Action.CORRECT, KeptInstance(by_token, catalogue))
    add("POST", "/studies/{uid}/keep", "keep-study", Action.CORRECT, KeptStudy(by_token, catalogue))
    return routes
