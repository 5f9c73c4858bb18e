"""The cross-reference of patients: decisions explained, undone in any order, and followed by queries without touching what is stored."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.catalogue.catalogue_entries import changed, entry
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.domain.access import Scope
from vna_core.domain.departments import Departments
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkKind, LinkOrigin, PatientLink
from vna_core.domain.octets import Source
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.identity import Decided

NewCatalogue = Callable[..., tuple[CatalogueSettings, Path]]
KEYS = [PatientKey(issuer, number) for issuer in ("RAD", "CARD") for number in ("1", "2", "3")]
PATIENT_ID, ISSUER = 0x00100020, 0x00100021


def decide(
    catalogue: Catalogue, kind: LinkKind, first: PatientKey, second: PatientKey, study: str = "", by: str = "test"
) -> PatientLink:
    return catalogue.identity.decide(kind, first, second, origin=LinkOrigin.HAND, reason="a test", by=by, study=study)


def filled(catalogue: Catalogue) -> None:
    """A study of each patient; the same bare IDs under both issuers."""
    for number, key in enumerate(KEYS):
        uid = f"1.2.{number}"
        catalogue.record(
            changed(
                entry(
                    f"{uid}.1.1", series=f"{uid}.1", study=uid, patient=key.patient_id, issuer=key.issuer, patient_id=key.patient_id,
                    issuer_of_patient_id=key.issuer, patient_name=f"{key.issuer}^{key.patient_id}", study_instance_uid=uid,
                ),
                source=Source("dimse", key.issuer, "127.0.0.1"),
            )
        )  # fmt: skip


def found(
    catalogue: Catalogue, patient_id: str, issuer: str = "", level: Level = Level.STUDY, **more: object
) -> set[tuple[str, ...]]:
    """Study (or nothing at patient level), and the ID and issuer it is shown under."""
    conditions = (Equals(PATIENT_ID, (patient_id,)), *((Equals(ISSUER, (issuer,)),) if issuer else ()))
    query = Query(level, conditions, linked=True, **more)  # type: ignore[arg-type]
    return {
        tuple("".join(match.attributes.get(tag, ())) for tag in (0x0020000D, PATIENT_ID, ISSUER))
        for match in catalogue.search(query).matches
    }


def seen(catalogue: Catalogue) -> list[object]:
    """Everything that decisions can change about what is shown and found."""
    return [
        (level, key, sorted(found(catalogue, key.patient_id, key.issuer, level)))
        for key in KEYS
        for level in (Level.PATIENT, Level.STUDY)
    ] + [sorted(map(repr, catalogue.identity.same_person(key))) for key in KEYS]


def test_the_same_bare_id_of_two_issuers_stays_two(catalogue: Catalogue) -> None:
    filled(catalogue)
    assert found(catalogue, "1", "RAD") == {("1.2.0", "1", "RAD")}
    assert found(catalogue, "1") == {("1.2.0", "1", "RAD"), ("1.2.3", "1", "CARD")}
    decide(catalogue, LinkKind.LINK, PatientKey("RAD", "1"), PatientKey("CARD", "2"))
    assert found(catalogue, "1", "RAD") == {("1.2.0", "1", "RAD"), ("1.2.4", "2", "CARD")}
    assert found(catalogue, "1", "CARD") == {("1.2.3", "1", "CARD")}
    assert {match.patient for match in catalogue.search(Query(Level.STUDY, (Equals(PATIENT_ID, ("1",)),))).matches} == {
        PatientKey("RAD", "1"), PatientKey("CARD", "1"),
    }  # fmt: skip


def test_a_merged_patient_is_shown_and_found_under_the_id_that_stays(catalogue: Catalogue) -> None:
    filled(catalogue)
    before = catalogue.fingerprint()
    decide(catalogue, LinkKind.MERGE, PatientKey("RAD", "1"), PatientKey("RAD", "2"))
    expected = {("1.2.0", "2", "RAD"), ("1.2.1", "2", "RAD")}
    assert found(catalogue, "1", "RAD") == found(catalogue, "2", "RAD") == expected
    (named,) = {
        "".join(match.attributes[0x00100010])
        for match in catalogue.search(
            Query(Level.STUDY, (Equals(PATIENT_ID, ("1",)), Equals(ISSUER, ("RAD",))), linked=True)
        ).matches
    }
    assert named == "RAD^2"
    assert catalogue.fingerprint() == before
    assert found(catalogue, "2", "RAD", limit=1) < expected


def test_a_moved_study_is_the_other_patients(catalogue: Catalogue) -> None:
    filled(catalogue)
    decide(catalogue, LinkKind.MOVE, PatientKey("RAD", "1"), PatientKey("CARD", "3"), "1.2.0")
    assert found(catalogue, "1", "RAD") == set()
    assert found(catalogue, "3", "CARD") == {("1.2.0", "3", "CARD"), ("1.2.5", "3", "CARD")}


def test_a_study_that_is_moved_once_more_is_the_last_ones_alone(catalogue: Catalogue) -> None:
    filled(catalogue)
    for second in (PatientKey("CARD", "3"), PatientKey("CARD", "2")):
        decide(catalogue, LinkKind.MOVE, PatientKey("RAD", "1"), second, "1.2.0")
    assert {uid for uid, *_ in found(catalogue, "3", "CARD")} == {"1.2.5"}
    assert "1.2.0" in {uid for uid, *_ in found(catalogue, "2", "CARD")}
    assert "1.2.0" not in {uid for uid, *_ in found(catalogue, "1", "RAD")}
    decided = Decided.of(catalogue.identity.decisions([PatientKey("CARD", "3")]))
    assert decided.owner("1.2.0", PatientKey("RAD", "1")) == PatientKey("CARD", "2")


def test_links_open_no_department(new_catalogue: NewCatalogue) -> None:
    departments = Departments(holds={"rad": (), "card": ()}, members={("dimse", "RAD"): "rad", ("dimse", "CARD"): "card"})
    with Catalogue.open(*new_catalogue(), departments) as catalogue:
        filled(catalogue)
        decide(catalogue, LinkKind.LINK, PatientKey("RAD", "1"), PatientKey("CARD", "2"))
        decide(catalogue, LinkKind.MOVE, PatientKey("CARD", "3"), PatientKey("RAD", "1"), "1.2.5")
        assert found(catalogue, "1", "RAD", scope=Scope(frozenset({"rad"}))) == {("1.2.0", "1", "RAD")}


def test_every_decision_says_why_who_and_when_and_is_kept_when_undone(catalogue: Catalogue) -> None:
    made = decide(catalogue, LinkKind.LINK, KEYS[0], KEYS[3], by="alice")
    assert decide(catalogue, LinkKind.LINK, KEYS[0], KEYS[3], by="bob") == made
    undone = catalogue.identity.undo(made.id, by="carol", reason="another person")
    assert catalogue.identity.undo(made.id, by="dave", reason="again") == undone
    assert (undone.reason, undone.made_by, undone.undone_by, undone.undone_reason) == (
        "a test",
        "alice",
        "carol",
        "another person",
    )
    assert undone.undone_at is not None and undone.undone_at >= undone.made_at
    assert catalogue.identity.history(KEYS[0]) == [undone]
    assert catalogue.identity.listed() == [] and catalogue.identity.listed(all_=True) == [undone]
    with pytest.raises(NotFound):
        catalogue.identity.undo(99, by="x", reason="y")


def test_what_cannot_be_meant_is_refused(catalogue: Catalogue) -> None:
    decide(catalogue, LinkKind.MERGE, KEYS[0], KEYS[1])
    for first, second in ((KEYS[1], KEYS[0]), (KEYS[0], KEYS[0]), (KEYS[0], PatientKey("RAD", ""))):
        with pytest.raises(InvalidRequest):
            decide(catalogue, LinkKind.MERGE, first, second)


steps = st.lists(
    st.tuples(st.sampled_from(list(LinkKind)), st.integers(0, len(KEYS) - 1), st.integers(0, len(KEYS) - 1), st.integers(0, 99)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=steps, order=st.randoms(use_true_random=False))
def test_undoing_everything_in_any_order_leads_back(
    catalogue: Catalogue, made: list[tuple[LinkKind, int, int, int]], order: object
) -> None:
    if not catalogue.statistics().studies:
        filled(catalogue)
    for link in catalogue.identity.listed():  # of an example that failed
        catalogue.identity.undo(link.id, by="test", reason="clean")
    before, kept = seen(catalogue), catalogue.fingerprint()
    links: dict[int, PatientLink] = {}
    for kind, first, second, _ in made:
        try:
            link = decide(catalogue, kind, KEYS[first], KEYS[second], f"1.2.{first}" if kind is LinkKind.MOVE else "")
        except InvalidRequest:
            continue
        links[link.id] = link
    ids = list(links)
    order.shuffle(ids)  # type: ignore[attr-defined]
    half = ids[: len(ids) // 2]
    for pk in half:
        catalogue.identity.undo(pk, by="test", reason="half of them")
    # The other half alone gives the same as when only it had ever been decided.
    partly = seen(catalogue)
    for pk in ids[len(half) :]:
        catalogue.identity.undo(pk, by="test", reason="the rest")
    assert seen(catalogue) == before
    again, refused = [], False
    for pk in sorted(ids[len(half) :]):
        one = links[pk]
        try:
            again.append(decide(catalogue, one.kind, one.first, one.second, one.study_instance_uid).id)
        except InvalidRequest:
            refused = True
    if not refused:
        assert seen(catalogue) == partly
    for pk in again:
        catalogue.identity.undo(pk, by="test", reason="clean")
    assert seen(catalogue) == before and catalogue.fingerprint() == kept


def test_thirty_two_writers_leave_what_one_would(catalogue: Catalogue) -> None:
    """Each decides and takes back its own; what stays is what nobody took back."""
    filled(catalogue)
    before = seen(catalogue)
    pairs = list(itertools.combinations(KEYS, 2))
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            for step in range(3):
                first, second = pairs[(number + step * 7) % len(pairs)]
                kind = (LinkKind.LINK, LinkKind.MERGE, LinkKind.MOVE)[(number + step) % 3]
                study = f"{number}.{step}"  # so that decisions are this writer's own
                try:
                    made = decide(catalogue, kind, first, second, study, by=str(number))
                except InvalidRequest:
                    continue
                found(catalogue, first.patient_id, first.issuer)
                catalogue.identity.undo(made.id, by=str(number), reason="its own")
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert catalogue.identity.listed() == []
    assert seen(catalogue) == before
    assert all(link.undone_by == link.made_by for link in catalogue.identity.listed(all_=True))


def test_demographics_match_only_where_all_are_present_and_equal(catalogue: Catalogue) -> None:
    def said(issuer: str, number: str, name: str, birth_date: str = "19600101", sex: str = "F") -> Demographics:
        one = Demographics(PatientKey(issuer, number), name, birth_date, sex)
        catalogue.identity.save_demographics(one)
        return one

    asked = said("HIS", "9", "Müller^Anna")
    said("RAD", "1", "MULLER^ANNA")
    said("RAD", "2", "Müller^Anna", sex="M")
    said("CARD", "3", "Müller^Anna", birth_date="19600102")
    said("HIS", "4", "Müller^Anna")
    assert catalogue.identity.alike(asked, ("name", "birth-date", "sex")) == [PatientKey("RAD", "1")]
    assert catalogue.identity.alike(asked, ("name", "birth-date")) == [PatientKey("RAD", "1"), PatientKey("RAD", "2")]
    assert catalogue.identity.alike(asked, ()) == []
    assert catalogue.identity.alike(said("HIS", "10", "", ""), ("name", "birth-date")) == []
