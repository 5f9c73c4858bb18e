"""``/api/v1/patient-links/in-doubt``: decisions about Patient IDs that somebody must look at."""

from __future__ import annotations

from typing import Any

from vna_core.catalogue import Catalogue
from vna_core.domain.identity import PatientLink
from vna_core.gateways.admin.quarantine import numbered_page_of
from vna_core.gateways.web.exchange import Exchange
from vna_core.stewardship.links_in_doubt import doubtful
from vna_core.stewardship.patient_identity import key_text


def link_json(link: PatientLink) -> dict[str, Any]:
    """One decision, for machines."""
    return {
        "id": link.id,
        "kind": link.kind.value,
        "first": key_text(link.first),
        "second": key_text(link.second),
        "study_instance_uid": link.study_instance_uid,
        "origin": link.origin.value,
        "reason": link.reason,
        "made_by": link.made_by,
        "made_at": link.made_at.isoformat(),
        "undone_by": link.undone_by,
        "undone_at": link.undone_at.isoformat() if link.undone_at else None,
        "undone_reason": link.undone_reason,
    }


class InDoubt:
    """GET ``/api/v1/patient-links/in-doubt``: links that a rule made of demographics which are not equal any more; a page looks at so many decisions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(self._page, *numbered_page_of(exchange)))

    def _page(self, after: int, limit: int) -> dict[str, Any]:
        links = self._catalogue.identity.listed(after=after, limit=limit)
        found = [link_json(one.link) | {"differs": list(one.differs)} for one in doubtful(self._catalogue, links)]
        return {"links": found, "next": str(links[-1].id) if len(links) == limit else None}
