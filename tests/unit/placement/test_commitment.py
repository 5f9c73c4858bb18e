"""Storage commitment answers when the policy is met for all instances asked, and says why when it never is."""

from __future__ import annotations

import time
from pathlib import Path

from tests.unit.placement.placed_archive import PlacedArchive, placed_archive
from vna_core.access.availability import Availability
from vna_core.access.policy import Policy
from vna_core.access.view import CatalogueView
from vna_core.configuration import Settings
from vna_core.domain.access import EVERYTHING
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dimse.commitment import (
    NO_SUCH_INSTANCE,
    RESOURCE_LIMITATION,
    CommitmentService,
    Judged,
    PlacementPromises,
)
from vna_core.gateways.dimse.peers import Peers
from vna_core.testing.faulty_store import FaultyStore

TWO = {"rules": [{"name": "all", "copies": [{"store": "landing"}, {"store": "cloud"}]}], "commitment_wait": 60.0}


def judged(archive: PlacedArchive, *held: HeldInstance, waited: float = 0.0, unknown: str = "") -> Judged | None:
    availability = Availability(archive.catalogue, None, archive.settings.placement, archive.policy)
    promises = PlacementPromises(archive.catalogue, availability)
    service = CommitmentService(Peers(Settings().dimse), archive.catalogue, archive.retriever, Policy(Settings()), promises)
    references = [(one.sop_class_uid, one.sop_instance_uid) for one in held]
    references += [("1.2", unknown)] if unknown else []
    return service._judged(references, time.time() - waited, CatalogueView(archive.catalogue, EVERYTHING))


def test_a_request_waits_until_every_instance_has_every_copy(tmp_path: Path) -> None:
    with placed_archive(tmp_path, TWO) as archive:
        first = archive.offer(1)
        archive.work()
        second = archive.offer(2)
        assert judged(archive, first) is not None
        assert judged(archive, first, second) is None
        archive.work()
        committed, failed = judged(archive, first, second) or ([], [])
        assert len(committed) == 2 and not failed


def test_what_lacks_a_copy_when_the_wait_is_over_is_told_as_a_lack_of_resources(tmp_path: Path) -> None:
    with placed_archive(tmp_path, TWO) as archive:
        held = [archive.offer(1)]
        archive.work()
        cloud = archive.stores["cloud"]
        assert isinstance(cloud, FaultyStore)
        cloud.full = True
        held.append(archive.offer(2))
        archive.work(3)
        assert judged(archive, *held, unknown="1.2.404") is None
        committed, failed = judged(archive, *held, waited=61.0, unknown="1.2.404") or ([], [])
        assert [uid for _, uid in committed] == [held[0].sop_instance_uid]
        assert {(uid, reason) for _, uid, reason in failed} == {
            (held[1].sop_instance_uid, RESOURCE_LIMITATION),
            ("1.2.404", NO_SUCH_INSTANCE),
        }


def test_without_a_policy_nothing_is_waited_for(tmp_path: Path) -> None:
    with placed_archive(tmp_path, {}) as archive:
        committed, failed = judged(archive, archive.offer(1)) or ([], [])
        assert len(committed) == 1 and not failed
