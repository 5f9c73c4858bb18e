"""The hostile source misbehaves as it says, the same way for the same seed, and its log tells everything it did."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from vna_core.dicom.answers import first_value
from vna_core.domain.errors import InvalidRequest, PeerError, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Between, Equals, Level, Query
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing import phantoms
from vna_core.testing.hostile_pacs import matching, server
from vna_core.testing.hostile_pacs.faults import FAULTS, Face, FaultPlan, Target
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import HostileStudy, Population
from vna_core.testing.hostile_pacs.server import HostilePacs
from vna_pacs_dimse.adapter import DimseAdapter

STUDY, DATE, NAME, ID = 0x0020000D, 0x00080020, 0x00100010, 0x00100020
CLASS, CLASSES, COUNT = 0x00080016, 0x00080062, 0x00201208


class Scene:
    """A running source with some faults, and an adapter of it."""

    def __init__(self, faults: str, studies: int, most: int, options: dict[str, object]) -> None:
        self.plan = FaultPlan.parse(5, faults, cap=10)
        self.population = Population(self.plan, studies, most)
        self.log = InjectionLog()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            move_port = probe.getsockname()[1]
        self.source = HostilePacs(self.population, self.plan, self.log, destinations={"VNA": ("127.0.0.1", move_port)}, hang=30.0)
        port = self.source.start()
        self.adapter: PacsAdapter = DimseAdapter.open(
            "hostile", f"dimse://OLDPACS@127.0.0.1:{port}", {"move_port": move_port, "silence": 0.7, **options}
        )

    def hit(self, fault: str) -> HostileStudy:
        return next(one for one in self.population.studies.values() if one.fault == fault)

    def found(self, *conditions: Equals | Between) -> Counter[str]:
        return Counter(first_value(one, STUDY) for one in self.adapter.find(Query(Level.STUDY, conditions)))

    def fetched(self, study: str) -> list[tuple[str, bytes]]:
        taken: list[tuple[str, bytes]] = []

        def deliver(received: ReceivedInstance) -> None:
            taken.append((received.sop_instance_uid, b"".join(bytes(one) for one in received.octets.chunks())))
            received.octets.close()

        self.adapter.fetch(study, deliver)
        return taken


@contextlib.contextmanager
def scene(faults: str, studies: int = 12, most: int = 6, **options: object) -> Iterator[Scene]:
    one = Scene(faults, studies, most, options)
    try:
        yield one
    finally:
        one.adapter.close()
        one.source.stop()


def truth(study: HostileStudy) -> list[tuple[str, bytes]]:
    return [(one.sop_instance_uid, study.data_set(one)) for one in study.instances]


@pytest.mark.parametrize("way", ["get", "move"])
def test_without_faults_everything_is_found_and_delivered_as_it_is(way: str) -> None:
    with scene("none", studies=6, retrieve=way) as one:
        assert one.found() == Counter(one.population.studies.keys())
        for uid, study in one.population.studies.items():
            assert sorted(one.fetched(uid)) == sorted(truth(study))
        assert list(one.log) == []


def test_the_same_seed_makes_the_same_and_another_seed_another() -> None:
    def made(seed: int) -> list[tuple[str, str, str]]:
        population = Population(FaultPlan.parse(seed, "all"), 200, 8)
        return [(study.fault, one.fault, one.sop_instance_uid) for study, one in population.truth()]

    assert made(3) == made(3) != made(4)
    assert {fault for row in made(3) for fault in row[:2] if fault} >= {
        one.name for one in FAULTS.values() if Face.DIMSE in one.faces and one.target is not Target.SOURCE
    } - {"W10"}


def test_thousands_of_instances_are_cheap_and_every_target_has_one_fault() -> None:
    population = Population(FaultPlan.parse(1, "all"), 3000, 20)
    held = list(population.truth())
    assert len(held) > 25_000
    assert not [one for study, one in held if study.fault not in ("", "W19") and one.fault]


def test_w8_stops_without_a_word() -> None:
    with scene("W8") as one:
        assert sum(one.found().values()) == 10 < len(one.population.studies)
        assert one.log.of("W8")
        assert one.adapter.probe(thorough=True).response_limit == 10


def test_w3_w9_w10_w11_are_seen_in_answers() -> None:
    with scene("W3,W9,W10,W11", studies=20) as one:
        found = one.found()
        assert found[one.hit("W3").study_instance_uid] == 3
        assert one.hit("W11").study_instance_uid not in found
        assert one.found(Equals(STUDY, (one.hit("W11").study_instance_uid,)))
        assert one.hit("W11").study_instance_uid in one.found(Equals(ID, (one.hit("W11").patient_id,)))
        assert one.hit("W9").study_instance_uid in found
        assert one.hit("W9").study_instance_uid not in one.found(Between(DATE, "20000101", "20301231"))
        assert list(one.adapter.inventory(one.hit("W10").study_instance_uid)) == []
        assert {entry.fault for entry in one.log} == {"W3", "W9", "W10", "W11"}


def test_w21_w22_w23_spoil_what_is_listed() -> None:
    with scene("W21,W22,W23", studies=6) as one:
        shared, refused, nameless = (one.hit(fault) for fault in ("W21", "W22", "W23"))
        found = one.found()
        assert (found[shared.study_instance_uid], found[refused.study_instance_uid]) == (2, 1)
        assert (found[""], found[nameless.study_instance_uid]) == (1, 0)
        with pytest.raises(PeerError, match="C001"):
            list(one.adapter.inventory(refused.study_instance_uid))
        assert sorted(one.fetched(refused.study_instance_uid)) == sorted(truth(refused))
        assert {entry.fault for entry in one.log} == {"W21", "W22", "W23"}


def test_w25_answers_nothing_and_is_played_only_where_it_is_named() -> None:
    with scene("W25", studies=6) as one:
        assert one.found() == Counter()
        assert one.log.of("W25")
    assert not FaultPlan.parse(1, "all").plays("W25")


@pytest.mark.parametrize("way", ["get", "move"])
@pytest.mark.parametrize("fault", ["W6", "W7", "W17"])
def test_a_retrieval_that_fails_in_passing_succeeds_the_next_time(fault: str, way: str) -> None:
    with scene(fault, studies=4, retrieve=way) as one:
        study = one.hit(fault)
        if fault == "W17":
            assert one.fetched(study.study_instance_uid) == []
        else:
            with pytest.raises(PeerUnavailable):
                one.fetched(study.study_instance_uid)
        assert len(one.log.of(fault)) == 1
        assert sorted(one.fetched(study.study_instance_uid)) == sorted(truth(study))


def test_w4_success_before_the_end_loses_nothing_by_move_and_shows_by_get() -> None:
    with scene("W4", studies=4, retrieve="move") as one:
        assert sorted(one.fetched(one.hit("W4").study_instance_uid)) == sorted(truth(one.hit("W4")))
        assert one.log.of("W4")
    with scene("W4", studies=4) as one:
        study = one.hit("W4")
        report = one.adapter.fetch(study.study_instance_uid, lambda received: received.octets.close())
        assert report.delivered + report.failed >= len(study.instances)


def test_w5_missing_counts_do_not_matter() -> None:
    with scene("W5", studies=4) as one:
        assert sorted(one.fetched(one.hit("W5").study_instance_uid)) == sorted(truth(one.hit("W5")))
        assert one.log.of("W5")


def test_w20_flips_bits_once_and_w1_makes_new_uids_every_time() -> None:
    with scene("W20=0.1,W1=0.1", studies=6) as one:
        for study, instance in one.population.truth():
            first, second = (dict(one.fetched(study.study_instance_uid)) for _ in range(2))
            clean = study.data_set(instance)
            if instance.fault == "W20":
                assert second[instance.sop_instance_uid] == clean
            elif instance.fault == "W1":
                assert instance.sop_instance_uid not in {**first, **second}
                fresh = set(first) - set(second)
                assert fresh and all(instance.sop_instance_uid.encode() in first[uid] for uid in fresh if uid not in second)
            else:
                assert first[instance.sop_instance_uid] == second[instance.sop_instance_uid] == clean
        assert len({entry.sop_instance_uid for entry in one.log.of("W20")}) == len(one.log.of("W20")) >= 1


def test_w2_w12_w13_w18_w19_lie_in_what_is_held() -> None:
    with scene("W2=0.05,W12,W13,W18,W19", studies=30, most=4) as one:
        uids = Counter(instance.sop_instance_uid for _, instance in one.population.truth())
        assert [uid for uid, count in uids.items() if count > 1]
        study = one.hit("W12")
        delivered = one.fetched(study.study_instance_uid)
        assert all(study.filed["StudyInstanceUID"].encode() in octets for _, octets in delivered)
        for fault, value in (("W13", b"Maiden^Name"), ("W18", one.hit("W18").filed["AccessionNumber"].encode())):
            assert all(value in octets for _, octets in one.fetched(one.hit(fault).study_instance_uid))
        (answer,) = one.adapter.find(Query(Level.STUDY, (Equals(STUDY, (one.hit("W13").study_instance_uid,)),)))
        assert first_value(answer, NAME) == one.hit("W13").patient_name
        marks = [uid for uid, octets in one.fetched(one.hit("W19").study_instance_uid) if b"LATERALITY" in octets]
        assert len(marks) == 1
        assert {entry.fault for entry in one.log} >= {"W12", "W13", "W18", "W19"}


def test_w14_w15_w16_are_delivered_or_left_out_and_told() -> None:
    with scene("W14=0.1,W15=0.1,W16=0.1", studies=8) as one:
        for study, instance in one.population.truth():
            delivered = dict(one.fetched(study.study_instance_uid))
            if instance.fault == "W14":
                assert b"CHEST AND ABDOMEN AND HEAD" in delivered[instance.sop_instance_uid]
            elif instance.fault == "W15":
                assert delivered[instance.sop_instance_uid][4:6] != b"CS"
            elif instance.fault == "W16":
                assert instance.sop_instance_uid in delivered  # its class was inventoried, so it was negotiated
        assert {entry.fault for entry in one.log} == {"W14", "W15", "W16"}


def test_a_query_that_is_cancelled_may_end_in_an_abort() -> None:
    with scene("W7,W3", studies=300, most=1) as one:
        answers = iter(one.adapter.find(Query(Level.STUDY)))
        next(answers)
        del answers
        assert len(one.found()) >= 300


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, set[int]]]:
    """Level and keys of every question from now on."""
    questions: list[tuple[str, set[int]]] = []

    def answers(population: Population, plan: FaultPlan, log: InjectionLog, level: str, keys: matching.Values) -> object:
        questions.append((level, set(keys)))
        return matching.answers(population, plan, log, level, keys)

    monkeypatch.setattr(server, "answers", answers)
    return questions


def test_a_source_that_names_the_classes_of_a_study_is_not_asked_for_that_of_each_instance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scene("none", studies=3) as one:
        questions = asked(monkeypatch)
        uid, study = next(iter(one.population.studies.items()))
        listed = list(one.adapter.inventory(uid))
        assert {found.sop_class_uid for found in listed} == {phantoms.CT} and len(listed) == len(study.instances)
        assert not any(level == "IMAGE" and CLASS in keys for level, keys in questions)
        questions.clear()
        assert sorted(one.fetched(uid)) == sorted(truth(study))
        assert [level for level, _ in questions] == ["STUDY"]


def test_instances_of_several_classes_are_asked_for_theirs() -> None:
    with scene("W19", studies=4) as one:
        study = one.hit("W19")
        listed = {found.sop_instance_uid: found.sop_class_uid for found in one.adapter.inventory(study.study_instance_uid)}
        assert listed == {instance.sop_instance_uid: instance.sop_class_uid for instance in study.instances}


@pytest.mark.parametrize(
    "lie",
    [
        {CLASSES: ()},
        {CLASSES: (phantoms.CT,)},
        {CLASSES: (phantoms.CT,), COUNT: ("1",)},
        {CLASSES: ("1.2.3",)},
        {COUNT: ("1",)},
        {COUNT: ("9999",)},
        {COUNT: ("many",)},
    ],
    ids=str,
)
@pytest.mark.parametrize("listed_before", [False, True])
def test_what_a_source_says_of_a_whole_study_is_not_believed_against_its_instances(
    lie: dict[int, tuple[str, ...]], listed_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    truthful = matching._rows
    monkeypatch.setattr(
        matching, "_rows", lambda study, level: ({**row, **(lie if level == "STUDY" else {})} for row in truthful(study, level))
    )
    with scene("W19,W3", studies=6) as one:
        for uid, study in one.population.studies.items():
            if listed_before:
                assert {found.sop_instance_uid for found in one.adapter.inventory(uid)} == {sop for sop, _ in truth(study)}
            came = one.fetched(uid) or one.fetched(uid)  # of a class that the source does not have nothing comes the first time
            assert {sop for sop, _ in came} == {sop for sop, _ in truth(study)}


@pytest.mark.parametrize("text", ["W99", "W1=2", "W1=x", "all,W1"])
def test_faults_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        FaultPlan.parse(1, text)
