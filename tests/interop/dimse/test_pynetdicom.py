"""pynetdicom as client: roles, cancel, and storage commitment on the same and on a new association."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from tests.peers.archive import ServedArchive
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import encode_identifier
from vna_core.dicom.network.pdu import Role
from vna_core.dicom.network.requestor import request
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("pynetdicom")
COMMITMENT = "1.2.840.10008.1.20.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_GET = "1.2.840.10008.5.1.4.1.2.2.3"
EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CANCEL = b"\x00\x00\x00\x01\x02\x00\x00\x00\xff\x0f"
"""Command Field C-CANCEL-RQ, as it is sent."""


@pytest.fixture(scope="module", autouse=True)
def stored(archive: ServedArchive) -> None:
    assert fill("127.0.0.1", archive.dimse_port, "VNA", phantoms.series(40)).accepted == 40


def commitment(references: list[tuple[str, str]], transaction: str) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        asked.ReferencedSOPSequence.append(item)
    return asked


def test_commitment_is_reported_on_the_same_association(archive: ServedArchive) -> None:
    reports: list[tuple[int, Dataset]] = []
    came = threading.Event()

    def on_report(event: Any) -> tuple[int, None]:
        reports.append((event.request.EventTypeID, event.event_information))
        return 0x0000, None

    def on_sent(event: Any) -> None:
        if reports and isinstance(event.pdu, P_DATA_TF):  # its answer is out: a release before it would meet it on the way
            came.set()

    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(COMMITMENT)
    association = ae.associate(
        "127.0.0.1", archive.dimse_port, ae_title="VNA", ext_neg=[build_role(COMMITMENT, scu_role=True, scp_role=True)],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_PDU_SENT, on_sent)],
    )  # fmt: skip
    assert association.is_established
    good = (phantoms.CT, phantoms.uid(2, 1, 1))
    asked = commitment([good, (phantoms.CT, "1.2.3.404")], "2.25.1")
    status, _ = association.send_n_action(asked, 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
    assert status.Status == 0x0000
    assert came.wait(15)
    association.release()
    kind, report = reports[0]
    assert kind == 2
    assert [item.ReferencedSOPInstanceUID for item in report.ReferencedSOPSequence] == [good[1]]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in report.FailedSOPSequence] == [("1.2.3.404", 0x0112)]


def test_a_query_is_cancelled(archive: ServedArchive) -> None:
    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(STUDY_FIND)
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA")
    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.StudyInstanceUID = phantoms.uid(2)
    asked.SOPInstanceUID = ""
    statuses = []
    for status, _ in association.send_c_find(asked, STUDY_FIND, msg_id=5):
        statuses.append(status.Status)
        if len(statuses) == 1:
            association.send_c_cancel(5, query_model=STUDY_FIND)
    association.release()
    assert statuses[-1] in (0xFE00, 0x0000)
    assert statuses[0] == 0xFF00


@contextlib.contextmanager
def asking(archive: ServedArchive, *contexts: str, **more: Any) -> Iterator[Association]:
    """An association for one question: pynetdicom's own threads may take the first message of a second one's answer."""
    ae = AE(ae_title="VIEWER")
    for uid in contexts:
        ae.add_requested_context(uid)
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA", **more)
    assert association.is_established
    yield association
    association.release()


def asked_of(archive: ServedArchive, options: bytes, level: str, **keys: object) -> tuple[list[int], list[Dataset], bytes]:
    """Statuses, matches, and what was agreed on in the extended negotiation."""
    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(STUDY_FIND)
    offered = SOPClassExtendedNegotiation()
    offered.sop_class_uid, offered.service_class_application_information = STUDY_FIND, options
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA", ext_neg=[offered])
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(asked, keyword, value)
    statuses, found = [], []
    for status, match in association.send_c_find(asked, STUDY_FIND):
        statuses.append(int(status.Status))
        found += [match] if match is not None else []
    agreed = association.acceptor.sop_class_extended.get(STUDY_FIND, b"")
    association.release()
    return statuses, found, agreed


def test_a_key_for_empty_values_is_told_to_be_ignored_where_nothing_was_agreed_on(archive: ServedArchive) -> None:
    for key, statuses in (('""', [0xFF01, 0x0000]), ("", [0xFF00, 0x0000])):
        asked = asked_of(archive, b"\x01", "STUDY", StudyInstanceUID=phantoms.uid(2), StudyDescription=key)
        assert (asked[2], asked[0]) == (b"\x01", statuses), key


def test_empty_and_several_values_are_matched_where_that_was_agreed_on(archive: ServedArchive) -> None:
    every = b"\x01\x01\x01\x01\x01\x01\x01"
    statuses, _, agreed = asked_of(archive, every, "STUDY", StudyInstanceUID="", AccessionNumber='""')
    assert (agreed, statuses) == (b"\x01\x00\x01\x00\x00\x01\x01", [0x0000])
    statuses, found, _ = asked_of(archive, every, "STUDY", StudyInstanceUID="", PatientBirthTime='""')
    assert statuses == [0xFF00, 0x0000]
    assert found[0].StudyInstanceUID == phantoms.uid(2)
    statuses, _, _ = asked_of(archive, every, "STUDY", StudyInstanceUID="", PatientID="NOBODY\\P000001")
    assert statuses == [0xFF00, 0x0000]
    statuses, _, agreed = asked_of(archive, b"\x01", "STUDY", StudyInstanceUID="", PatientID="NOBODY\\P000001")
    assert (agreed, statuses) == (b"\x01", [0x0000])


def test_names_are_matched_by_sound_where_that_was_agreed_on(archive: ServedArchive) -> None:
    _, (named,), _ = asked_of(archive, b"\x01", "STUDY", StudyInstanceUID=phantoms.uid(2), PatientName="")
    family, given = named.PatientName.family_name, named.PatientName.given_name
    misspelt = f"{given} {family}e".lower()  # in another order, with a vowel more
    for options, statuses in ((b"\x01\x00\x00", [0x0000]), (b"\x01\x00\x01", [0xFF00, 0x0000])):
        asked = asked_of(archive, options, "STUDY", StudyInstanceUID=phantoms.uid(2), PatientName=misspelt)
        assert (asked[2], asked[0]) == (options, statuses), misspelt


def with_sequences(number: int) -> Dataset:
    """A CT of a series of its own, with what was asked for and what was done."""
    made = dcmread(get_testdata_file("CT_small.dcm"))
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.88", f"1.2.88.{number}"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.88.{number}.1"
    made.PatientID, made.SpecificCharacterSet = "SEQUENCES", "ISO_IR 192"
    procedure, protocol = Dataset(), Dataset()
    procedure.CodeValue, procedure.CodingSchemeDesignator, procedure.CodeMeaning = "P1", "99X", "Schädel"
    protocol.CodeValue, protocol.CodingSchemeDesignator, protocol.CodeMeaning = f"C{number}", "99X", "Protocol"
    made.ProcedureCodeSequence = [procedure]
    made.RequestAttributesSequence = []
    for step in (f"S{number}", "ALL"):
        request = Dataset()
        request.ScheduledProcedureStepID, request.RequestedProcedureID = step, f"R{number}"
        request.ScheduledProtocolCodeSequence = [protocol]
        made.RequestAttributesSequence.append(request)
    return made


@pytest.fixture(scope="module")
def sequences(archive: ServedArchive) -> None:
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(CT, EXPLICIT)
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA")
    assert [association.send_c_store(with_sequences(number)).Status for number in (1, 2, 3)] == [0, 0, 0]
    association.release()


def item(**keys: object) -> Dataset:
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def test_items_that_match_come_back_with_what_was_asked_of_them(archive: ServedArchive, sequences: None) -> None:
    key = item(ScheduledProcedureStepID="S*", RequestedProcedureID="R2", ScheduledProcedureStepDescription="")
    statuses, [found], _ = asked_of(archive, b"\x01", "SERIES", SeriesInstanceUID="", RequestAttributesSequence=[key])
    assert statuses == [0xFF00, 0x0000]
    assert found.SeriesInstanceUID == "1.2.88.2"
    [told] = found.RequestAttributesSequence
    assert {one.keyword: one.value for one in told} == {
        "ScheduledProcedureStepID": "S2",
        "RequestedProcedureID": "R2",
        "ScheduledProcedureStepDescription": "",
    }


def test_sequences_in_sequences_are_matched(archive: ServedArchive, sequences: None) -> None:
    key = item(ScheduledProtocolCodeSequence=[item(CodeValue="C3")])
    statuses, [found], _ = asked_of(archive, b"\x01", "SERIES", SeriesInstanceUID="", RequestAttributesSequence=[key])
    assert (statuses, found.SeriesInstanceUID) == ([0xFF00, 0x0000], "1.2.88.3")
    assert [one.ScheduledProtocolCodeSequence[0].CodeValue for one in found.RequestAttributesSequence] == ["C3", "C3"]


@pytest.mark.parametrize("key", [[], [Dataset()]], ids=["no item", "an empty item"])
def test_a_sequence_without_keys_comes_back_whole(archive: ServedArchive, sequences: None, key: list[Dataset]) -> None:
    keys: dict[str, object] = {"StudyInstanceUID": "1.2.88", "ProcedureCodeSequence": key}
    statuses, [found], _ = asked_of(archive, b"\x01", "STUDY", **keys)
    assert statuses == [0xFF00, 0x0000]
    [told] = found.ProcedureCodeSequence
    assert (told.CodeValue, told.CodingSchemeDesignator, told.CodeMeaning) == ("P1", "99X", "Schädel")
    _, [other], _ = asked_of(archive, b"\x01", "STUDY", **{**keys, "StudyInstanceUID": phantoms.uid(2)})
    assert other.ProcedureCodeSequence == []


def test_what_of_a_sequence_is_not_matched_is_told(archive: ServedArchive, sequences: None) -> None:
    two = [item(ScheduledProcedureStepID="S1"), item(ScheduledProcedureStepID="S2")]
    statuses, _, _ = asked_of(archive, b"\x01", "SERIES", StudyInstanceUID="1.2.88", RequestAttributesSequence=two)
    assert statuses == [0xFF01, 0xFF01, 0xFF01, 0x0000]
    statuses, _, _ = asked_of(archive, b"\x01", "STUDY", StudyInstanceUID="1.2.88", RequestAttributesSequence=two[:1])
    assert statuses == [0xFF01, 0x0000]
    quoted = [item(ScheduledProcedureStepDescription='""')]
    statuses, _, _ = asked_of(archive, b"\x01", "SERIES", StudyInstanceUID="1.2.88", RequestAttributesSequence=quoted)
    assert statuses == [0xFF01, 0xFF01, 0xFF01, 0x0000]


def series_asked_for() -> Dataset:
    asked = Dataset()
    asked.QueryRetrieveLevel = "STUDY"
    asked.StudyInstanceUID = phantoms.uid(2)
    return asked


def counted(status: Dataset) -> tuple[int, int, int, int]:
    """Sub-operations remaining, completed, failed, with warning."""
    return (
        status.NumberOfRemainingSuboperations,
        status.NumberOfCompletedSuboperations,
        status.NumberOfFailedSuboperations,
        status.NumberOfWarningSuboperations,
    )


@pytest.mark.parametrize("sent_before", [1, 3])
def test_a_get_is_cancelled_between_its_instances(archive: ServedArchive, sent_before: int) -> None:
    arrived: list[str] = []

    def store(event: evt.Event) -> int:
        arrived.append(event.request.AffectedSOPInstanceUID)
        if len(arrived) == sent_before:  # before the answer to this instance, so nothing may follow it
            event.assoc.send_c_cancel(7, query_model=STUDY_GET)
        return 0x0000

    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(STUDY_GET)
    ae.add_requested_context(CT)
    roles = [build_role(CT, scp_role=True)]
    handlers = [(evt.EVT_C_STORE, store)]
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA", ext_neg=roles, evt_handlers=handlers)
    last = [status for status, _ in association.send_c_get(series_asked_for(), STUDY_GET, msg_id=7)][-1]
    association.release()
    assert last.Status == 0xFE00
    assert counted(last) == (40 - sent_before, sent_before, 0, 0)
    assert len(arrived) == sent_before


def test_after_a_cancelled_get_the_association_goes_on(archive: ServedArchive) -> None:
    """By our own requestor: pynetdicom's may lose the first message of a second question."""
    contexts = [(STUDY_GET, (EXPLICIT,)), (CT, (EXPLICIT,))]
    association = request(
        "127.0.0.1", archive.dimse_port, called="VNA", calling="VIEWER", contexts=contexts, roles=[Role(CT, False, True)]
    )
    context = next(one.id for one in association.contexts.values() if one.abstract_syntax == STUDY_GET)
    key = encode_identifier({0x00080052: ("STUDY",), 0x0020000D: (phantoms.uid(2),)}, EXPLICIT)

    def got(cancelled: bool) -> Command:
        asked = {commands.AFFECTED_SOP_CLASS: STUDY_GET, commands.COMMAND_FIELD: Field.GET_RQ, commands.PRIORITY: 0}
        association.send(context, {**asked, commands.MESSAGE_ID: 7}, [key])
        while True:
            message = association.receive(timeout=60)
            if commands.number(message.command, commands.COMMAND_FIELD) != Field.STORE_RQ:
                if commands.number(message.command, commands.STATUS) != 0xFF00:
                    return message.command
                continue
            if cancelled:
                association.send(context, {commands.COMMAND_FIELD: Field.CANCEL_RQ, commands.RESPONDED_TO: 7})
            number = commands.number(message.command, commands.MESSAGE_ID)
            taken = {name: message.command[name] for name in (commands.AFFECTED_SOP_CLASS, commands.AFFECTED_SOP_INSTANCE)}
            answer = {commands.COMMAND_FIELD: Field.STORE_RSP, commands.RESPONDED_TO: number, commands.STATUS: 0}
            association.send(message.context_id, {**taken, **answer})

    assert commands.number(got(cancelled=True), commands.STATUS) == 0xFE00
    last = got(cancelled=False)
    association.release()
    assert (commands.number(last, commands.STATUS), commands.number(last, commands.COMPLETED)) == (0x0000, 40)


def test_a_get_is_cancelled_right_behind_the_answer_to_an_instance(archive: ServedArchive) -> None:
    """The cancel follows the C-STORE-RSP at once, as a peer sends it that decides after it has stored."""
    arrived: list[str] = []

    def store(event: evt.Event) -> int:
        arrived.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def answered(event: evt.Event) -> None:
        if type(event.message).__name__ == "C_STORE_RSP" and len(arrived) == 2:
            event.assoc.send_c_cancel(8, query_model=STUDY_GET)

    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(STUDY_GET)
    ae.add_requested_context(CT)
    handlers = [(evt.EVT_C_STORE, store), (evt.EVT_DIMSE_SENT, answered)]
    association = ae.associate(
        "127.0.0.1", archive.dimse_port, ae_title="VNA", ext_neg=[build_role(CT, scp_role=True)], evt_handlers=handlers
    )
    last = [status for status, _ in association.send_c_get(series_asked_for(), STUDY_GET, msg_id=8)][-1]
    association.release()
    # The next instance may be on its way already; what follows it is not sent.
    assert last.Status == 0xFE00
    assert len(arrived) in (2, 3)
    assert counted(last) == (40 - len(arrived), len(arrived), 0, 0)


@pytest.mark.parametrize(("level", "key"), [("STUDY", "*"), ("STUDY", "1.2.?"), ("SERIES", "1.2.*")])
def test_a_retrieval_has_no_wild_cards(archive: ServedArchive, level: str, key: str) -> None:
    asked = Dataset()
    asked.QueryRetrieveLevel = level
    asked.StudyInstanceUID = key
    if level == "SERIES":
        asked.SeriesInstanceUID = phantoms.uid(2)
    with asking(archive, STUDY_MOVE) as association:
        assert [status.Status for status, _ in association.send_c_move(asked, "STORESCP", STUDY_MOVE)] == [0xA900]
    with asking(archive, STUDY_GET) as association:
        assert [status.Status for status, _ in association.send_c_get(asked, STUDY_GET)] == [0xA900]


def test_a_move_is_cancelled_between_its_instances(archive: ServedArchive, store_port: int) -> None:
    arrived: list[str] = []
    cancelled = threading.Event()

    def on_sent(event: Any) -> None:
        if isinstance(event.pdu, P_DATA_TF) and CANCEL in event.pdu.encode():
            cancelled.set()

    mover = AE(ae_title="VIEWER")
    mover.add_requested_context(STUDY_MOVE)
    association = mover.associate("127.0.0.1", archive.dimse_port, ae_title="VNA", evt_handlers=[(evt.EVT_PDU_SENT, on_sent)])

    def store(event: evt.Event) -> int:
        arrived.append(event.request.AffectedSOPInstanceUID)
        if len(arrived) == 2:
            association.send_c_cancel(9, query_model=STUDY_MOVE)
            cancelled.wait(60)  # it goes by another connection than the answer to this instance
        return 0x0000

    receiver = AE(ae_title="STORESCP")
    receiver.add_supported_context(CT)
    server = receiver.start_server(("127.0.0.1", store_port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        last = [status for status, _ in association.send_c_move(series_asked_for(), "STORESCP", STUDY_MOVE, msg_id=9)][-1]
        association.release()
    finally:
        server.shutdown()
    remaining, completed, failed, warned = counted(last)
    assert last.Status == 0xFE00
    assert len(arrived) == 2
    assert (remaining, completed, failed, warned) == (38, 2, 0, 0)


def test_a_dicomdir_that_is_held_can_leave(archive: ServedArchive) -> None:
    directory = "1.2.840.10008.1.3.10"
    path = str(get_testdata_file("DICOMDIR", download=False))
    with open(path, "rb") as file:
        assert fill("127.0.0.1", archive.dimse_port, "VNA", [file.read()]).accepted == 1
    sop = dcmread(path).file_meta.MediaStorageSOPInstanceUID
    arrived: list[str] = []

    def store(event: evt.Event) -> int:
        arrived.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    asked = Dataset()
    asked.QueryRetrieveLevel = "IMAGE"
    asked.SOPInstanceUID = sop
    asked.StudyInstanceUID = asked.SeriesInstanceUID = ""
    with asking(archive, STUDY_FIND) as association:
        [found] = [answer for _, answer in association.send_c_find(asked, STUDY_FIND) if answer is not None]
    asked.StudyInstanceUID, asked.SeriesInstanceUID = found.StudyInstanceUID, found.SeriesInstanceUID
    roles = [build_role(directory, scp_role=True)]
    with asking(archive, STUDY_GET, directory, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)]) as association:
        last = [status for status, _ in association.send_c_get(asked, STUDY_GET)][-1]
    assert last.Status == 0x0000
    assert arrived == [sop]


def test_names_beyond_ascii_are_answered_in_a_declared_character_set(archive: ServedArchive) -> None:
    name = "Müller^Jürgen"
    fill("127.0.0.1", archive.dimse_port, "VNA", [phantoms.ct(31_000, 32, 32, PatientName=name, PatientID="UMLAUT")])
    ae = AE(ae_title="VIEWER")
    ae.add_requested_context(STUDY_FIND)
    association = ae.associate("127.0.0.1", archive.dimse_port, ae_title="VNA")
    asked = Dataset()
    asked.SpecificCharacterSet = "ISO_IR 100"
    asked.QueryRetrieveLevel = "STUDY"
    asked.PatientName = "Müller^*"
    asked.PatientID = ""
    asked.StudyInstanceUID = ""
    found = [identifier for status, identifier in association.send_c_find(asked, STUDY_FIND) if identifier is not None]
    association.release()
    assert [str(one.PatientName) for one in found] == [name]
    assert found[0].SpecificCharacterSet == "ISO_IR 192"
