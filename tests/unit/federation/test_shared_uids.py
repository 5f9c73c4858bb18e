"""One UID in several studies and series, at one member or several: each instance comes as its own, and none in another's place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.federation.federated_members import Federation, federation, uid
from tests.unit.federation.test_bringing import Asking
from tests.unit.ingest.ct_samples import ct
from vna_core.dicom.answers import row_of
from vna_core.domain.errors import PeerError
from vna_core.domain.query import Level, Query
from vna_core.federation.bringing import Bringing
from vna_core.federation.members import LOCAL
from vna_core.federation.owners import Owners
from vna_core.federation.query import FederatedQuery
from vna_core.federation.rows import uids
from vna_core.federation.view import FederatedView

SOP = "1.2.3.7"
Place = tuple[int, int, str]
"""Study and series, and who holds it."""


def instance(study: int, series: int, seed: int, **attributes: str) -> bytes:
    named = {"PatientID": "4711", "IssuerOfPatientID": "CITY", **attributes}
    return ct(seed, rows=16, StudyInstanceUID=uid(study), SeriesInstanceUID=f"{uid(study)}.{series}", SOPInstanceUID=SOP, **named)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, ("alpha", "beta"), stall=0.2) as opened:
        yield opened


HOUSES: list[list[Place]] = [
    [(1, 1, "alpha"), (2, 1, "beta")],
    [(1, 1, "alpha"), (2, 1, "alpha")],
    [(1, 1, "alpha"), (1, 2, "alpha")],
    [(1, 1, "alpha"), (1, 2, "beta")],
    [(1, 1, LOCAL), (1, 2, "beta"), (2, 1, "beta")],
    [(1, 1, "alpha"), (1, 2, "alpha"), (1, 2, "beta"), (2, 1, LOCAL), (2, 2, "beta")],
]


@pytest.mark.parametrize("places", HOUSES)
def test_each_instance_comes_as_its_own(house: Federation, places: list[Place]) -> None:
    files = {(number, series): instance(number, series, seed) for seed, (number, series, _) in enumerate(places)}
    for number, series, name in places:
        house.put(name, files[number, series])
    named = {(uid(number), f"{uid(number)}.{series}"): number for number, series, _ in places}
    digests = {
        (one.study_instance_uid, one.series_instance_uid): one.original_sha256
        if name == LOCAL
        else hashlib.sha256(b"".join(archive.retriever.part10(one))).hexdigest()
        for name, archive in house.archives.items()
        for one in archive.catalogue.instances(sop=SOP)
    }
    rows = FederatedQuery(house.members, house.settings)(Query(Level.IMAGE, ())).rows
    assert sorted(uids(row.attributes, Level.IMAGE) for row in rows) == sorted((*each, SOP) for each in named)
    asking = Asking(house)
    for _ in range(2):  # as it comes, and as it is remembered
        for study, series in named:
            for within, sops in ((None, ()), (series, ()), (series, (SOP,)), (None, (SOP,))):
                retrieval = asking.bringing.begin(asking.permit, study, within, sops)
                got = [(one.study_instance_uid, one.series_instance_uid) for one in asking.bringing.instances(retrieval)]
                assert sorted(got) == sorted(each for each in named if each[0] == study and within in (None, each[1]))
                assert retrieval.outcome.is_complete and not retrieval.warnings
                assert seen(retrieval.view, study, within) == {each: digests[each] for each in got}


def seen(view: FederatedView, study: str, series: str | None) -> dict[tuple[str, str], str]:
    """What a view has, by study and series; every way of reading it says the same."""
    found = view.instances(study=study, series=series)
    assert sorted(one.sha256 for one in found) == sorted(held.sha256 for held, _ in view.headers(study=study, series=series))
    listed = [one for one in view.instances_by_uid_list([SOP]) if one.study_instance_uid == study]
    assert {one.sha256 for one in found} <= {one.sha256 for one in listed}
    return {(one.study_instance_uid, one.series_instance_uid): one.original_sha256 for one in found}


def test_a_member_that_names_another_series_than_it_delivers_is_believed_where_nothing_else_can_be_meant(
    house: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("alpha", instance(1, 1, 1))
    listed = house.pacs["alpha"].inventory

    def elsewhere(study: str, **named: object) -> Iterator[object]:
        for one in listed(study, **named):  # type: ignore[arg-type]
            yield type(one)(one.study_instance_uid, "", one.sop_instance_uid, one.sop_class_uid)

    monkeypatch.setattr(house.pacs["alpha"], "inventory", elsewhere)
    asking = Asking(house)
    retrieval = asking.bringing.begin(asking.permit, uid(1))
    assert [one.series_instance_uid for one in asking.bringing.instances(retrieval)] == [f"{uid(1)}.1"]
    assert retrieval.outcome.is_complete


STRANGERS: list[list[tuple[str, str]]] = [
    [("alpha", "4711"), ("beta", "0815")],
    [(LOCAL, "4711"), ("beta", "0815")],
    [("alpha", "4711"), ("alpha", "0815")],
]


@pytest.mark.parametrize("places", STRANGERS)
def test_an_instance_with_the_uids_of_another_patients_is_told(house: Federation, places: list[tuple[str, str]]) -> None:
    for seed, (name, patient) in enumerate(places):
        house.put(name, instance(1, 1, seed, PatientID=patient))
    house.put("alpha", instance(1, 2, 5), instance(2, 1, 6))
    query = FederatedQuery(house.members, house.settings)
    answered = {
        row.patient.patient_id: row
        for row in query(Query(Level.IMAGE, ())).rows
        if row.attributes["0020000E"]["Value"] == [f"{uid(1)}.1"]
    }
    assert answered.keys() == {patient for _, patient in places}
    assert all("00100020" in row.disagreements for row in answered.values())
    asking = Asking(house)
    asking.bringing = with_owners(house, query)
    arriving = asking(1)
    got = list(arriving.instances(lambda: None))
    assert [one.series_instance_uid for one in got] == [f"{uid(1)}.1", f"{uid(1)}.2"]
    assert arriving.total == 3, "the other patient's counts"
    assert arriving.missing() == ([SOP], "Several patients have these UIDs: ask each archive for its own.")
    (said,) = asking.bringing.begin(asking.permit, uid(1)).unheard
    assert said.startswith("1 of 2 instances have the UIDs of another patient's") and all(name in said for name, _ in places)
    assert not asking.bringing.begin(asking.permit, uid(1), f"{uid(1)}.2").unheard, "nothing is said of what is unambiguous"
    assert not asking.bringing.begin(asking.permit, uid(2)).unheard


def test_copies_of_one_patient_are_no_strangers_and_members_are_asked_once_for_a_while(house: Federation) -> None:
    for name in ("alpha", "beta"):
        house.put(name, instance(1, 1, 1), instance(1, 2, 2))
    asking = Asking(house)
    asking.bringing = with_owners(house, FederatedQuery(house.members, house.settings))
    for _ in range(3):
        assert not asking.bringing.begin(asking.permit, uid(1)).strangers
    assert [house.pacs[name].calls.count("find") for name in ("alpha", "beta")] == [1, 1]
    asking.bringing.begin(asking.permit, uid(2))
    assert [house.pacs[name].calls.count("find") for name in ("alpha", "beta")] == [1, 1], "what nobody shares is not asked about"


def silenced(house: Federation, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beta lists what it holds, and does not say under whom."""

    def failing(*arguments: object, **named: object) -> Iterator[object]:
        if how == "fails":
            raise PeerError("It is busy.")
        return iter(())

    if how == "may not be asked":
        (beta,) = [one for one in house.members if one.name == "beta"]
        monkeypatch.setattr(beta, "settings", beta.settings.model_copy(update={"allow": ("retrieve",)}))
    else:
        monkeypatch.setattr(house.pacs["beta"], "find", failing)


@pytest.mark.parametrize("how", ["fails", "may not be asked", "answers nothing"])
def test_what_could_not_be_proved_to_be_one_patients_is_told(
    house: Federation, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, patient in (("alpha", "4711"), ("beta", "0815")):
        house.put(name, instance(1, 1, len(name), PatientID=patient))
    house.put("alpha", instance(1, 2, 5))
    asking = Asking(house)
    asking.bringing = with_owners(house, FederatedQuery(house.members, house.settings))
    with monkeypatch.context() as patched:
        silenced(house, how, patched)
        retrieval = asking.bringing.begin(asking.permit, uid(1), f"{uid(1)}.1")
        assert not retrieval.strangers and retrieval.owned.unheard == ("beta",)
        assert "could not be proved that 1 of 1 instances are one patient's" in retrieval.unheard[-1]
        assert not asking.bringing.begin(asking.permit, uid(1), f"{uid(1)}.2").unheard, "nothing is said of what is unambiguous"
    if how == "fails":
        assert asking.bringing.begin(asking.permit, uid(1)).strangers, "whoever was silent is asked again, and believed at once"
    silenced(house, how, monkeypatch)
    asking.bringing = with_owners(house, FederatedQuery(house.members, house.settings))
    arriving = asking(1)
    assert len(list(arriving.instances(lambda: None))) == arriving.total == 2, "it is told, and nothing is refused"
    assert arriving.missing() == ([], "Not proved to be one patient's: unheard beta")


def with_owners(house: Federation, query: FederatedQuery) -> Bringing:
    here = house.archives[LOCAL]
    return Bringing(house.members, house.settings, here.catalogue, here.pipeline, None, owners=Owners(query, 60))


def test_rows_are_told_apart_by_all_their_unique_keys() -> None:
    def row(*values: str) -> dict[str, object]:
        return {
            tag: {"vr": "UI", "Value": [value]} for tag, value in zip(("0020000D", "0020000E", "00080018"), values, strict=True)
        }

    one, other = row("1", "2", "7"), row("1", "3", "7")
    assert row_of(one, Level.IMAGE) != row_of(other, Level.IMAGE)
    assert row_of(one, Level.STUDY) == row_of(other, Level.STUDY)
    assert row_of({}, Level.IMAGE) == ("", "", "")
