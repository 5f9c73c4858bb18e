"""``/api/v1/holds``: what may not be deleted."""

from __future__ import annotations

import json
from typing import Any, Final

from vna_core.catalogue import Catalogue
from vna_core.domain.errors import InvalidRequest, LimitExceeded
from vna_core.domain.stewardship import Extent, Hold
from vna_core.gateways.web.exchange import Exchange
from vna_core.stewardship.deletion import Deleting

_LARGEST: Final = 64 << 10
_FIELDS: Final = ("level", "identifier", "reason", "issuer")


def hold_json(hold: Hold) -> dict[str, Any]:
    """One hold as the API shows it."""
    return {
        "id": hold.id,
        "level": hold.level.value,
        "identifier": hold.identifier,
        "issuer": hold.issuer,
        "reason": hold.reason,
        "set_by": hold.set_by,
        "set_at": hold.set_at.isoformat(),
        "released_by": hold.released_by,
        "released_at": hold.released_at.isoformat() if hold.released_at else None,
    }


class Listed:
    """GET ``/api/v1/holds``: those in force; ``?all=true`` also those that were released."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        everything = exchange.parameter("all") == "true"
        found = await exchange.blocking(lambda: self._catalogue.holds.listed(everything=everything))
        await exchange.json({"holds": [hold_json(one) for one in found]})


class Set:
    """POST ``/api/v1/holds`` with ``{"level", "identifier", "reason"}``, for a patient also ``"issuer"``: in force at once."""

    def __init__(self, deleting: Deleting) -> None:
        self._deleting = deleting

    async def __call__(self, exchange: Exchange) -> None:
        said = await _document(exchange)
        try:
            level = Extent(said["level"])
        except ValueError as error:
            raise InvalidRequest("A hold is on a patient, a study or a series.", field="level") from error
        call = (level, said["identifier"], said["reason"], exchange.principal, said["issuer"])
        await exchange.json(hold_json(await exchange.blocking(self._deleting.set_hold, *call)), 201)


class Released:
    """DELETE ``/api/v1/holds/{id}``: released; it stays known that there was one."""

    def __init__(self, deleting: Deleting) -> None:
        self._deleting = deleting

    async def __call__(self, exchange: Exchange) -> None:
        hold = await exchange.blocking(self._deleting.release_hold, exchange.path_parameters["id"], exchange.principal)
        await exchange.json(hold_json(hold))


async def _document(exchange: Exchange) -> dict[str, str]:
    """The body's fields, absent ones empty. Raises InvalidRequest, LimitExceeded."""
    octets = bytearray()
    async for piece in exchange.body():
        octets += piece
        if len(octets) > _LARGEST:
            raise LimitExceeded("The body is larger than a hold can be.", limit="body", maximum=_LARGEST)
    try:
        said = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.") from error
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise InvalidRequest("The body is one JSON object whose values are texts.")
    unknown = sorted(set(said) - set(_FIELDS))
    if unknown:
        raise InvalidRequest(f"A hold has no field {unknown[0]!r}; it takes {', '.join(_FIELDS)}.", field=unknown[0])
    return {name: said.get(name, "") for name in _FIELDS}
