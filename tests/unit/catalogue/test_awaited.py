"""What a source in cut-over still has is found as if it were here: the union of held and not-yet-moved rows is the source."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.catalogue.catalogue_entries import changed, entry
from tests.unit.catalogue.naive_matching import matches as naive
from vna_core.catalogue import Campaign, Catalogue, Match, awaited_reading, sequence_matching
from vna_core.catalogue.awaited_rows import AwaitedInstance, AwaitedStudy
from vna_core.catalogue.migration_rows import ListedStudy
from vna_core.catalogue.sequence_matching import Room
from vna_core.configuration import CatalogueSettings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.departments import Departments, Origin
from vna_core.domain.errors import LimitExceeded
from vna_core.domain.migration import StudyState
from vna_core.domain.octets import Source
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Level, Query, Wildcard
from vna_core.ports.pacs import InventoriedInstance

NAME, ID, DATE, ACCESSION, DESCRIPTION = 0x00100010, 0x00100020, 0x00080020, 0x00080050, 0x00081030
STUDY, SERIES, SOP, MODALITY, MODALITIES = 0x0020000D, 0x0020000E, 0x00080018, 0x00080060, 0x00080061
SERIES_OF_STUDY, OF_STUDY, OF_SERIES = 0x00201206, 0x00201208, 0x00201209
SERIES_OF_PATIENT, OF_PATIENT, STUDIES_OF_PATIENT = 0x00201202, 0x00201204, 0x00201200
CT = "1.2.840.10008.5.1.4.1.1.2"
NAMES = ("SMITH^ANNA", "Smythe^Bob", "Müller^Jürgen", "Yamada^Tarou=山田^太郎=やまだ^たろう", "SMI_TH%^X", "")
CAMPAIGN = "oldpacs"


@dataclass(frozen=True)
class SourceStudy:
    """One study as source and files agree about it; `held` are the instances that the archive has."""

    number: int
    instances: tuple[tuple[str, str], ...]
    held: frozenset[str]
    attributes: dict[int, tuple[str, ...]]

    @property
    def uid(self) -> str:
        return self.attributes[STUDY][0]


def hospital(seed: int, count: int = 16) -> list[SourceStudy]:
    """Random studies, some held wholly, some in part, most not at all."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        uid = f"1.2.{number}"
        instances = tuple((f"{uid}.{one % 2}", f"{uid}.{one % 2}.{one}") for one in range(chance.randrange(1, 6)))
        share = chance.choice((0.0, 0.0, 0.0, 0.5, 1.0))
        patient = chance.randrange(8)
        attributes = {
            STUDY: (uid,),
            NAME: (NAMES[patient % len(NAMES)],),
            ID: (("P%1", "P_2", "p*3", "4", "P5", "P6", "P7", "P 8")[patient],),
            DATE: (chance.choice(("20200101", "20200102", "20211231", "20260101", "")),),
            ACCESSION: (f"A{number % 5}",),
            DESCRIPTION: (chance.choice(("CT Abdomen", "CT Head", "")),),
            MODALITIES: ("CT",),
            0x00080030: (chance.choice(("101500", "1015", "235959.5")),),
        }
        held = frozenset(sop for _, sop in instances if chance.random() < share)
        made.append(SourceStudy(number, instances, held, {tag: values for tag, values in attributes.items() if values != ("",)}))
    return made


def fill(catalogue: Catalogue, studies: list[SourceStudy], campaign: str = CAMPAIGN) -> None:
    """Record what is held, and take the inventory of everything."""
    entries = []
    for study in studies:
        told = {tag: values for tag, values in study.attributes.items() if tag not in (STUDY, ID, MODALITIES)}
        for series, sop in study.instances:
            if sop in study.held:
                one = entry(sop, series=series, study=study.uid, patient=study.attributes[ID][0])
                source = Source("migration", campaign)
                entries.append((changed(one, source=source, attributes={**one.attributes, **told}), None, None))
    catalogue.record_all(entries)
    inventory(catalogue, studies, campaign)


def inventory(catalogue: Catalogue, studies: list[SourceStudy], campaign: str) -> None:
    catalogue.campaigns.save(Campaign(campaign, campaign))
    snapshot = catalogue.inventories.begin(campaign)

    def first(study: SourceStudy, tag: int) -> str:
        return study.attributes.get(tag, ("",))[0]

    listed = [
        ListedStudy(
            one.uid,
            first(one, ID),
            study_date=first(one, DATE),
            study_time=first(one, 0x00080030),
            modalities="CT",
            accession_number=first(one, ACCESSION),
            instances=len(one.instances),
            patient_name=first(one, NAME),
            study_description=first(one, DESCRIPTION),
        )
        for one in studies
    ]
    catalogue.listing.list_studies(campaign, snapshot.number, listed, "w")
    by_uid = {one.uid: one for one in studies}
    for study in catalogue.ledger_reader.to_be_asked(campaign, snapshot.number):
        uid = study.study_instance_uid
        found = [InventoriedInstance(uid, series, sop, CT) for series, sop in by_uid[uid].instances]
        catalogue.listing.record_instances(study, snapshot.number, found, "w")
    catalogue.inventories.complete(snapshot, len(studies), 0, "", {})
    catalogue.awaited.cutovers.look_every = 0.0


def found(
    catalogue: Catalogue,
    level: Level,
    *conditions: Condition,
    limit: int | None = None,
    offset: int = 0,
    scope: Scope = EVERYTHING,
) -> list[Match]:
    return list(catalogue.awaited.search(Query(level, conditions, limit, offset, scope=scope)).matches)


def of(match: Match, tag: int) -> str:
    return match.attributes.get(tag, ("",))[0]


QUESTIONS: tuple[tuple[Condition, ...], ...] = (
    (),
    (Wildcard(NAME, "smi*"),),
    (Wildcard(NAME, "*mit*"),),
    (Wildcard(NAME, "S?Y*"),),
    (Equals(NAME, ("MULLER^JURGEN",)),),
    (Wildcard(NAME, "山田*"),),
    (Equals(NAME, ("SMITH^ANNA", "Smythe^Bob")),),
    (Equals(ID, ("P%1",)),),
    (Wildcard(ID, "P_*"),),
    (Equals(ID, ("p*3", "P 8")),),
    (Equals(DATE, ("20200101",)),),
    (Between(DATE, "20200102", "20211231"),),
    (Between(DATE, "20211231", ""),),
    (Between(DATE, "", "20200101"),),
    (Between(DATE, "20200101", "20260101"), Between(0x00080030, "1015", "1015")),
    (Equals(ACCESSION, ("A3",)),),
    (Wildcard(ACCESSION, "A?"), Wildcard(DESCRIPTION, "CT *")),
    (Equals(STUDY, tuple(f"1.2.{number}" for number in range(0, 30, 3))),),
    (Wildcard(MODALITIES, "C*"), Wildcard(NAME, "*")),
    (Equals(MODALITIES, ("MR",)),),
)


@pytest.mark.parametrize("seed", range(2))
def test_rows_are_the_sources_whoever_has_them(catalogue: Catalogue, seed: int) -> None:
    studies = hospital(seed)
    fill(catalogue, studies)
    for conditions in QUESTIONS:
        expected = [one for one in studies if all(naive(condition, one.attributes) for condition in conditions)]
        rows = found(catalogue, Level.STUDY, *conditions)
        assert sorted(of(row, STUDY) for row in rows) == sorted(one.uid for one in expected), conditions
        counts = {of(row, STUDY): (of(row, SERIES_OF_STUDY), of(row, OF_STUDY), row.available) for row in rows}
        for one in expected:
            whole = len(one.held) == len(one.instances)
            wanted = (str(len({series for series, _ in one.instances})), str(len(one.instances)), "" if whole else "NEARLINE")
            assert counts[one.uid] == wanted
        series = [(of(row, STUDY), of(row, SERIES), of(row, OF_SERIES)) for row in found(catalogue, Level.SERIES, *conditions)]
        by_series: dict[tuple[str, str], int] = {}
        for one in expected:
            for uid, _ in one.instances:
                by_series[one.uid, uid] = by_series.get((one.uid, uid), 0) + 1
        assert sorted(series) == sorted((study, uid, str(count)) for (study, uid), count in by_series.items())
        images = [of(row, SOP) for row in found(catalogue, Level.IMAGE, *conditions)]
        assert sorted(images) == sorted(sop for one in expected for _, sop in one.instances)


def test_patients_are_counted_over_both(catalogue: Catalogue) -> None:
    studies = hospital(3)
    fill(catalogue, studies)
    rows = {of(row, ID): row for row in found(catalogue, Level.PATIENT)}
    assert len(rows) == len(found(catalogue, Level.PATIENT)) == len({one.attributes[ID] for one in studies})
    for patient, row in rows.items():
        mine = [one for one in studies if one.attributes[ID] == (patient,)]
        counted = (of(row, STUDIES_OF_PATIENT), of(row, SERIES_OF_PATIENT), of(row, OF_PATIENT))
        series = sum(len({uid for uid, _ in one.instances}) for one in mine)
        assert counted == (str(len(mine)), str(series), str(sum(len(one.instances) for one in mine)))


@pytest.mark.parametrize("level", list(Level))
def test_pages_fit_together(catalogue: Catalogue, level: Level) -> None:
    fill(catalogue, hospital(5))
    whole = [row.row for row in found(catalogue, level)]
    paged = [row.row for at in range(0, len(whole) + 7, 7) for row in found(catalogue, level, limit=7, offset=at)]
    assert paged == whole
    cursor, followed = "", []
    while True:
        answer = catalogue.awaited.search(Query(level, limit=7, after=cursor))
        followed += [row.row for row in answer.matches]
        cursor = answer.cursor
        if not cursor:
            break
    assert followed == whole


def test_studies_come_newest_first_wherever_they_are(catalogue: Catalogue) -> None:
    fill(catalogue, hospital(6))
    dates = [of(row, DATE) for row in found(catalogue, Level.STUDY)]
    assert dates == sorted(dates, reverse=True)


def test_nothing_is_awaited_before_an_inventory_is_whole_nor_after_everything_moved(catalogue: Catalogue) -> None:
    studies = hospital(7, 3)
    catalogue.awaited.cutovers.look_every = 0.0
    catalogue.campaigns.save(Campaign(CAMPAIGN, CAMPAIGN))
    snapshot = catalogue.inventories.begin(CAMPAIGN)
    catalogue.listing.list_studies(CAMPAIGN, snapshot.number, [ListedStudy("1.2.0", "P")], "w")
    assert found(catalogue, Level.STUDY) == []
    inventory(catalogue, studies, CAMPAIGN)
    assert len(found(catalogue, Level.STUDY)) == 3
    for study in list(catalogue.ledger_reader.studies(CAMPAIGN)):
        for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
            catalogue.ledger.move(study, state, "w", "test")
    assert found(catalogue, Level.STUDY) == [] and catalogue.awaited.cutovers.active() == {}


def test_cut_over_can_be_switched_for_one_campaign(catalogue: Catalogue) -> None:
    fill(catalogue, hospital(8, 5))
    everything = len(found(catalogue, Level.STUDY))
    catalogue.awaited.cutovers.decide(CAMPAIGN, False, "somebody")
    held = len(found(catalogue, Level.STUDY))
    assert held < everything
    catalogue.awaited.cutovers.decide(CAMPAIGN, None, "somebody")
    assert len(found(catalogue, Level.STUDY)) == everything
    catalogue.awaited.cutovers.automatic = False
    assert len(found(catalogue, Level.STUDY)) == held
    catalogue.awaited.cutovers.decide(CAMPAIGN, True, "somebody")
    assert len(found(catalogue, Level.STUDY)) == everything
    catalogue.campaigns.set_state(CAMPAIGN, "cancelled")
    assert len(found(catalogue, Level.STUDY)) == held


def test_without_a_campaign_in_cut_over_no_statement_is_added(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue.record(entry())
    assert len(found(catalogue, Level.STUDY)) == 1

    def unexpected(*_: object) -> None:
        raise AssertionError("the ledger was read")

    monkeypatch.setattr(catalogue.awaited.cutovers, "states", unexpected)
    monkeypatch.setattr(catalogue.awaited.reader, "walk", unexpected)
    for level in Level:
        assert len(found(catalogue, level)) == 1


def test_two_sources_with_one_study_make_one_row(catalogue: Catalogue) -> None:
    studies = hospital(9, 6)
    fill(catalogue, studies)
    inventory(catalogue, studies, "second")
    assert sorted(of(row, STUDY) for row in found(catalogue, Level.STUDY)) == sorted(one.uid for one in studies)


NewCatalogue = Callable[..., tuple[CatalogueSettings, Path]]
WALLS = Departments(
    holds={
        "radiology": (Origin("migration", ("oldpacs",), {ACCESSION: ("A0", "A1")}),),
        "cardiology": (Origin("migration", ("oldpacs",), {ACCESSION: ("A2",)}),),
        "secret": (Origin("migration", ("oldpacs",), {0x00080080: ("CLINIC B",)}),),
    },
    collections={"collection:board": (Origin(attributes={DESCRIPTION: ("CT Head",)}),)},
)


@pytest.fixture
def divided(new_catalogue: NewCatalogue) -> Iterator[Catalogue]:
    with Catalogue.open(*new_catalogue(), WALLS) as opened:
        yield opened


def test_who_may_not_see_a_department_sees_nothing_of_what_it_will_get(divided: Catalogue) -> None:
    studies = [one for one in hospital(11) if not one.held]
    fill(divided, studies)

    def seen(*labels: str) -> set[str]:
        rows = found(divided, Level.STUDY, scope=Scope(frozenset(labels)))
        below = found(divided, Level.IMAGE, scope=Scope(frozenset(labels)))
        assert {of(row, STUDY) for row in below} == {of(row, STUDY) for row in rows}
        return {of(row, ACCESSION) for row in rows}

    assert seen("radiology") == {"A0", "A1"}
    assert seen("cardiology") == {"A2"}
    # Only the images will tell whether a study belongs to the third department, so nobody is shown it on a mere chance.
    assert seen("secret") == set() and seen("pathology") == set()
    assert {of(row, DESCRIPTION) for row in found(divided, Level.STUDY, scope=Scope(frozenset(("collection:board",))))} == {
        "CT Head"
    }
    assert len(found(divided, Level.STUDY)) == len(studies)


def test_a_list_may_name_more_than_a_statement_takes(catalogue: Catalogue) -> None:
    studies = hospital(3)
    fill(catalogue, studies)
    elsewhere = tuple(f"1.3.{number}" for number in range(100_000))
    for tag in (STUDY, SERIES, SOP):
        here = {STUDY: "1.2.3", SERIES: studies[3].instances[0][0], SOP: studies[3].instances[0][1]}[tag]
        level = {STUDY: Level.STUDY, SERIES: Level.SERIES, SOP: Level.IMAGE}[tag]
        assert [of(row, STUDY) for row in found(catalogue, level, Equals(tag, (*elsewhere, here)))] == ["1.2.3"]


def test_conditions_that_no_inventory_can_answer_are_named(catalogue: Catalogue) -> None:
    fill(catalogue, [one for one in hospital(12) if not one.held])
    answer = catalogue.awaited.search(Query(Level.STUDY, (Equals(0x00101010, ("030Y",)), Equals(ACCESSION, ("A1",)))))
    assert answer.unmatched == (0x00101010,)
    assert {of(row, ACCESSION) for row in answer.matches} == {"A1"}


@pytest.mark.parametrize("tag", [NAME, DATE, ACCESSION, DESCRIPTION, MODALITIES])
def test_empty_values_are_found_held_or_not(catalogue: Catalogue, tag: int) -> None:
    studies = hospital(21, 40)
    fill(catalogue, studies)
    expected = sorted(study.uid for study in studies if naive(Empty(tag), study.attributes))
    assert sorted(of(row, STUDY) for row in found(catalogue, Level.STUDY, Empty(tag))) == expected
    assert bool(expected) == (tag in (NAME, DATE, DESCRIPTION))


def test_what_is_in_a_sequence_hides_nothing_that_is_awaited_and_is_told(catalogue: Catalogue) -> None:
    fill(catalogue, studies := [one for one in hospital(12) if not one.held])
    asked = InSequence(0x00081032, (Equals(0x00080100, ("P1",)),))
    answer = catalogue.awaited.search(Query(Level.STUDY, (asked,)))
    assert answer.unmatched == (0x00081032,)
    assert {of(row, STUDY) for row in answer.matches} == {study.uid for study in studies}


@pytest.mark.parametrize("level", [Level.PATIENT, Level.STUDY, Level.SERIES])
def test_headers_are_read_within_one_limit_for_the_whole_question(
    catalogue: Catalogue, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is awaited is looked at in pieces, and each piece is compared with what is held."""
    studies = [one for one in hospital(12, 120) if one.held and len(one.held) < len(one.instances)]
    fill(catalogue, studies)
    monkeypatch.setattr(awaited_reading, "_PIECE", 3)
    read: list[int] = []
    take = Room.take

    def counted(room: Room, octets: int) -> None:
        read.append(octets)
        take(room, octets)

    monkeypatch.setattr(Room, "take", counted)
    asked = InSequence(0x00101002 if level is Level.PATIENT else 0x00081032, (Equals(0x00080100, ("P1",)),))
    whole = found(catalogue, level, asked)
    assert len(read) > len(studies) > 3
    needed = sum(read)
    monkeypatch.setattr(sequence_matching, "READ_LIMIT", needed)
    assert [match.attributes for match in found(catalogue, level, asked)] == [match.attributes for match in whole]
    monkeypatch.setattr(sequence_matching, "READ_LIMIT", needed - 1)
    with pytest.raises(LimitExceeded, match="Narrow the query"):
        found(catalogue, level, asked)


@pytest.mark.parametrize("level", [Level.SERIES, Level.IMAGE])
def test_a_search_by_uids_below_the_study_looks_only_at_studies_that_list_them(
    catalogue: Catalogue, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [study for study in hospital(11, 40) if not study.held]
    fill(catalogue, studies)
    looked_at: list[str] = []
    missing = catalogue.awaited.reader.missing

    def counted(study: AwaitedStudy) -> list[AwaitedInstance]:
        looked_at.append(study.study_instance_uid)
        return missing(study)

    monkeypatch.setattr(catalogue.awaited.reader, "missing", counted)
    wanted = studies[7]
    series, sop = wanted.instances[0]
    asked = [Equals(SERIES, (series,)), *([Equals(SOP, (sop,))] if level is Level.IMAGE else [])]
    for condition in asked:
        looked_at.clear()
        assert {of(match, STUDY) for match in found(catalogue, level, condition)} == {wanted.uid}
        assert looked_at == [wanted.uid]
        looked_at.clear()
        assert found(catalogue, level, Equals(condition.tag, ("1.2.3.4",))) == []
        assert looked_at == []
        many = Equals(condition.tag, (*condition.values, *(f"1.3.9.{number}" for number in range(2_000))))
        assert {of(match, STUDY) for match in found(catalogue, level, many)} == {wanted.uid}, "too many to look for one by one"


MR, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"


def listed_as(catalogue: Catalogue, told: str, *instances: tuple[str, str]) -> None:
    """An inventory of one study of which the source tells these modalities, and SOP class and modality of an instance a series."""
    catalogue.campaigns.save(Campaign(CAMPAIGN, CAMPAIGN))
    snapshot = catalogue.inventories.begin(CAMPAIGN)
    catalogue.listing.list_studies(CAMPAIGN, snapshot.number, [ListedStudy("1.2", "P", modalities=told)], "w")
    (study,) = catalogue.ledger_reader.to_be_asked(CAMPAIGN, snapshot.number)
    found = [
        InventoriedInstance("1.2", f"1.2.{number}", f"1.2.{number}.1", sop_class, modality=modality)
        for number, (sop_class, modality) in enumerate(instances)
    ]
    catalogue.listing.record_instances(study, snapshot.number, found, "w")
    catalogue.inventories.complete(snapshot, 1, len(found), "", {})
    catalogue.awaited.cutovers.look_every = 0.0


@pytest.mark.parametrize(
    ("told", "instances", "modalities"),
    [
        ("", [("", "CT"), (SECONDARY_CAPTURE, "OT")], ("CT", "OT")),
        ("", [(CT, ""), (MR, "")], ("CT", "MR")),
        ("CT", [("", "CT"), ("", "PR")], ("CT", "PR")),
        ("CT", [("", ""), ("", "")], ("CT",)),
        ("CT\\SR", [("", ""), ("", "")], ("CT", "SR")),
    ],
)
def test_modalities_of_a_study_are_those_of_its_series(
    catalogue: Catalogue, told: str, instances: list[tuple[str, str]], modalities: tuple[str, ...]
) -> None:
    listed_as(catalogue, told, *instances)
    for modality in ("CT", "MR", "OT", "PR", "SR"):
        answer = catalogue.awaited.search(Query(Level.STUDY, (Equals(MODALITIES, (modality,)),)))
        assert [row.attributes[MODALITIES] for row in answer.matches] == [modalities] * (modality in modalities)
        assert answer.unmatched == ()


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
def test_a_modality_that_nobody_knows_hides_nothing_and_is_told(catalogue: Catalogue, level: Level) -> None:
    listed_as(catalogue, "", (CT, ""), ("", ""))
    key = MODALITIES if level is Level.STUDY else MODALITY
    answer = catalogue.awaited.search(Query(level, (Equals(key, ("US",)),)))
    assert [of(row, SERIES) for row in answer.matches] == ([""] if level is Level.STUDY else ["1.2.1"])
    assert answer.unmatched == (key,)
    other = catalogue.awaited.search(Query(level, (Equals(key, ("US",)), Equals(STUDY, ("1.3",)))))
    assert (list(other.matches), other.unmatched) == ([], ())


def test_a_class_that_nobody_knows_hides_nothing_and_is_told(catalogue: Catalogue) -> None:
    listed_as(catalogue, "CT", (CT, "CT"), ("", "CT"), (MR, "CT"))
    answer = catalogue.awaited.search(Query(Level.IMAGE, (Equals(0x00080016, (CT,)),)))
    assert [of(row, SERIES) for row in answer.matches] == ["1.2.0", "1.2.1"]
    assert answer.unmatched == (0x00080016,)
    named = catalogue.awaited.search(Query(Level.IMAGE, (Equals(0x00080016, (CT,)), Equals(SOP, ("1.2.0.1",)))))
    assert [of(row, SOP) for row in named.matches] == ["1.2.0.1"]


def test_a_study_without_instances_has_no_modality(catalogue: Catalogue) -> None:
    listed_as(catalogue, "")
    answer = catalogue.awaited.search(Query(Level.STUDY, (Equals(MODALITIES, ("CT",)),)))
    assert (list(answer.matches), answer.unmatched) == ([], ())


def test_modalities_follow_what_the_source_lists_later(catalogue: Catalogue) -> None:
    listed_as(catalogue, "", (CT, "CT"), (MR, "MR"))
    listed_as(catalogue, "", (CT, "CT"))
    (row,) = catalogue.awaited.search(Query(Level.STUDY)).matches
    assert row.attributes[MODALITIES] == ("CT",)
