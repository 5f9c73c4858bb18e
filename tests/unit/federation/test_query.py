"""One question to many archives: everything reachable once, nobody's strangers, every silent member named, on time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from tests.unit.federation.federated_members import Federation, federation, study, uid
from vna_core.catalogue.matching import CONDITION_LIMIT
from vna_core.configuration.federation import MemberSettings
from vna_core.domain.access import EVERYTHING as EVERYTHING_SEEN
from vna_core.domain.access import Scope
from vna_core.domain.corrections import HiddenInstances
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import InvalidRequest, PeerUnavailable
from vna_core.domain.query import Empty, Equals, InSequence, Level, Query, Wildcard
from vna_core.federation import query as query_module
from vna_core.federation.fan_out import FanOut
from vna_core.federation.members import LOCAL, Member, Outcome
from vna_core.federation.patients import patients_of
from vna_core.federation.query import FederatedAnswer, FederatedQuery
from vna_core.federation.rejected import Rejected
from vna_core.federation.rows import octets_of_sequences, text
from vna_core.federation.union import Union
from vna_core.gateways.dicomweb.federated import BASE, written
from vna_core.ports.pacs import InventoriedInstance
from vna_core.testing.faulty_pacs import PacsFaults

NAMES = ("alpha", "beta", "gamma")
EVERYTHING = Query(Level.STUDY)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Federation]:
    with federation(tmp_path, NAMES) as opened:
        yield opened


def ask(house: Federation, query: Query = EVERYTHING, **options: object) -> FederatedAnswer:
    return FederatedQuery(house.members, house.settings)(query, **options)  # type: ignore[arg-type]


def found(answer: FederatedAnswer) -> list[str]:
    return [text(row.attributes, "0020000D") for row in answer.rows]


def outcomes(answer: FederatedAnswer) -> dict[str, str]:
    return {report.name: report.outcome.value for report in answer.reports}


def test_everything_is_found_once_newest_first_with_where_it_is(house: Federation) -> None:
    house.put("alpha", *study(1, range(3)))
    house.put("beta", *study(3))
    house.put(LOCAL, *study(2))
    answer = ask(house)
    assert found(answer) == [uid(3), uid(2), uid(1)]
    assert [row.sources for row in answer.rows] == [("beta",), (LOCAL,), ("alpha",)]
    assert [text(row.attributes, "00201208") for row in answer.rows] == ["1", "1", "3"]
    assert [text(row.attributes, "00100021") for row in answer.rows] == ["BETA", "HOUSE", "ALPHA"]
    assert outcomes(answer) == dict.fromkeys((LOCAL, *NAMES), "answered")
    assert answer.missing == ()


def test_empty_values_are_matched_here_and_on_what_members_tell(house: Federation) -> None:
    house.put(LOCAL, *study(1, AccessionNumber="A1"), *study(2, AccessionNumber=""))
    house.put("alpha", *study(3, AccessionNumber="A3"))
    query = Query(Level.STUDY, (Empty(0x00080050),))
    answer = ask(house, query)
    assert (found(answer), answer.unmatched) == ([uid(2)], ())
    house.put("beta", *study(4, AccessionNumber=""))
    answer = ask(house, query)
    assert (sorted(found(answer)), answer.unmatched) == (sorted([uid(2), uid(4)]), (0x00080050,))


def with_code(octets: bytes, code: str) -> bytes:
    """An image with a procedure code."""
    made = dcmread(BytesIO(octets))
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "99X", "Head"
    made.ProcedureCodeSequence = [item]
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_members_are_not_asked_for_what_is_in_a_sequence_and_that_is_told(house: Federation) -> None:
    house.put(LOCAL, *study(1))
    query = Query(Level.STUDY, (InSequence(0x00081032, (Equals(0x00080100, ("P1",)),)),))
    assert (found(ask(house, query)), ask(house, query).unmatched) == ([], ())
    house.put("alpha", with_code(study(3)[0], "P1"), with_code(study(4)[0], "P2"))
    answer = ask(house, query)
    assert (found(answer), answer.unmatched) == ([uid(3)], ())
    assert answer.rows[0].attributes["00081032"]["Value"][0]["00080100"]["Value"] == ["P1"]
    house.put("alpha", *study(5))
    answer = ask(house, query)
    assert (sorted(found(answer)), answer.unmatched) == (sorted([uid(3), uid(5)]), (0x00081032,))
    assert set(outcomes(answer).values()) == {"answered"}
    below = Query(Level.STUDY, (InSequence(0x00400275, (Equals(0x00400009, ("S1",)),)),))
    assert ask(house, below).unmatched == (0x00400275,)


def test_a_study_of_several_series_is_not_hidden_by_what_one_of_them_tells(house: Federation) -> None:
    several = study(3, SeriesInstanceUID=f"{uid(3)}.1"), study(3, range(1, 2), SeriesInstanceUID=f"{uid(3)}.2")
    house.put("alpha", with_code(several[0][0], "P2"), with_code(several[1][0], "P1"), with_code(study(4)[0], "P2"))
    query = Query(Level.STUDY, (InSequence(0x00081032, (Equals(0x00080100, ("P1",)),)),))
    answer = ask(house, query)
    assert (found(answer), answer.unmatched) == ([uid(3)], (0x00081032,))
    of_study = Equals(0x0020000D, (uid(3),))
    below = [ask(house, Query(level, (*query.conditions, of_study))) for level in (Level.SERIES, Level.IMAGE)]
    assert [(len(answer.rows), answer.unmatched) for answer in below] == [(2, (0x00081032,))] * 2


def test_a_row_tells_the_items_for_which_it_is_found(house: Federation) -> None:
    first, second = study(3), study(3, range(1, 2), SeriesInstanceUID=f"{uid(3)}.2")
    house.put(LOCAL, with_code(first[0], "P2"), with_code(second[0], "P1"))
    (row,) = ask(house, Query(Level.STUDY, (InSequence(0x00081032, (Equals(0x00080100, ("P1",)),)),))).rows
    assert [item["00080100"]["Value"] for item in row.attributes["00081032"]["Value"]] == [["P1"]]


def test_a_question_with_too_many_keys_is_asked_of_nobody(house: Federation) -> None:
    inside = InSequence(0x00081032, tuple(Equals(0x00080100, (f"P{number}",)) for number in range(CONDITION_LIMIT)))
    with pytest.raises(InvalidRequest, match="too many conditions"):
        ask(house, Query(Level.STUDY, (inside,)))
    assert "find" not in house.pacs["alpha"].calls


def test_nobody_is_asked_with_a_key_that_is_not_matched_here(house: Federation) -> None:
    house.put("alpha", with_code(study(3)[0], "P1"))
    for length, allowed in ((256, True), (257, False)):
        key = ("*?" * 128 + "*")[:length]
        query = Query(Level.STUDY, (InSequence(0x00081032, (Wildcard(0x00080100, key),)),))
        if allowed:
            assert found(ask(house, query)) == []
        else:
            with pytest.raises(InvalidRequest):
                ask(house, query)
    assert house.pacs["alpha"].calls.count("find") == 1


def test_what_several_hold_is_one_row_with_the_counts_of_the_union(house: Federation) -> None:
    linked = {"IssuerOfPatientID": "CITY"}
    parts = study(1, range(6), **linked)
    house.put("alpha", *parts[:4])
    house.put("beta", *parts[2:])
    house.put(LOCAL, parts[0])
    (row,) = ask(house).rows
    assert row.sources == (LOCAL, "alpha", "beta")
    assert (text(row.attributes, "00201208"), text(row.attributes, "00201206")) == ("6", "1")
    assert row.counts_are_union and row.disagreements == set()


def test_the_same_uid_with_other_content_says_in_what_it_differs(house: Federation) -> None:
    one = {"IssuerOfPatientID": "CITY", "PatientName": "DOE^JANE"}
    house.put("alpha", *study(1, StudyDescription="Chest", **one))
    house.put("beta", *study(1, StudyDescription="Head", **{**one, "PatientName": "Doe^Jane"}))
    (row,) = ask(house).rows
    assert row.disagreements == {"00081030"}
    assert text(row.attributes, "00081030") == "Chest"
    assert {name: text(copy, "00081030") for name, copy in row.copies.items()} == {"alpha": "Chest", "beta": "Head"}


def test_the_same_uid_of_two_patients_stays_two_rows_that_say_so(house: Federation) -> None:
    house.put("alpha", *study(1))
    house.put("beta", *study(1))
    rows = ask(house).rows
    assert {(row.patient.issuer, row.patient.patient_id) for row in rows} == {("ALPHA", "P1"), ("BETA", "P1")}
    assert all(row.disagreements == {"00100020"} for row in rows)


def test_a_bare_id_never_makes_two_patients_one_and_an_issuer_keeps_strangers_out(house: Federation) -> None:
    for name in NAMES:
        house.put(name, *study(NAMES.index(name) + 1, PatientID="4711"))
    assert len({row.patient for row in ask(house).rows}) == 3
    asked = Query(Level.STUDY, (Equals(0x00100020, ("4711",)), Equals(0x00100021, ("BETA",))))
    answer = ask(house, asked)
    assert found(answer) == [uid(2)]
    assert outcomes(answer) == dict.fromkeys((LOCAL, *NAMES), "answered")
    for one in house.members.remote:
        one.settings = one.settings.model_copy(update={"only_issuer": True})
    answer = ask(house, asked)
    assert found(answer) == [uid(2)]
    assert outcomes(answer) == {LOCAL: "answered", "alpha": "not-concerned", "beta": "answered", "gamma": "not-concerned"}
    assert house.pacs["alpha"].calls.count("find") == 2, "it was not asked about somebody else's patient"


def test_a_question_with_an_issuer_finds_what_another_department_holds_of_that_issuers_patient(house: Federation) -> None:
    own = {"PatientID": "500", "IssuerOfPatientID": "BETA"}
    parts = study(1, range(4), **own)
    house.put("beta", *parts[:3])
    house.put("alpha", parts[3], *study(2, PatientID="500"))
    asked = Query(Level.STUDY, (Equals(0x00100020, ("500",)), Equals(0x00100021, ("BETA",))))
    (row,) = ask(house, asked).rows
    assert row.sources == ("alpha", "beta") and text(row.attributes, "00201208") == "4"


def rejected(
    decided: Mapping[str, Iterable[str]] = MappingProxyType({}),
    awaited: Mapping[str, Iterable[str]] = MappingProxyType({}),
    scope: Scope = EVERYTHING_SEEN,
) -> Rejected:
    """Study Instance UID to what is rejected of it; `awaited` is not held, and was rejected by somebody who may correct in `scope`."""
    who = ("token", "somebody", "")

    class Rejections:
        def hidden(self, study: str) -> HiddenInstances:
            waiting = tuple((sop, who) for sop in awaited.get(study, ()))
            return HiddenInstances(frozenset(decided.get(study, ())), waiting)

        def hidden_in(self, studies: Iterable[str]) -> dict[str, HiddenInstances]:
            return {study: self.hidden(study) for study in studies if study in decided or study in awaited}

    return Rejected(Rejections(), lambda principal: scope)


@pytest.mark.parametrize(
    ("departments", "left"),
    [(None, 2), (["alpha", "beta"], 2), (["beta"], 3), (["alpha"], 3), ([], 3)],
)
def test_what_is_not_held_here_is_rejected_only_where_whoever_rejected_it_may_correct(
    departments: list[str] | None, left: int, house: Federation
) -> None:
    """Each member is a department of its own: an image is shown as long as one may show it."""
    parts = study(1, range(3), IssuerOfPatientID="CITY")
    house.put("alpha", *parts)
    house.put("beta", *parts)
    (sop, *_) = sorted(one.sop_instance_uid for one in house.archives["alpha"].catalogue.instances(study=uid(1)))
    scope = Scope(None if departments is None else frozenset(departments))
    asking = FederatedQuery(house.members, house.settings, rejected=rejected(awaited={uid(1): [sop]}, scope=scope))
    (row,) = asking(Query(Level.STUDY)).rows
    assert text(row.attributes, "00201208") == str(left)
    images = asking(Query(Level.IMAGE, (Equals(0x0020000D, (uid(1),)),))).rows
    assert ({text(one.attributes, "00080018") for one in images} >= {sop}) is (left == 3) and len(images) == left


def test_what_is_rejected_here_is_found_nowhere_and_the_numbers_are_of_what_is_left(house: Federation) -> None:
    city = {"IssuerOfPatientID": "CITY"}
    parts = study(1, range(3), **city)
    house.put("alpha", *parts, *study(2, **city), *study(3, **city))
    house.put(LOCAL, parts[0])
    sops = sorted(one.sop_instance_uid for one in house.archives["alpha"].catalogue.instances(study=uid(1)))
    (other,) = house.archives["alpha"].catalogue.instances(study=uid(2))

    hidden = {uid(1): sops[:2], uid(2): [other.sop_instance_uid]}
    asking = FederatedQuery(house.members, house.settings, rejected=rejected(hidden))
    rows = asking(Query(Level.STUDY)).rows
    assert [text(row.attributes, "0020000D") for row in rows] == [uid(3), uid(1)]
    assert text(rows[1].attributes, "00201208") == "2", "what this archive shows is not held back: a new version of it came"
    assert [text(row.attributes, "00201209") for row in asking(Query(Level.SERIES)).rows] == ["1", "2"]
    images = asking(Query(Level.IMAGE, (Equals(0x0020000D, (uid(1),)),))).rows
    assert {text(row.attributes, "00080018") for row in images} == {sops[0], sops[2]}
    assert {row.patient.patient_id for row in asking(Query(Level.PATIENT)).rows} == {"P1", "P3"}


def test_what_cannot_be_counted_while_some_of_it_is_rejected_has_no_numbers(
    house: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.put("alpha", *study(1, range(3)))

    def gone(*_: object, **__: object) -> Iterator[InventoriedInstance]:
        raise PeerUnavailable("gone")

    monkeypatch.setattr(house.pacs["alpha"], "inventory", gone)
    (row,) = FederatedQuery(house.members, house.settings, rejected=rejected({uid(1): ["1.2.3"]}))(Query(Level.STUDY)).rows
    assert text(row.attributes, "00201208") == "" and not row.counts_are_union


def test_a_refusal_is_told_and_is_no_failure_of_the_member(tmp_path: Path) -> None:
    with federation(tmp_path, NAMES, failures=2, pause=3600.0) as house:
        house.put("alpha", *study(1))
        house.pacs["alpha"].faults = PacsFaults(fails="It does not like this question.")
        assert [outcomes(ask(house))["alpha"] for _ in range(4)] == ["failed"] * 4
        house.pacs["alpha"].faults = PacsFaults()
        assert found(ask(house)) == [uid(1)]


def test_patients_are_those_of_all_archives_each_once_and_strangers_do_not_disagree(house: Federation) -> None:
    city = {"IssuerOfPatientID": "CITY", "PatientID": "9", "PatientName": "DOE^JANE"}
    house.put("alpha", *study(1, PatientID="4711"), *study(3, range(2), **city))
    house.put("beta", *study(2, PatientID="4711"), *study(3, range(1, 3), **city))
    house.put("gamma", *study(4, **{**city, "PatientName": "ROE^JANE"}))
    answer = ask(house, Query(Level.PATIENT), attributes=(0x00100010, 0x00201204))
    assert [(row.patient.patient_id, row.patient.issuer, row.sources) for row in answer.rows] == [
        ("4711", "ALPHA", ("alpha",)),
        ("4711", "BETA", ("beta",)),
        ("9", "CITY", ("gamma", "alpha", "beta")),
    ]
    assert [row.disagreements for row in answer.rows] == [set(), set(), {"00100010"}]
    numbers = [[text(row.attributes, tag) for tag in ("00201200", "00201202", "00201204")] for row in answer.rows]
    assert numbers == [["1", "1", "1"], ["1", "1", "1"], ["2", "2", "4"]]
    assert set(outcomes(answer).values()) == {"answered"}


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        (PacsFaults(fails="A database is gone."), "failed"),
        (PacsFaults(hangs=True), "timeout"),
        (PacsFaults(hangs=True, deaf=True), "timeout"),
        (PacsFaults(breaks_after=1), "failed"),
        (PacsFaults(capped_after=1), "partial"),
    ],
)
def test_a_member_in_trouble_is_named_and_the_others_are_whole(tmp_path: Path, faults: PacsFaults, outcome: str) -> None:
    with federation(tmp_path, NAMES, deadline=60.0) as house:
        for number, name in enumerate(NAMES):
            house.put(name, *study(2 * number + 1), *study(2 * number + 2))
        house.pacs["beta"].faults = faults
        if faults.hangs:  # whoever does not may be as slow as the machine is
            beta = next(one for one in house.members if one.name == "beta")
            beta.settings = beta.settings.model_copy(update={"deadline": 0.3})
        answer = ask(house)
        assert set(found(answer)) >= {uid(1), uid(2), uid(5), uid(6)}
        assert outcomes(answer)["beta"] == outcome
        assert [report.name for report in answer.missing] == ["beta"]
        assert "beta" in answer.missing[0].sentence


def test_a_member_whose_sequences_are_too_long_is_named_and_the_others_are_whole(
    house: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"00400275": {"vr": "SQ", "Value": [{"00400007": {"vr": "LO", "Value": ["x" * 1000]}}] * 4}}
    length = len(json.dumps(told["00400275"], separators=(",", ":")))
    assert abs(octets_of_sequences(told) - length) < length // 20
    house.put("alpha", *study(1), *study(2), *study(3))
    house.put("beta", *study(4), *study(5))
    for pacs in house.pacs.values():
        real = pacs.find
        monkeypatch.setattr(pacs, "find", lambda *asked, real=real, **named: ({**row, **told} for row in real(*asked, **named)))
    monkeypatch.setattr(query_module, "SEQUENCES", 2 * length + length // 2)
    answer = ask(house)
    assert len([row for row in answer.rows if row.sources == ("alpha",)]) == 2
    assert {uid(4), uid(5)} <= set(found(answer))
    assert [(report.name, report.sentence) for report in answer.missing] == [("alpha", "alpha has more than was taken")]


def test_what_a_row_tells_beside_sequences_is_bounded_by_the_number_of_rows() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"vr": "SQ", "Value": [{"00400275": deep}]}
    assert octets_of_sequences({"00400275": deep}) > 1_000_000, "however deep"
    assert octets_of_sequences({"00080005": {"vr": "CS", "Value": ["x" * 5000]}, "0": 5, "1": None}) == 0
    assert octets_of_sequences({"7FE00010": {"vr": "OW", "InlineBinary": "x" * 5000}}) > 5000


def test_a_member_that_says_itself_that_its_time_is_over_has_failed_once(house: Federation) -> None:
    """Its own clock may be the first to run out: by microseconds, in the thread that asks."""
    gamma = next(one for one in house.members if one.name == "gamma")

    def late(_: Member, deadline: Deadline) -> Iterator[None]:
        deadline.cancel()
        raise PeerUnavailable("The time for this answer is over.")
        yield

    [said] = FanOut().ask([gamma], late, 60.0, lambda _: 10)
    assert said.report is not None
    assert (said.report.outcome, gamma.breaker.health.failures) == (Outcome.TIMEOUT, 1)


def test_a_slow_member_has_its_own_deadline_and_a_busy_one_is_not_asked_again(tmp_path: Path) -> None:
    with federation(tmp_path, NAMES, deadline=30.0) as house:
        house.put("alpha", *study(1))
        slow = next(one for one in house.members if one.name == "gamma")
        slow.settings = MemberSettings(url="test://", deadline=0.3, concurrency=1)
        slow.under_way = threading.BoundedSemaphore(1)
        house.pacs["gamma"].faults = PacsFaults(hangs=True, deaf=True)
        assert outcomes(ask(house))["gamma"] == "timeout"
        answer = ask(house)
        assert outcomes(answer)["gamma"] == "busy"
        assert found(answer) == [uid(1)]


def test_a_member_that_fails_again_and_again_is_left_alone(tmp_path: Path) -> None:
    with federation(tmp_path, NAMES, failures=2, pause=3600.0) as house:
        house.put("alpha", *study(1))
        house.pacs["alpha"].faults = PacsFaults(breaks_after=0)
        assert [outcomes(ask(house))["alpha"] for _ in range(3)] == ["failed", "failed", "left-alone"]
        assert house.pacs["alpha"].calls == ["find", "find"]


def test_a_question_of_a_member_is_answered_from_here_alone(house: Federation) -> None:
    house.put("alpha", *study(1))
    house.put(LOCAL, *study(2))
    answer = ask(house, local_only=True)
    assert found(answer) == [uid(2)] and list(outcomes(answer)) == [LOCAL]
    assert house.pacs["alpha"].calls == []


def test_who_may_not_ask_a_member_hears_nothing_of_it(house: Federation) -> None:
    house.put("alpha", *study(1))
    answer = ask(house, scope=Scope(frozenset(("beta",))))
    assert found(answer) == [] and "alpha" not in outcomes(answer)
    assert house.pacs["alpha"].calls == []


def test_series_and_instances_are_united_too(house: Federation) -> None:
    city = {"IssuerOfPatientID": "CITY"}
    parts = study(1, range(4), **city)
    house.put("alpha", *parts[:3])
    house.put("beta", *parts[1:])
    of_study = Equals(0x0020000D, (uid(1),))
    (series,) = ask(house, Query(Level.SERIES, (of_study,))).rows
    assert text(series.attributes, "00201209") == "4"
    images = ask(house, Query(Level.IMAGE, (of_study,))).rows
    assert [row.sources for row in images] == [("alpha",), ("alpha", "beta"), ("alpha", "beta"), ("beta",)]


def test_eight_members_with_every_kind_of_trouble_are_answered_on_time(tmp_path: Path) -> None:
    names = tuple(f"m{number}" for number in range(8))
    faults = {
        "m1": PacsFaults(delay=0.2),
        "m3": PacsFaults(hangs=True),
        "m4": PacsFaults(fails="no"),
        "m5": PacsFaults(hangs=True, deaf=True),
        "m6": PacsFaults(delay=0.1),
    }
    with federation(tmp_path, names, deadline=5.0) as house:
        for number, name in enumerate(names):
            house.put(name, *study(number + 1), *study(50, range(number, number + 2), IssuerOfPatientID="CITY"))
            house.pacs[name].faults = faults.get(name, PacsFaults())
        begun = time.monotonic()
        answer = ask(house)
        assert time.monotonic() - begun < 30, "it does not wait for those that hang"
        reachable = [number for number, name in enumerate(names) if name not in ("m3", "m4", "m5")]
        assert sorted(found(answer)) == sorted([uid(50), *(uid(number + 1) for number in reachable)])
        assert {report.name for report in answer.missing} == {"m3", "m4", "m5"}
        assert len(set(found(answer))) == len(answer.rows)


copies = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(1, 3), st.sampled_from(["", "X", "Y"]), st.sampled_from(["1", "2"]), st.integers(0, 3)
    ),
    max_size=24,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(copies, st.randoms(use_true_random=False))
def test_a_union_depends_on_what_is_held_and_not_on_who_answers_first(
    held: list[tuple[int, int, str, str, int]], order: object
) -> None:
    def member(number: int) -> Member:
        settings = MemberSettings(url="test://", issuer=("A", "B", "A", "")[number])
        return Member(f"m{number}", None, settings, None, None, None)  # type: ignore[arg-type]

    rows = {}
    for number, one, issuer, patient, described in held:
        row = {"0020000D": {"vr": "UI", "Value": [f"1.{one}"]}, "00100020": {"vr": "LO", "Value": [patient]}}
        row["00081030"] = {"vr": "LO", "Value": [f"d{described}"]}
        if issuer:
            row["00100021"] = {"vr": "LO", "Value": [issuer]}
        rows.setdefault((number, one, issuer or ("A", "B", "A", "")[number], patient), (member(number), row))
    answers = []
    for shuffled in (False, True):
        union = Union(Level.STUDY, lambda name: int(name[1:]))
        listed = list(rows.values())
        if shuffled:
            order.shuffle(listed)  # type: ignore[attr-defined]
        for who, row in listed:
            union.add(who, row)
        made = [
            (
                text(row.attributes, "0020000D"),
                row.patient,
                row.sources,
                tuple(sorted(row.disagreements)),
                text(row.attributes, "00081030"),
            )
            for row in union.rows()
        ]
        assert sum(len(sources) for _, _, sources, _, _ in made) == len({(key[0], key[1], key[2], key[3]) for key in rows})
        answers.append(sorted(made, key=repr))
    assert answers[0] == answers[1]
    issuers = {(study_uid, patient) for study_uid, patient, *_ in answers[0]}
    assert len(issuers) == len(answers[0]), "no patient has a study twice"
    assert Outcome.ANSWERED.is_whole


@pytest.mark.parametrize("told", ["\u00b2", "9" * 5000, "-3", 10**30, None, [], {}, "three"], ids=range(8))
def test_a_number_that_is_none_costs_no_row_and_no_other_number(told: object) -> None:
    union = Union(Level.STUDY, lambda name: int(name[1:]))
    for number, count in enumerate((told, "7")):
        settings = MemberSettings(url="test://", issuer="A")
        row = {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00100020": {"vr": "LO", "Value": ["4711"]}}
        row |= {tag: {"vr": "IS", "Value": [count]} for tag in ("00201206", "00201208")}
        union.add(Member(f"m{number}", None, settings, None, None, None), row)  # type: ignore[arg-type]
    (row,) = union.rows()
    assert (text(row.attributes, "00201206"), text(row.attributes, "00201208")) == ("7", "7")
    (patient,) = patients_of([row])
    assert [text(patient.attributes, tag) for tag in ("00201200", "00201202", "00201204")] == ["1", "7", "7"]


@pytest.mark.parametrize("name", ["Plain^Name", "Müller^Änne=山田^太郎", 'Quote"\\^\tTab', "half \ud800 pair"])
def test_a_row_is_written_in_one_line_that_says_the_same(name: str) -> None:
    row = {"0020000D": {"vr": "UI", "Value": ["1.2/3"]}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]}}
    line = written(row, Level.STUDY)
    assert "\n" not in line and line.count(BASE) == 1
    read = json.loads(line.replace(BASE, "http://house"))
    assert read.pop("00081190") == {"vr": "UR", "Value": ["http://house/studies/1.2%2F3"]}
    assert read == row
