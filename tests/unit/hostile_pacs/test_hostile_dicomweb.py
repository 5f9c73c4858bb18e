"""The hostile source misbehaves over DICOMweb as it says, and its log tells everything it did."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections import Counter
from collections.abc import Iterator

import pytest

from vna_core.dicom.answers import first_value
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped, InvalidRequest, PeerError, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Between, Equals, Level, Query
from vna_core.testing.hostile_pacs.faults import FAULTS, Face, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import HostileStudy, Population
from vna_core.testing.hostile_pacs.web_server import ROOT, HostileDicomweb
from vna_pacs_dicomweb.adapter import DicomwebAdapter

STUDY, DATE = 0x0020000D, 0x00080020
PAGE = 5


class Scene:
    """A running source with some faults, and an adapter of it."""

    def __init__(self, source: HostileDicomweb, port: int) -> None:
        self.source, self.port, self.log = source, port, source.log
        self.adapter = DicomwebAdapter.open("hostile", f"dicomweb+http://127.0.0.1:{port}{ROOT}", {"page": PAGE})

    def hit(self, fault: str) -> HostileStudy:
        return next(
            one
            for one in self.source.population.studies.values()
            if one.fault == fault or any(instance.fault == fault for instance in one.instances)
        )

    def found(self, *conditions: Equals | Between) -> Counter[str]:
        return Counter(first_value(one, STUDY) for one in self.adapter.find(Query(Level.STUDY, conditions)))

    def listed(self, study: HostileStudy) -> list[str]:
        return [one.sop_instance_uid for one in self.adapter.inventory(study.study_instance_uid)]

    def fetched(self, study: HostileStudy) -> list[str]:
        """Digests of what came."""
        taken: list[str] = []

        def deliver(received: ReceivedInstance) -> None:
            taken.append(received.octets.sha256)
            received.octets.close()

        self.adapter.fetch(study.study_instance_uid, deliver, deadline=Deadline(20.0))
        return taken

    def page(self, offset: int) -> tuple[list[object], http.client.HTTPMessage]:
        """A page as any client sees it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", f"{ROOT}/studies?limit={PAGE}&offset={offset}")
            answer = connection.getresponse()
            return json.loads(answer.read() or b"[]"), answer.headers


@contextlib.contextmanager
def scene(faults: str, studies: int = 12, most: int = 4, cap: int = 7) -> Iterator[Scene]:
    plan = FaultPlan.parse(5, faults, cap, Face.WEB)
    with HostileDicomweb(Population(plan, studies, most), plan, InjectionLog(), hang=30.0) as source:
        made = Scene(source, source.start())
        try:
            yield made
        finally:
            made.adapter.close()


def digests(study: HostileStudy) -> list[str]:
    return [study.digest(one, Face.WEB) for one in study.instances]


def test_a_source_without_faults_tells_and_gives_what_it_has() -> None:
    with scene("none") as one:
        studies = one.source.population.studies
        assert one.found() == dict.fromkeys(studies, 1)
        for study in studies.values():
            assert one.listed(study) == [instance.sop_instance_uid for instance in study.instances]
            assert one.fetched(study) == digests(study)
        assert one.found(Between(DATE, "20050101", "20051231")) == {
            uid: 1 for uid, study in studies.items() if study.date[:4] == "2005"
        }
        assert list(one.log) == []


def test_faces_play_their_own_faults_only() -> None:
    assert {name for name in FaultPlan.parse(1, "all").rates if name.startswith("H")} == set()
    assert {"W5", "W16"} & set(FaultPlan.parse(1, "all", face=Face.WEB).rates) == set()
    for text, face in (("H1", Face.DIMSE), ("W5", Face.WEB)):
        with pytest.raises(InvalidRequest, match=text):
            FaultPlan.parse(1, text, face=face)


def test_one_fault_of_the_source_as_a_whole_is_played_and_every_one_by_some_seed() -> None:
    played = {FaultPlan.parse(seed, "all", face=Face.WEB).of_source for seed in range(1, 51)}
    together = [one for one in FAULTS.values() if one.target.value == "source" and not one.alone]
    assert played == {one.name for one in together if Face.WEB in one.faces}


@pytest.mark.parametrize("fault", ["H1", "H3", "H4", "H6"])
def test_odd_pages_hide_no_study(fault: str) -> None:
    with scene(f"{fault}=1", studies=14) as one:
        assert one.found() == dict.fromkeys(one.source.population.studies, 1)
        assert one.log.of(fault)


def test_pages_that_begin_again_and_answers_that_stop_with_a_warning_are_told_as_capped() -> None:
    for fault in ("H2", "H5"):
        with scene(f"{fault}=1") as one, pytest.raises(AnswerCapped):
            one.found()
        assert one.log.of(fault)


def test_a_question_whose_answers_fit_one_page_is_answered_whole_where_pages_begin_again() -> None:
    with scene("H2=1") as one:
        few = one.found(Between(DATE, "20050101", "20071231"))
        assert few == {uid: 1 for uid, study in one.source.population.studies.items() if study.date[:4] <= "2007"}


def test_what_a_client_sees_of_totals_and_warnings() -> None:
    with scene("H3=1") as one:
        rows, headers = one.page(0)
        assert (len(rows), headers["X-Total-Count"]) == (PAGE, "19")
    with scene("H4=1") as one:
        rows, headers = one.page(0)
        assert len(rows) == 3 and headers["Warning"].startswith("299 ")


def test_a_list_that_came_without_a_body_is_asked_for_once_more() -> None:
    with scene("H11=0.1") as one:
        study = one.hit("H11")
        assert one.listed(study) == [instance.sop_instance_uid for instance in study.instances]
        assert len(one.log.of("H11")) == 1


def test_a_list_cut_short_is_no_list() -> None:
    with scene("H12=0.1") as one:
        study = one.hit("H12")
        with pytest.raises(PeerUnavailable):
            one.listed(study)
        assert one.listed(study) == [instance.sop_instance_uid for instance in study.instances]


def test_the_number_of_instances_is_told_too_high() -> None:
    with scene("H13=0.1") as one:
        study = one.hit("H13")
        (answer,) = one.adapter.find(Query(Level.STUDY, (Equals(STUDY, (study.study_instance_uid,)),)))
        assert first_value(answer, 0x00201208) == str(len(study.instances) + 3)


@pytest.mark.parametrize("fault", ["W7", "W17", "H9", "H10"])
def test_retrievals_that_break_off_raise_once_and_are_whole_the_next_time(fault: str) -> None:
    with scene(f"{fault}=0.1") as one:
        study = one.hit(fault)
        with pytest.raises(PeerError):
            one.fetched(study)
        assert one.fetched(study) == digests(study)
        assert len(one.log.of(fault)) == 1


def test_success_before_the_end_leaves_the_rest_out_once() -> None:
    with scene("W4=0.1", most=6) as one:
        study = one.hit("W4")
        assert one.fetched(study) == digests(study)[: len(study.instances) // 2]
        assert one.fetched(study) == digests(study)


def test_every_part_twice() -> None:
    with scene("H8=0.1") as one:
        study = one.hit("H8")
        assert Counter(one.fetched(study)) == dict.fromkeys(digests(study), 2)


def test_an_instance_of_another_study_in_its_place() -> None:
    with scene("H7=0.02") as one:
        study = one.hit("H7")
        strange = set(one.fetched(study)) - set(digests(study))
        others = {digest for other in one.source.population.studies.values() if other is not study for digest in digests(other)}
        assert strange and strange <= others
        assert {entry.sop_instance_uid for entry in one.log.of("H7")} == {
            instance.sop_instance_uid for instance in study.instances if instance.fault == "H7"
        }


def test_a_retrieval_that_is_never_answered_ends_at_the_deadline() -> None:
    with scene("W6=0.1") as one:
        study = one.hit("W6")
        with pytest.raises(PeerUnavailable):
            one.adapter.fetch(study.study_instance_uid, lambda received: received.octets.close(), deadline=Deadline(0.5))
        assert one.log.of("W6")
