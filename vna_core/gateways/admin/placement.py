"""``/api/v1``: where the copies of an instance are, how placement stands, and the recall of a study."""

from __future__ import annotations

import time
from typing import Any, Final

from vna_core.access.availability import Availability
from vna_core.access.view import CatalogueView
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.catalogue import Catalogue
from vna_core.catalogue.entry_form import moment
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import HeldInstance
from vna_core.domain.placement import PLACE, RECALL, HeldCopy
from vna_core.gateways.web.exchange import Exchange

_SECOND: Final = 1_000_000


def placement_json(availability: Availability, held: HeldInstance) -> dict[str, Any]:
    """Copies of one version, and whether the policy is met."""
    placed = availability.catalogue.placements.of_instances([held.pk])
    if not placed:
        raise NotFound("Nothing is held under this UID.")
    verdict = availability.policy.verdict(placed[0], time.time_ns() // 1000)
    return {
        "locations": [_copy_json(copy) for copy in placed[0].copies],
        "availability": availability.of_held(held),
        "placement": {
            "rule": verdict.rule or None,
            "met": verdict.met,
            "missing": [copy.store for copy in verdict.missing],
        },
    }


def _copy_json(copy: HeldCopy) -> dict[str, Any]:
    return {
        "store": copy.store,
        "key": copy.key,
        "offset": copy.offset,
        "length": copy.size,
        "state": copy.state,
        "tier": copy.tier or None,
        "locked_until": moment(copy.locked_until).isoformat() if copy.locked_until else None,
        "readable_until": moment(copy.readable_until).isoformat() if copy.readable_until else None,
    }


class PlacementStatus:
    """GET ``/api/v1/placement``: how many series have the copies that the policy wants."""

    def __init__(self, catalogue: Catalogue, policy: PlacementPolicy) -> None:
        self._catalogue, self._policy = catalogue, policy

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.json(await exchange.blocking(status_of, self._catalogue, self._policy))


def status_of(catalogue: Catalogue, policy: PlacementPolicy) -> dict[str, Any]:
    """Series by what the policy last said, and the jobs that wait or failed."""
    jobs = catalogue.jobs.counts()
    scan = catalogue.placements.scan(policy.digest) if policy.digest else None
    return {
        "rules": [rule.name for rule in policy.rules],
        **catalogue.placements.counts(policy.digest),
        "all_asked_for": scan is not None and bool(scan.finished_at),
        "jobs": {
            kind: {"open": jobs.get((kind, "open"), 0), "failed": jobs.get((kind, "failed"), 0)} for kind in (PLACE, RECALL)
        },
    }


class Recall:
    """POST ``/api/v1/studies/{study}/recall``: bring a study back from archive tiers before somebody asks for its images."""

    def __init__(self, availability: Availability) -> None:
        self._availability = availability

    async def __call__(self, exchange: Exchange) -> None:
        recalled = await exchange.blocking(self._recall, exchange.catalogue, exchange.path_parameters["study"])
        await exchange.json(recalled, status=202 if recalled["nearline"] else 200)

    def _recall(self, catalogue: CatalogueView, study: str) -> dict[str, Any]:
        held = catalogue.instances(study=study)
        if not held:
            raise NotFound("Nothing is held under this UID.")
        nearline = sum(one.nearline for one in held)
        if nearline:
            self._availability.recall(study)
        return {"study_instance_uid": study, "instances": len(held), "nearline": nearline}
