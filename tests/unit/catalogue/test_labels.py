"""Labels in the catalogue: what a scope sees is what it would see if nothing else were held."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.catalogue.catalogue_entries import changed, entry
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.domain.access import EVERYTHING, NOTHING, Scope
from vna_core.domain.departments import Departments, Origin
from vna_core.domain.instance import IndexEntry
from vna_core.domain.octets import Source
from vna_core.domain.query import Equals, InSequence, Level, Query

DEPARTMENTS = Departments(
    holds={"cardiology": (), "radiology": (), "pathology": ()},
    members={("dimse", "CT1"): "radiology", ("dimse", "ECHO1"): "cardiology", ("dimse", "SCAN1"): "pathology"},
    collections={"collection:board": (Origin(attributes={0x00080050: ("BOARD*",)}),)},
)
TITLES = {"radiology": "CT1", "cardiology": "ECHO1", "pathology": "SCAN1", "": "ELSEWHERE"}
NewCatalogue = Callable[..., tuple[CatalogueSettings, Path]]


def of(department: str, *labels: str) -> Scope:
    return Scope(frozenset((department, *labels)))


def sent(one: IndexEntry, department: str) -> IndexEntry:
    return changed(one, source=Source("dimse", TITLES[department], "127.0.0.1"))


@pytest.fixture
def divided(new_catalogue: NewCatalogue) -> Iterator[Catalogue]:
    with Catalogue.open(*new_catalogue(), DEPARTMENTS) as opened:
        yield opened


def rows(catalogue: Catalogue, level: Level, scope: Scope, limit: int | None = None, **more: object) -> list[dict]:  # type: ignore[type-arg]
    query = Query(level, limit=limit, scope=scope, **more)  # type: ignore[arg-type]
    return [match.attributes for match in catalogue.search(query).matches]


def some_archive(number: int) -> list[tuple[IndexEntry, str]]:
    """Random instances: patients, studies and series that departments share in part."""
    chance = random.Random(number)
    made = []
    for count in range(60):
        study, series = chance.randrange(8), chance.randrange(3)
        one = entry(
            f"1.2.{study}.{series}.{count}",
            series=f"1.2.{study}.{series}",
            study=f"1.2.{study}",
            patient=f"P{study % 3}",
            second=count,
            study_date=f"202601{study + 10:02d}",
            patient_id=f"P{study % 3}",
            study_instance_uid=f"1.2.{study}",
            series_instance_uid=f"1.2.{study}.{series}",
            accession_number="BOARD1" if study == 5 else "A1",
        )
        made.append((one, chance.choice(list(TITLES))))
    return made


def some_versions(number: int) -> list[tuple[IndexEntry, str]]:
    """Random instances of which departments have versions of their own, in one series."""
    chance = random.Random(number)
    made = []
    for count in range(60):
        sop = chance.randrange(16)
        study = f"1.2.{sop % 3}"
        fields = {"instance_number": str(count), "study_date": f"202601{sop % 3 + 10}", "series_instance_uid": f"{study}.0"}
        place = {"series": f"{study}.0", "study": study, "patient": "P0"}
        one = entry(
            f"{study}.0.{sop}", **place, content=str(count), second=count, patient_id="P0", study_instance_uid=study, **fields
        )
        made.append((one, chance.choice(list(TITLES))))
    return made


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("archive", [some_archive, some_versions])
def test_a_scope_sees_what_an_archive_of_that_alone_would_show(
    new_catalogue: NewCatalogue, archive: Callable[[int], list[tuple[IndexEntry, str]]], number: int
) -> None:
    """Rows, counts and order, compared with a second catalogue that holds nothing else."""
    everything = archive(number)
    scope = of("radiology", "collection:board")
    with Catalogue.open(*new_catalogue("all"), DEPARTMENTS) as whole, Catalogue.open(*new_catalogue("part")) as part:
        whole.record_all([(sent(one, department), None, None) for one, department in everything])
        for one, department in everything:
            if set(DEPARTMENTS.labels(Source("dimse", TITLES[department]), "", one.attributes)) & set(scope.labels or ()):
                part.record(sent(one, department))
        for level in Level:
            shared = {0x00080061, 0x00080062}  # lists of a study are of the whole study
            seen, alone = (
                [{tag: row[tag] for tag in row if tag not in shared} for row in rows(one, level, within)]
                for one, within in ((whole, scope), (part, EVERYTHING))
            )
            assert sorted(map(repr, seen)) == sorted(map(repr, alone))
            if level is Level.STUDY:
                assert [row[0x00080020] for row in seen] == [row[0x00080020] for row in alone]
        for study in range(8):
            uid = f"1.2.{study}"
            shown = [one.sha256 for one in whole.instances(study=uid, scope=scope)]
            assert sorted(shown) == sorted(one.sha256 for one in part.instances(study=uid))
            uids = [one.sop_instance_uid for one in part.instances(study=uid)]
            assert sorted(one.sha256 for one in whole.instances_by_uid_list(uids, scope)) == sorted(shown)
            listed = sorted(row[4] for series in range(3) for row in whole.listed_headers(uid, f"{uid}.{series}", scope))
            assert listed == sorted(row[4] for series in range(3) for row in part.listed_headers(uid, f"{uid}.{series}"))


def test_a_version_that_stands_for_one_department_is_as_available_as_it_is(divided: Catalogue) -> None:
    for second, department in enumerate(("cardiology", "radiology")):
        divided.record(
            sent(entry("1.2.0.0.1", content=department, second=second), department),
            lambda held: {one.pk: "content" for one in held},
        )
    [held] = divided.instances(sop="1.2.0.0.1", scope=of("radiology"))
    assert held.version == 2 and not held.current
    stores = {location.store for location in held.locations}
    assert divided.availabilities.unreadable(Level.IMAGE, [held.pk], stores) == (set(), {held.pk})


def test_pages_of_a_scope_join_to_the_whole_without_gaps(divided: Catalogue) -> None:
    divided.record_all([(sent(one, department), None, None) for one, department in some_archive(7)])
    scope = of("radiology", "cardiology")
    whole = rows(divided, Level.STUDY, scope)
    paged: list[object] = []
    after = ""
    while True:
        answer = divided.search(Query(Level.STUDY, limit=2, after=after, scope=scope))
        paged += [match.attributes for match in answer.matches]
        if not (after := answer.cursor):
            break
    assert paged == whole and len(whole) > 4
    assert [row for at in range(0, len(whole), 3) for row in rows(divided, Level.STUDY, scope, 3, offset=at)] == whole


def test_conditions_and_scope_hold_together(divided: Catalogue) -> None:
    divided.record_all([(sent(one, department), None, None) for one, department in some_archive(3)])
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        query = Query(level, (Equals(0x00100020, ("P1",)),), scope=of("pathology"))
        found = [match.patient.patient_id for match in divided.search(query).matches]
        assert found and set(found) == {"P1"}
        assert len(found) < len(list(divided.search(Query(level, query.conditions)).matches)) or level is Level.STUDY


def test_nothing_and_what_has_no_label_are_seen_by_no_department(divided: Catalogue) -> None:
    divided.record(sent(entry("1.2.3.1.1"), ""))
    for level in Level:
        assert rows(divided, level, NOTHING) == rows(divided, level, of("radiology", "cardiology", "pathology")) == []
        assert len(rows(divided, level, EVERYTHING)) == 1
    assert divided.versions("1.2.3.1.1", of("radiology")) == ()
    assert list(divided.instances_by_uid_list(["1.2.3.1.1"], of("radiology"))) == []


def test_octets_that_a_second_department_delivers_are_seen_by_both(divided: Catalogue) -> None:
    held = divided.record(sent(entry("1.2.3.1.1"), "radiology")).held
    assert not divided.instances(study="1.2.3", scope=of("cardiology"))
    assert divided.labelling.deliver(held.pk, Source("dimse", "ECHO1", "127.0.0.1"))
    assert not divided.labelling.deliver(held.pk, Source("dimse", "ECHO1", "127.0.0.1"))
    for department in ("cardiology", "radiology"):
        assert len(divided.instances(study="1.2.3", scope=of(department))) == 1
        assert len(rows(divided, Level.STUDY, of(department))) == 1
    assert not divided.instances(study="1.2.3", scope=of("pathology"))


def test_new_rules_are_given_to_what_is_held(new_catalogue: NewCatalogue) -> None:
    settings = new_catalogue()
    entries = [(sent(one, department), None, None) for one, department in some_archive(1)]
    with Catalogue.open(*settings) as undivided:
        undivided.record_all(entries)  # type: ignore[arg-type]
    with Catalogue.open(*settings, DEPARTMENTS) as divided:
        assert rows(divided, Level.STUDY, of("radiology")) == []
        # Headers of these entries carry no attributes, so no collection applies.
        labelled = sum(1 for one, *_ in entries if one.source.name != "ELSEWHERE")
        assert divided.labelling.relabel_all() == labelled
        assert divided.labelling.relabel_all() == 0
        for department, title in TITLES.items():
            if department:
                seen = rows(divided, Level.IMAGE, of(department))
                assert len(seen) == sum(1 for one, *_ in entries if one.source.name == title)
        counted = {one.label: one.instances for one in divided.labelling.counts()}
        assert counted == {department: len(rows(divided, Level.IMAGE, of(department))) for department in DEPARTMENTS.holds}


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES])
def test_a_sequence_is_matched_and_told_from_what_the_scope_sees(divided: Catalogue, level: Level) -> None:
    sequence = 0x00081032 if level is Level.STUDY else 0x00400275
    for number, department in enumerate(("radiology", "cardiology")):
        item = f'{{"00080100":{{"vr":"SH","Value":["{department}"]}}}}'
        header = f'{{"{sequence:08X}":{{"vr":"SQ","Value":[{item}]}}}}'.encode()
        one = entry(f"1.2.1.{number}", series="1.2.1", study="1.2", second=number)
        divided.record(sent(changed(one, json_header=header), department))
    for department in ("radiology", "cardiology"):
        for code in ("radiology", "cardiology"):
            asked = InSequence(sequence, (Equals(0x00080100, (code,)),))
            found = list(divided.search(Query(level, (asked,), scope=of(department))).matches)
            assert len(found) == (code == department)
            told = divided.sequences.told(found, {sequence: None}, of(department), whole=False)
            assert all(code in str(items) for _, items in told)
    seen = list(divided.search(Query(level, scope=of("pathology"))).matches)
    assert seen == []
