"""Patients across issuers, decided in a real catalogue, asked of real archives: what is linked is found, strangers never are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.federation.federated_members import Federation, federation, study, uid
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, LinkOrigin, PatientLink
from vna_core.domain.query import Equals, Level, Query
from vna_core.federation.members import LOCAL
from vna_core.federation.query import FederatedAnswer, FederatedQuery
from vna_core.federation.rows import text
from vna_core.gateways.federated_rows import DECISIONS, described

NAMES = ("alpha", "beta", "gamma")
A, B, C, H = PatientKey("ALPHA", "A7"), PatientKey("BETA", "B9"), PatientKey("GAMMA", "A7"), PatientKey("HOUSE", "H1")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, NAMES) as opened:
        opened.put("alpha", *study(1, PatientID="A7", PatientName="DOE^JANE"))
        opened.put("beta", *study(2, PatientID="B9", PatientName="DOE-SMITH^JANE"))
        opened.put("beta", *study(3, PatientID="A7"))
        opened.put("gamma", *study(4, PatientID="A7"))
        opened.put(LOCAL, *study(5, PatientID="H1"))
        yield opened


def decide(house: Federation, kind: LinkKind, first: PatientKey, second: PatientKey, of_study: str = "") -> PatientLink:
    identity = house.archives[LOCAL].catalogue.identity
    return identity.decide(kind, first, second, origin=LinkOrigin.HAND, reason="passport seen", by="carol", study=of_study)


def ask(house: Federation, key: PatientKey | None = None, level: Level = Level.STUDY) -> FederatedAnswer:
    named = () if key is None else (Equals(0x00100020, (key.patient_id,)), *_issuer(key))
    query = FederatedQuery(house.members, house.settings, house.archives[LOCAL].catalogue.identity)
    return query(Query(level, named))


def _issuer(key: PatientKey) -> tuple[Equals, ...]:
    return (Equals(0x00100021, (key.issuer,)),) if key.issuer else ()


def found(answer: FederatedAnswer) -> set[str]:
    return {text(row.attributes, "0020000D") for row in answer.rows}


def test_a_chain_of_links_asks_each_member_by_its_own_ids_and_rows_say_by_which_they_came(house: Federation) -> None:
    first, second = decide(house, LinkKind.LINK, A, H), decide(house, LinkKind.LINK, H, B)
    answer = ask(house, A)
    assert found(answer) == {uid(1), uid(2), uid(5)}
    why = {text(row.attributes, "0020000D"): row.decisions for row in answer.rows}
    assert why == {uid(1): (), uid(5): (first,), uid(2): (first, second)}
    (row,) = [row for row in answer.rows if row.sources == ("beta",)]
    told = described(row, "FEDERATED")[DECISIONS]["Value"]
    assert told[1] == f"link {second.id}, H1^^^HOUSE to B9^^^BETA, by hand (carol): passport seen"
    house.archives[LOCAL].catalogue.identity.undo(second.id, by="carol", reason="sisters")
    assert found(ask(house, A)) == {uid(1), uid(5)}


def test_a_bare_id_finds_each_issuers_patient_and_makes_them_nobody_elses(house: Federation) -> None:
    decide(house, LinkKind.LINK, A, B)
    answer = ask(house, PatientKey("", "A7"))
    assert {(row.patient.issuer, text(row.attributes, "0020000D")) for row in answer.rows} == {
        ("ALPHA", uid(1)), ("BETA", uid(3)), ("GAMMA", uid(4)),
    }  # fmt: skip
    assert found(ask(house, C)) == {uid(4)}, "nobody linked gamma's A7"


def test_a_merged_patient_is_shown_under_the_id_that_stays_wherever_it_is_held(house: Federation) -> None:
    merge = decide(house, LinkKind.MERGE, A, H)
    for key in (A, H):
        answer = ask(house, key)
        assert {(text(row.attributes, "0020000D"), row.patient) for row in answer.rows} == {(uid(1), H), (uid(5), H)}
        (row,) = [row for row in answer.rows if row.sources == ("alpha",)]
        assert (text(row.attributes, "00100020"), text(row.attributes, "00100021")) == ("H1", "HOUSE")
        assert row.decisions == (merge,) and row.filed == (A,)
    (patient,) = ask(house, A, Level.PATIENT).rows
    assert patient.patient == H and set(patient.sources) == {LOCAL, "alpha"}


def test_a_moved_study_is_the_other_patients_and_no_longer_the_firsts(house: Federation) -> None:
    move = decide(house, LinkKind.MOVE, A, B, uid(1))
    assert found(ask(house, A)) == set()
    answer = ask(house, B)
    assert found(answer) == {uid(1), uid(2)}
    (row,) = [row for row in answer.rows if row.sources == ("alpha",)]
    assert row.patient == B and row.decisions == (move,)
    everything = {text(row.attributes, "0020000D"): row.patient for row in ask(house).rows}
    assert everything[uid(1)] == B and everything[uid(3)] == PatientKey("BETA", "A7")


def test_the_same_study_under_linked_ids_is_one_row(house: Federation) -> None:
    house.put("gamma", *study(1, PatientID="G5"))
    assert len([row for row in ask(house).rows if text(row.attributes, "0020000D") == uid(1)]) == 2
    link = decide(house, LinkKind.LINK, A, PatientKey("GAMMA", "G5"))
    (row,) = [row for row in ask(house).rows if text(row.attributes, "0020000D") == uid(1)]
    assert row.sources == ("alpha", "gamma") and row.decisions == (link,) and row.disagreements == set()


_KEYS = (A, B, C, H, PatientKey("BETA", "A7"))
_DECISIONS = st.lists(
    st.tuples(st.sampled_from((LinkKind.LINK, LinkKind.MERGE)), st.sampled_from(_KEYS), st.sampled_from(_KEYS)), max_size=4
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_DECISIONS)
def test_whoever_is_asked_for_strangers_never_come(
    house: Federation, decisions: list[tuple[LinkKind, PatientKey, PatientKey]]
) -> None:
    identity = house.archives[LOCAL].catalogue.identity
    made = []
    for kind, first, second in decisions:
        if first != second and not (kind is LinkKind.MERGE and identity.shown_as([second])[second] == first):
            made.append(decide(house, kind, first, second))
    try:
        held = {A: uid(1), B: uid(2), PatientKey("BETA", "A7"): uid(3), C: uid(4), H: uid(5)}
        for key in _KEYS:
            assert found(ask(house, key)) == {held[one] for one in identity.same_person(key)}
    finally:
        for link in made:
            identity.undo(link.id, by="carol", reason="again")
