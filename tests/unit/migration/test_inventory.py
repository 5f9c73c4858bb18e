"""An inventory finds every study, whatever caps and dates hide, and sees what changed at the source since the last one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.migration.listed_source import ListedSource, Study
from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_inventories import Inventory
from vna_core.catalogue.migration_rows import InstanceEnd
from vna_core.configuration import CatalogueSettings
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerUnavailable
from vna_core.domain.migration import InstanceState, StudyState
from vna_core.domain.query import Query
from vna_core.migration.inventory import InventoryTaker
from vna_core.migration.report import summary_of
from vna_core.migration.spans import Span, by_date
from vna_core.ports.pacs import DicomJson, InventoriedInstance, PacsAbilities


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        opened.campaigns.save(Campaign("c", "x://c"))
        yield opened


def take(catalogue: Catalogue, source: ListedSource) -> Inventory:
    return InventoryTaker("c", source, source.probe(), catalogue, "test").take(2)


def made(count: int, seed: int = 1) -> list[Study]:
    draw = random.Random(seed)
    studies = []
    for number in range(count):
        day = (date(2019, 1, 1) + timedelta(draw.randrange(1500))).strftime("%Y%m%d")
        odd = draw.choice(["", "19000101", "00010101", "99991231"])
        patient = f"{draw.choice('0159AXz')}{draw.randrange(10_000)}"
        studies.append(Study(f"1.2.{number}", patient, day if draw.random() < 0.9 else odd, "101500", (f"1.2.{number}.1.1",)))
    return studies


@pytest.mark.parametrize("says_so", [False, True])
@pytest.mark.parametrize(("count", "cap"), [(37, None), (150, 100), (60, 7)])
def test_every_study_is_found_whatever_the_cap(catalogue: Catalogue, count: int, cap: int | None, says_so: bool) -> None:
    source = ListedSource(made(count), cap, says_so)
    assert take(catalogue, source).studies == count


def test_studies_of_one_minute_are_told_apart_by_patient(catalogue: Catalogue) -> None:
    studies = [Study(f"1.2.{number}", f"{number:04}", instances=(f"1.2.{number}.1",)) for number in range(120)]
    assert take(catalogue, ListedSource(studies, 50)).studies == 120


def test_what_cannot_be_told_apart_is_on_the_worklist(catalogue: Catalogue) -> None:
    studies = [Study(f"1.2.{number}", "SAME", instances=(f"1.2.{number}.1",)) for number in range(70)]
    inventory = take(catalogue, ListedSource(studies, 50))
    assert inventory.details["capped"]
    assert [one.reason for one in catalogue.ledger_reader.exceptions("c")] == ["inventory-capped"]


def test_the_next_inventory_sees_additions_corrections_and_deletions(catalogue: Catalogue) -> None:
    source = ListedSource([Study(f"1.{n}", f"P{n}", instances=(f"1.{n}.1.1", f"1.{n}.1.2")) for n in range(5)])
    first = take(catalogue, source)
    reader, ledger = catalogue.ledger_reader, catalogue.ledger
    for study in list(reader.studies("c")):
        for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
            assert ledger.move(study, state, "test", "test")
        ends = [InstanceEnd(one, InstanceState.STORED, "held") for one in reader.instances(study.pk)]
        ledger.end_instances(study, ends, "test")
    source.asked.clear()
    source.studies[1] = replace(source.studies[1], instances=("1.1.1.1", "1.1.1.2", "1.1.1.3"))
    source.studies[2] = replace(source.studies[2], description="corrected")
    source.studies[3:4] = []
    second = take(catalogue, source)
    assert (first.number, first.instances) == (1, 10)
    assert (second.number, second.studies, second.instances) == (2, 4, 9)
    assert source.asked.count("1.0") == source.asked.count("1.4") == 0
    states = {study.study_instance_uid: study.state.value for study in reader.studies("c")}
    assert states == {"1.0": "stored", "1.1": "inventoried", "1.2": "stored", "1.3": "stored", "1.4": "stored"}
    found = {(one.study_instance_uid, one.reason) for one in reader.exceptions("c")}
    assert found == {("1.2", "source-changed"), ("1.3", "deleted-at-source")}
    assert first.digest != second.digest
    assert len(list(reader.snapshot("c", 1))) == 10


def test_an_interrupted_inventory_goes_on(catalogue: Catalogue) -> None:
    class Broken(ListedSource):
        left = 20

        def inventory(self, study_instance_uid, *, deadline=None):  # type: ignore[no-untyped-def]
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return super().inventory(study_instance_uid)

    studies = made(60)
    with pytest.raises(KeyboardInterrupt):
        take(catalogue, Broken(studies))
    source = ListedSource(studies)
    inventory = take(catalogue, source)
    assert (inventory.number, inventory.studies) == (1, 60)
    assert len(source.asked) <= 45


def test_a_study_without_images_and_one_with_too_few_are_on_the_worklist(catalogue: Catalogue) -> None:
    class Miscounting(ListedSource):
        def find(self, query, **more):  # type: ignore[no-untyped-def]
            for answer in super().find(query, **more):
                yield {**answer, "00201208": {"vr": "IS", "Value": [7]}}

    take(catalogue, Miscounting([Study("1.1"), Study("1.2", instances=("1.2.1",))]))
    found = {(one.study_instance_uid, one.reason) for one in catalogue.ledger_reader.exceptions("c")}
    assert found == {("1.1", "no-instances"), ("1.1", "count-differs"), ("1.2", "count-differs")}


@given(st.dates(), st.integers(0, 86399))
def test_narrower_questions_ask_for_the_same_days(day: date, second: int) -> None:
    top = next(span for span in by_date(date(2026, 1, 1), 10) if span.first and span.last and span.first <= day <= span.last)
    span = top
    while span.days != 1 or span.from_second != span.to_second:
        holding = [
            one
            for one in span.narrower()
            if one.first and one.last and one.first <= day <= one.last and one.from_second <= second <= one.to_second
        ]
        assert len(holding) == 1
        span = holding[0]
    assert all(one.prefix for one in span.narrower())
    assert Span(prefix="0123456789abcdef").narrower() == []


class Uneven(ListedSource):
    """Refuses to list the instances of some studies; `gone`: and answers nothing any more."""

    refuses: frozenset[str] = frozenset()
    gone = False

    def probe(self, thorough: bool = False) -> PacsAbilities:
        if self.gone:
            raise PeerUnavailable("Nobody answers.")
        return super().probe(thorough)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        if study_instance_uid in self.refuses:
            raise PeerError("OLDPACS ended C-FIND with status C001", status="C001")
        return super().inventory(study_instance_uid)


def test_a_study_whose_instances_are_refused_does_not_hold_up_the_others(catalogue: Catalogue) -> None:
    source = Uneven([Study(f"1.{n}", f"P{n}", instances=(f"1.{n}.1.1", f"1.{n}.1.2")) for n in range(4)])
    source.refuses = frozenset(("1.2",))
    inventory = take(catalogue, source)
    assert (inventory.number, inventory.studies, inventory.instances) == (1, 3, 6)
    found = catalogue.ledger_reader.exceptions("c")
    assert [(one.reason, one.study_instance_uid) for one in found] == [("inventory-failed", "1.2")]
    assert "C001" in found[0].detail
    assert not summary_of(catalogue, "c").complete
    source.refuses = frozenset()
    assert take(catalogue, source).instances == 8
    assert catalogue.ledger_reader.exceptions("c") == []


def test_instances_that_were_known_stay_while_a_later_inventory_is_refused_them(catalogue: Catalogue) -> None:
    source = Uneven([Study(f"1.{n}", f"P{n}", instances=(f"1.{n}.1.1",)) for n in range(3)], told=False)
    take(catalogue, source)
    source.refuses = frozenset(("1.1",))
    assert take(catalogue, source).instances == 3
    assert [one.reason for one in catalogue.ledger_reader.exceptions("c")] == ["inventory-failed"]


def test_a_source_that_goes_away_while_it_lists_instances_ends_the_inventory(catalogue: Catalogue) -> None:
    source = Uneven([Study(f"1.{n}", instances=(f"1.{n}.1",)) for n in range(3)])
    source.refuses = frozenset(("1.1",))
    taker = InventoryTaker("c", source, source.probe(), catalogue, "test")
    source.gone = True
    with pytest.raises(PeerUnavailable):
        taker.take(1)
    assert catalogue.ledger_reader.exceptions("c") == []


def test_a_source_that_lists_no_instances_of_any_study_ends_the_inventory_with_a_study_named(catalogue: Catalogue) -> None:
    source = Uneven([Study(f"1.{n}", f"P{n}", instances=(f"1.{n}.1",)) for n in range(30)])
    source.refuses = frozenset(one.uid for one in source.studies)
    with pytest.raises(PeerError, match=r"Study 1\.\d+: OLDPACS ended C-FIND with status C001"):
        take(catalogue, source)


@pytest.mark.parametrize("between", [0, 450, 600])
def test_one_study_uid_listed_for_two_patients_is_seen_wherever_the_second_stands(catalogue: Catalogue, between: int) -> None:
    others = [Study(f"1.9.{n}", f"Q{n}", instances=(f"1.9.{n}.1",)) for n in range(between)]
    twice = [Study("1.1", "P1", instances=("1.1.1",)), *others, Study("1.1", "P2", instances=("1.1.1",))]
    take(catalogue, ListedSource(twice, told=False))
    found = catalogue.ledger_reader.exceptions("c", reason="shared-study-uid")
    assert [(one.study_instance_uid, one.detail) for one in found] == [("1.1", "listed for patients P1 and P2 in one inventory")]


def test_what_is_listed_without_a_uid_is_on_the_worklist_by_what_else_is_known(catalogue: Catalogue) -> None:
    source = ListedSource(
        [
            Study("1.1", "P1", instances=("1.1.1", "", "")),
            Study("", "P2", description="nameless"),
            Study("", "P3"),
            Study("", "P3"),
        ]
    )
    inventory = take(catalogue, source)
    assert inventory.details["studies_without_uid"] == 2
    found = {one.study_instance_uid: one for one in catalogue.ledger_reader.exceptions("c", reason="answer-without-uid")}
    assert set(found) == {"", "1.1"}
    assert found[""].detail.startswith("2 studies without Study Instance UID") and "patient P2" in found[""].detail
    assert found["1.1"].detail.startswith("2 instances without SOP Instance UID")
    assert summary_of(catalogue, "c").unlisted == 2
    source.studies[:] = [Study("1.1", "P1", instances=("1.1.1",))]
    take(catalogue, source)
    assert catalogue.ledger_reader.exceptions("c") == []


def test_what_is_listed_without_a_uid_stays_accepted_however_many_pages_and_questions_tell_it(catalogue: Catalogue) -> None:
    """A cap has every question asked in parts, each of which brings some of them; interrupted, those of the first part are known."""
    nameless = [Study("", f"N{n:02}", date=f"{2001 + n}0101") for n in range(12)]
    source = replace(ListedSource([*made(30), *nameless]), cap=20, says_so=True)
    take(catalogue, source)
    (entry,) = catalogue.ledger_reader.exceptions("c", reason="answer-without-uid")
    assert entry.detail.startswith("12 studies without Study Instance UID")
    catalogue.ledger.close_exceptions("c", [entry.pk], "accepted", "J. Doe", "rows without a file")
    take(catalogue, source)
    assert catalogue.ledger_reader.exceptions("c") == []

    class Broken(ListedSource):
        left = 6

        def find(self, query: Query, **more: Any) -> Iterator[DicomJson]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            yield from super().find(query, **more)

    broken = Broken([*nameless[:5], *made(30), *nameless[5:]], cap=20, says_so=True)
    with pytest.raises(KeyboardInterrupt):
        take(catalogue, broken)
    begun = catalogue.inventories.newest("c")
    assert begun is not None and 0 < len(begun.details["nameless"]) < 12
    broken.left = 10_000
    inventory = take(catalogue, broken)
    assert (inventory.number, inventory.details["studies_without_uid"]) == (3, 12)
    assert catalogue.ledger_reader.exceptions("c") == []

    source.studies.append(Study("", "N99", date="20200202"))
    take(catalogue, source)
    (again,) = catalogue.ledger_reader.exceptions("c")
    assert again.detail.startswith("13 studies without Study Instance UID") and again.state == "open"


class Choosy(ListedSource):
    """Refuses what `refuses` says."""

    refuses: Callable[[Query], bool] = staticmethod(lambda query: True)
    questions = 0

    def find(self, query: Query, **more: Any) -> Iterator[DicomJson]:
        self.questions += 1
        if self.refuses(query):
            raise PeerError("OLDPACS ended C-FIND with status A700", status="A700")
        yield from super().find(query, **more)


def about(query: Query, tag: int) -> bool:
    return any(condition.tag == tag for condition in query.conditions)


def test_a_source_that_refuses_every_question_ends_the_inventory_soon(catalogue: Catalogue) -> None:
    source = Choosy(made(5))
    with pytest.raises(PeerError, match="refuses every question"):
        take(catalogue, source)
    assert source.questions < 600


@pytest.mark.parametrize("needed", [0x00080020, 0x00100020])
def test_a_source_that_answers_one_way_only_is_inventoried_and_says_what_it_refused(catalogue: Catalogue, needed: int) -> None:
    studies = [
        Study(f"1.2.{number}", f"P{number}", f"{2000 + number}0101", instances=(f"1.2.{number}.1",)) for number in range(15)
    ]
    source = Choosy(studies)
    source.refuses = lambda query: not about(query, needed)
    assert take(catalogue, source).studies == 15
    assert [one.reason for one in catalogue.ledger_reader.exceptions("c")] == ["inventory-refused"]
    assert source.questions < 6000


def test_a_row_that_no_question_survives_hides_nothing_beside_it(catalogue: Catalogue) -> None:
    source = Choosy(made(40))
    bad = next(one for one in source.studies if one.date > "2019")
    source.refuses = lambda query: source._matches(bad, query)
    inventory = take(catalogue, source)
    assert inventory.studies == 39
    assert inventory.details["refused"]
    assert "inventory-refused" in {one.reason for one in catalogue.ledger_reader.exceptions("c")}
    source.refuses = lambda query: False
    assert take(catalogue, source).studies == 40
    assert catalogue.ledger_reader.exceptions("c") == []


LISTS = ["a", "ab", "b", "ab", "", "abc", "ca", "c", "b", "ba", ""]
"""What is listed under one UID, one list after the other; a letter stands for a digest, nothing for a file without one."""


def test_files_under_one_uid_are_told_apart_by_their_digests(catalogue: Catalogue) -> None:
    take(catalogue, ListedSource([Study("1.1", instances=())]))
    known: dict[int, str] = {}
    for number, letters in enumerate(LISTS, 2):
        digests = [f"sha256:{letter}" for letter in letters] or [""]
        [study] = catalogue.ledger_reader.studies("c")
        found = [InventoriedInstance("1.1", "1.1.1", "1.1.1.1", digest=one) for one in digests]
        catalogue.listing.record_instances(study, number, found, "test")
        rows = catalogue.ledger_reader.instances(study.pk)
        listed = {one.pk: one.source_digest for one in rows if one.state is not InstanceState.DELETED_AT_SOURCE}
        assert len(listed) == len(digests)
        if len(known) > 1 or len(digests) > 1:  # one file under its UID is the same one, whatever its digest has become
            assert {pk: digest for pk, digest in known.items() if digest in digests}.items() <= listed.items()
        assert known.keys() <= {one.pk for one in rows}
        known = {one.pk: one.source_digest for one in rows}
    assert sorted(known.values()) == ["sha256:a", "sha256:b", "sha256:c"]


def test_what_somebody_accepted_is_not_put_back_on_the_worklist_by_the_next_inventory(catalogue: Catalogue) -> None:
    source = ListedSource([Study("1.1", instances=()), Study("1.2", "Q", instances=("1.2.1.1",))], told=False)
    take(catalogue, source)
    (entry,) = catalogue.ledger_reader.exceptions("c")
    assert (entry.reason, entry.study_instance_uid) == ("no-instances", "1.1")
    catalogue.ledger.close_exceptions("c", [entry.pk], "accepted", "me", "made by an order")
    take(catalogue, source)
    assert catalogue.ledger_reader.exceptions("c") == []
    (kept,) = catalogue.ledger_reader.exceptions("c", state="accepted")
    assert (kept.note, kept.times) == ("made by an order", 2)
    source.studies[0] = Study("1.1", instances=("1.1.1.1",))
    take(catalogue, source)
    source.studies[0] = Study("1.1", instances=())
    take(catalogue, source)
    (entry,) = catalogue.ledger_reader.exceptions("c")
    assert "listed 1 instances before" in entry.detail, "another matter"
