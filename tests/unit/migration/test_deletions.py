"""What a source does not list any more and was not moved is on the worklist, and no source erases a campaign by one empty answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.migration.listed_source import ListedSource, Study
from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_inventories import COMPLETE, Inventory
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerStudy
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import InventoryShrank
from vna_core.domain.migration import AWAITED, InstanceState, StudyState
from vna_core.migration.inventory import InventoryTaker
from vna_core.migration.report import CampaignReport, summary_of


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        opened.campaigns.save(Campaign("c", "x://c"))
        yield opened


def take(catalogue: Catalogue, source: ListedSource, accepted_by: str = "") -> Inventory:
    return InventoryTaker("c", source, source.probe(), catalogue, "test", deletions_accepted_by=accepted_by).take(2)


def source_of(count: int, told: bool = True) -> ListedSource:
    return ListedSource([Study(f"1.{n}", f"P{n}", instances=(f"1.{n}.1.1", f"1.{n}.1.2")) for n in range(count)], told=told)


def worklist(catalogue: Catalogue, state: str = "open") -> list[tuple[str, str]]:
    return [(one.reason, one.study_instance_uid) for one in catalogue.ledger_reader.exceptions("c", state=state)]


def report(catalogue: Catalogue) -> CampaignReport:
    return summary_of(catalogue, "c")


def test_a_source_that_suddenly_answers_nothing_erases_nothing(catalogue: Catalogue) -> None:
    source = source_of(4)
    first = take(catalogue, source)
    whole, source.studies = source.studies, []
    with pytest.raises(InventoryShrank, match="--accept-deletions") as raised:
        take(catalogue, source)
    assert raised.value.fields == {"gone": 4, "known": 4}
    assert {study.state for study in catalogue.ledger_reader.studies("c")} <= AWAITED
    assert worklist(catalogue) == [("inventory-shrank", "")]
    assert (report(catalogue).inventoried, report(catalogue).complete) == (8, False)
    assert catalogue.inventories.newest("c", COMPLETE) == first
    assert catalogue.awaited.cutovers.states()[0].awaited
    source.studies = whole
    second = take(catalogue, source)
    assert (second.number, second.studies, second.digest) == (3, 4, first.digest)
    assert worklist(catalogue) == []


def test_what_the_doubted_inventory_asked_is_asked_again(catalogue: Catalogue) -> None:
    source = replace(source_of(30), cap=20, says_so=True)
    source.studies = [replace(one, date=f"{2000 + number}0101") for number, one in enumerate(source.studies)]
    take(catalogue, source)
    whole, source.studies = source.studies, source.studies[:3]
    with pytest.raises(InventoryShrank):
        take(catalogue, source)
    source.studies = whole
    assert take(catalogue, source).studies == 30


def test_deletions_that_somebody_accepts_are_believed_and_stand_under_that_name(catalogue: Catalogue) -> None:
    source = source_of(4)
    take(catalogue, source)
    source.studies = source.studies[:1]
    assert take(catalogue, source, "J. Doe").studies == 1
    accepted = catalogue.ledger_reader.exceptions("c", state="accepted")
    assert [(one.reason, one.closed_by) for one in accepted] == [("gone-before-moved", "J. Doe")] * 3
    assert worklist(catalogue) == []
    assert (report(catalogue).inventoried, report(catalogue).deleted_at_source, report(catalogue).unlisted) == (2, 6, 0)


def test_a_single_unmoved_study_that_vanishes_is_on_the_worklist_until_it_is_back(catalogue: Catalogue) -> None:
    source = source_of(4)
    take(catalogue, source)
    gone = source.studies.pop()
    assert take(catalogue, source).studies == 3
    assert worklist(catalogue) == [("gone-before-moved", "1.3")]
    assert (report(catalogue).unlisted, report(catalogue).complete) == (1, False)
    source.studies.append(gone)
    take(catalogue, source)
    assert worklist(catalogue) == []
    study = catalogue.ledger_reader.study_by_uid("c", "1.3")
    assert study is not None and (study.state, study.instances) == (StudyState.INVENTORIED, 2)


def test_unmoved_instances_that_vanish_from_a_study_are_on_the_worklist(catalogue: Catalogue) -> None:
    source = source_of(3)
    take(catalogue, source)
    source.studies[1] = replace(source.studies[1], instances=("1.1.1.1",))
    take(catalogue, source)
    assert worklist(catalogue) == [("gone-before-moved", "1.1")]
    assert report(catalogue).inventoried == 5
    take(catalogue, source)
    assert worklist(catalogue) == [("gone-before-moved", "1.1")]


def test_a_study_that_suddenly_lists_no_instances_keeps_those_it_listed_before(catalogue: Catalogue) -> None:
    source = source_of(3, told=False)
    take(catalogue, source)
    source.studies[1] = replace(source.studies[1], instances=())
    take(catalogue, source)
    assert [(one.reason, one.study_instance_uid) for one in catalogue.ledger_reader.exceptions("c")] == [("no-instances", "1.1")]
    assert report(catalogue).inventoried == 6


def test_an_empty_source_is_no_success(catalogue: Catalogue) -> None:
    source = ListedSource([])
    assert take(catalogue, source).studies == 0
    assert worklist(catalogue) == [("inventory-empty", "")]
    assert not report(catalogue).complete
    source.studies = source_of(1).studies
    take(catalogue, source)
    assert worklist(catalogue) == []


def test_studies_are_counted_like_their_instances_when_the_source_lists_them_no_more_and_again(catalogue: Catalogue) -> None:
    """Whether a copy of them is held or not."""
    source = source_of(6)
    take(catalogue, source)
    held = catalogue.ledger_reader.study_by_uid("c", "1.0")
    assert held is not None
    for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
        catalogue.ledger.move(held, state, "test", "test")
    instances = catalogue.ledger_reader.instances(held.pk)
    ends = [InstanceEnd(one, InstanceState.STORED, "held", "", "ab" * 32, 7, one.sop_instance_uid) for one in instances]
    catalogue.ledger.end_instances(held, ends, "test")
    whole = list(source.studies)
    del source.studies[:2]
    for _ in range(2):
        taken, now = take(catalogue, source), report(catalogue)
        assert (taken.studies, taken.instances) == (now.studies, now.inventoried) == (4, 8)
        assert (now.studies_deleted_at_source, now.deleted_at_source) == (2, 4)
    source.studies = whole
    taken, now = take(catalogue, source), report(catalogue)
    assert (taken.studies, taken.instances) == (now.studies, now.inventoried) == (6, 12)
    assert (now.studies_deleted_at_source, now.deleted_at_source) == (0, 0)


def test_what_was_fetched_is_counted_for_the_campaign_that_it_was_fetched_for(catalogue: Catalogue) -> None:
    take(catalogue, source_of(2))
    catalogue.campaigns.save(Campaign("d", "x://d"))
    first, second = catalogue.ledger_reader.studies("c")
    for study, rule, digest in ((first, "fetch", "ab" * 32), (second, "held-before", "ab" * 32)):
        instances = catalogue.ledger_reader.instances(study.pk)
        ends = [InstanceEnd(one, InstanceState.STORED, "held", received_sha256=digest, rule=rule) for one in instances]
        catalogue.ledger.end_instances(study, ends, "test")
    assert (report(catalogue).fetched, report(catalogue).held, summary_of(catalogue, "d").fetched) == (2, 4, 0)
    for one in catalogue.ledger_reader.instances(first.pk):  # what was asked for and did not come was not fetched
        catalogue.ledger.end_instances(first, [InstanceEnd(one, InstanceState.MISSING)], "test")
    assert report(catalogue).fetched == 2


def test_what_is_held_and_waits_to_be_fetched_once_more_is_no_loss_when_the_source_removes_it(catalogue: Catalogue) -> None:
    source = source_of(3)
    take(catalogue, source)
    (study,) = (one for one in catalogue.ledger_reader.studies("c") if one.study_instance_uid == "1.2")
    hold(catalogue, study)
    with catalogue.ledger.writing("c", "w") as writing:
        writing.except_("source-changed", study.pk)
    catalogue.ledger.retry("c", catalogue.ledger_reader.exceptions("c"), "me")
    assert {one.state for one in catalogue.ledger_reader.instances(study.pk)} == {InstanceState.INVENTORIED}
    source.studies = source.studies[:2]
    take(catalogue, source, "me")
    assert worklist(catalogue) == [("deleted-at-source", "1.2")]
    assert worklist(catalogue, "accepted") == []
    assert catalogue.ledger_reader.study(study.pk).state is not StudyState.DELETED_AT_SOURCE


def hold(catalogue: Catalogue, study: LedgerStudy) -> None:
    """Have a study stored."""
    for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
        catalogue.ledger.move(study, state, "w", "test")
    ends = [
        InstanceEnd(one, InstanceState.STORED, "held", "", f"{one.pk:064}", 100, one.sop_instance_uid)
        for one in catalogue.ledger_reader.instances(study.pk)
    ]
    catalogue.ledger.end_instances(study, ends, "w")
