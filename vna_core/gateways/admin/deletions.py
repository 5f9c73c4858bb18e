"""``/api/v1/deletions``, and DELETE of studies, series and instances: hidden at once, taken back or purged later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue
from vna_core.configuration.stewardship import RetentionSettings
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.instance import HeldInstance
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.gateways.admin.quarantine import page_of
from vna_core.gateways.web.exchange import Exchange
from vna_core.stewardship.calendar import length_of
from vna_core.stewardship.deletion import Deleting


def reason_of(exchange: Exchange, what: str) -> str:
    """The parameter ``reason``. Raises InvalidRequest where there is none: `what` begins the sentence."""
    reason = exchange.parameter("reason")
    if not reason:
        raise InvalidRequest(f"{what} needs a reason.", parameter="reason")
    return reason


class Hidden:
    """DELETE ``/api/v1/studies/{uid}``, ``/api/v1/series/{uid}`` or ``/api/v1/instances/{uid}`` with ``?reason=``: hidden, not gone.

    Refused where a hold is on any of it, and where part of it belongs to a department in which the principal may not delete.
    """

    def __init__(self, level: Extent, deleting: Deleting, catalogue: Catalogue) -> None:
        self._level = level
        self._deleting = deleting
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        uid, reason = next(iter(exchange.path_parameters.values())), reason_of(exchange, "A deletion")
        deletion, staying = await exchange.blocking(self._delete, exchange.catalogue, uid, reason, exchange.principal)
        await exchange.json({**deletion.as_dict(), "staying": [one.id for one in staying]})

    def _delete(self, view: CatalogueView, uid: str, reason: str, by: str) -> tuple[Deletion, list[Deletion]]:
        view.demand_all(under(self._catalogue, self._level, uid))
        deletion = self._deleting.delete(self._level, uid, reason, by)
        return deletion, self._catalogue.deletions.staying(deletion)


def under(catalogue: Catalogue, level: Extent, uid: str) -> list[HeldInstance]:
    """Every version that is held under a UID of a level: what is done to the level is done to all of them."""
    if level is Extent.INSTANCE:
        return list(catalogue.versions(uid))
    if level is Extent.STUDY:
        return catalogue.instances(study=uid, all_versions=True)
    return catalogue.instances(series=uid, all_versions=True)


class Listed:
    """GET ``/api/v1/deletions``: by their ids, a page at a time; ``?state=hidden`` those that can be taken back."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        after, limit = page_of(exchange)
        state = exchange.parameter("state")
        states = () if state is None else (state,)
        found = await exchange.blocking(lambda: self._catalogue.deletions.listed(*states, after=after, limit=limit))
        following = found[-1].id if len(found) == limit else None
        await exchange.json({"deletions": [one.as_dict() for one in found], "next": following})


class Shown:
    """GET ``/api/v1/deletions/{id}``: a deletion with its versions, by identifiers and digests."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(self._shown, exchange.path_parameters["id"]))

    def _shown(self, deletion_id: str) -> dict[str, Any]:
        deletion = self._catalogue.deletions.deletion(deletion_id)
        versions = [
            {
                "study_instance_uid": one.study_instance_uid,
                "series_instance_uid": one.series_instance_uid,
                "sop_instance_uid": one.sop_instance_uid,
                "sop_class_uid": one.sop_class_uid,
                "sha256": one.sha256,
                "original_sha256": one.original_sha256,
                "size": one.size,
            }
            for one in self._catalogue.deletions.versions(deletion_id)
        ]
        return {**deletion.as_dict(), "instances": versions}


class Undone:
    """POST ``/api/v1/deletions/{id}/undelete``: what was hidden is held again, exactly as it was."""

    def __init__(self, deleting: Deleting) -> None:
        self._deleting = deleting

    async def __call__(self, exchange: Exchange) -> None:
        done = await exchange.blocking(self._deleting.undelete, exchange.path_parameters["id"], exchange.principal)
        await exchange.json(done.as_dict())


class Purged:
    """POST ``/api/v1/deletions/{id}/purge``: the octets are removed in every store, once the time of grace is over."""

    def __init__(self, deleting: Deleting, catalogue: Catalogue, settings: RetentionSettings) -> None:
        self._deleting = deleting
        self._catalogue = catalogue
        self._settings = settings

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(self._purge, exchange.path_parameters["id"], exchange.principal))

    def _purge(self, deletion_id: str, by: str) -> dict[str, Any]:
        grace: timedelta = length_of(self._settings.grace, datetime.now(UTC))
        report = self._deleting.purge(by, grace, deletion_id)
        left = [{"store": one.store, "key": one.key, "why": one.why} for one in report.left]
        told = self._catalogue.deletions.deletion(deletion_id).as_dict()
        return {**told, "objects": report.objects, "hold": report.held.get(deletion_id), "left": left}
