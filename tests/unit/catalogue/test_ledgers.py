"""Quarantine, jobs about what is recorded, storage commitment and campaigns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.catalogue.catalogue_entries import START, entry
from vna_core.catalogue import Campaign, Catalogue, QuarantineEntry
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, REJECTION_NOTE
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


def test_a_key_object_selection_is_looked_at_whatever_becomes_of_the_process(catalogue: Catalogue) -> None:
    catalogue.record(entry())
    note = replace(entry("1.2.3.1.2"), sop_class_uid=KEY_OBJECT_SELECTION)
    held = catalogue.record(note).held
    assert catalogue.record(note).held.pk == held.pk
    assert [(job.kind, job.key) for job in catalogue.jobs.listed()] == [(REJECTION_NOTE, str(held.pk))]


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
