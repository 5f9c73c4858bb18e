"""Quarantine, outbox, storage commitment and campaigns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.catalogue.catalogue_entries import START, entry
from vna_core.catalogue import Campaign, Catalogue, QuarantineEntry
from vna_core.domain.errors import NotFound
from vna_core.domain.octets import Source

ITEM = QuarantineEntry(
    id="0123456789abcdef",
    sha256="0123456789abcdef" * 4,
    size=77,
    store="landing",
    key="quarantine/x",
    code="not-dicom",
    message="no chain of elements",
    source=Source("file", "folder", "/tmp/\udcff"),
    received_at=START,
)


def test_quarantined_items_are_kept_once_counted_and_resolved(catalogue: Catalogue) -> None:
    assert catalogue.record_quarantine(ITEM) == ITEM.id
    catalogue.record_quarantine(ITEM)
    catalogue.record_quarantine(replace(ITEM, id="f" * 16))
    assert catalogue.quarantine_entry(ITEM.id) == replace(ITEM, times=2)
    assert [item.id for item in catalogue.quarantined()] == [ITEM.id, "f" * 16]
    assert [item.id for item in catalogue.quarantined(after=ITEM.id)] == ["f" * 16]
    assert catalogue.statistics().quarantined == 2
    assert catalogue.quarantine_size() == (2, 154)
    catalogue.resolve_quarantine(ITEM.id, "held")
    assert catalogue.statistics().quarantined == 1
    assert catalogue.quarantine_entry(ITEM.id).resolution == "held"
    with pytest.raises(NotFound):
        catalogue.quarantine_entry("unknown")
    with pytest.raises(NotFound):
        catalogue.resolve_quarantine("unknown", "held")


def test_what_is_announced_is_taken_by_one_and_done_once(catalogue: Catalogue) -> None:
    held = catalogue.record(entry(), announce=("copy",)).held
    catalogue.outbox.append("copy", {"pk": -1})
    taken = catalogue.outbox_take("copy", limit=1)
    assert [(item.payload["pk"], item.attempts) for item in taken] == [(held.pk, 1)]
    assert [item.payload["pk"] for item in catalogue.outbox_take("copy")] == [-1]
    assert catalogue.outbox_take("copy") == []
    catalogue.outbox.put_back(taken[0].pk, 0)
    again = catalogue.outbox_take("copy", lease=0)
    assert [item.attempts for item in again] == [2]
    catalogue.outbox_done([item.pk for item in again])
    assert catalogue.outbox_take("copy") == []


def test_commitments_wait_until_they_are_reported(catalogue: Catalogue) -> None:
    catalogue.record_commitment("1.2", "MOD", [("class", "1.2.3")])
    catalogue.record_commitment("1.3", "MOD", [])
    (first, second) = catalogue.pending_commitments()
    assert (first.transaction_uid, first.peer, first.instances) == ("1.2", "MOD", (("class", "1.2.3"),))
    catalogue.commitments.postpone("1.2", "MOD", 3600)
    catalogue.commitments.reported("1.3", "MOD")
    assert catalogue.pending_commitments() == []
    catalogue.record_commitment("1.2", "MOD", [])
    assert len(catalogue.pending_commitments()) == 1
    catalogue.commitments.abandon("1.2", "MOD")
    assert catalogue.pending_commitments() == []
    assert second.attempts == 0


def test_a_campaign_is_found_again_as_it_was_saved(catalogue: Catalogue) -> None:
    catalogue.campaigns.save(Campaign("c", "dimse://OLD@127.0.0.1:104", details={"found": 1}))
    catalogue.campaigns.save(Campaign("c", "dimse://OLD@127.0.0.1:104", "done", {"found": 2}))
    assert catalogue.campaigns.load("c") == Campaign("c", "dimse://OLD@127.0.0.1:104", "done", {"found": 2})
    assert catalogue.campaigns.load("d") is None
