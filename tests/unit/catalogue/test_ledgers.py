"""Quarantine, jobs about what is recorded, storage commitment and campaigns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.unit.catalogue.catalogue_entries import START, entry
from vna_core.catalogue import Campaign, Catalogue, QuarantineEntry
from vna_core.catalogue.clock import now
from vna_core.catalogue.commitments import LEASE
from vna_core.catalogue.schema import commitments
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
    catalogue.commitments.record("1.2", "MOD", [("class", "1.2.3")])
    catalogue.commitments.record("1.3", "MOD", [("class", "1.2.4")])
    assert catalogue.commitments.take() is None  # whoever recorded them reports them
    catalogue.commitments.postpone("1.2", "MOD", 0)
    taken = catalogue.commitments.take()
    assert taken is not None
    assert (taken.transaction_uid, taken.peer, taken.instances) == ("1.2", "MOD", (("class", "1.2.3"),))
    assert taken.attempts == 1
    catalogue.commitments.postpone("1.2", "MOD", 3600)
    catalogue.commitments.reported("1.3", "MOD")
    catalogue.commitments.postpone("1.3", "MOD", 0)
    assert catalogue.commitments.take() is None
    with catalogue._database.session() as session:
        kept = session.run(select(commitments.c.state, commitments.c.instances).order_by(commitments.c.peer)).fetchall()
    assert sorted(map(tuple, kept)) == [("pending", '[["class", "1.2.3"]]'), ("reported", "[]")]
    catalogue.commitments.record("1.2", "MOD", [("class", "1.2.3")])
    catalogue.commitments.postpone("1.2", "MOD", 0)
    catalogue.commitments.abandon("1.2", "MOD")
    assert catalogue.commitments.take() is None
    with catalogue._database.session() as session:
        kept = session.run(select(commitments.c.state, commitments.c.instances)).fetchall()
    assert sorted(map(tuple, kept)) == [("abandoned", "[]"), ("reported", "[]")]


def test_a_commitment_is_taken_by_one_process_only(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.commitments.record("1.2", "MOD", [])
    catalogue.commitments.postpone("1.2", "MOD", 0)
    with ThreadPoolExecutor(4) as pool:
        taken = [one for one in pool.map(lambda _: catalogue.commitments.take(), range(4)) if one is not None]
    assert len(taken) == 1
    later = now() + round((LEASE + 1) * 1e6)
    monkeypatch.setattr("vna_core.catalogue.commitments.now", lambda: later)
    assert catalogue.commitments.take() == taken[0]  # who took it is dead


def test_a_campaign_is_found_again_as_it_was_saved(catalogue: Catalogue) -> None:
    catalogue.campaigns.save(Campaign("c", "dimse://OLD@127.0.0.1:104", details={"found": 1}))
    catalogue.campaigns.save(Campaign("c", "dimse://OLD@127.0.0.1:104", "done", {"found": 2}))
    assert catalogue.campaigns.load("c") == Campaign("c", "dimse://OLD@127.0.0.1:104", "done", {"found": 2})
    assert catalogue.campaigns.load("d") is None
