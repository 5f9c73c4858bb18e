"""pynetdicom as client: roles, cancel, and storage commitment on the same and on a new association."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from tests.peers.archive import ServedArchive
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("pynetdicom")
COMMITMENT = "1.2.840.10008.1.20.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


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
        came.set()
        return 0x0000, None

    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(COMMITMENT)
    association = ae.associate(
        "127.0.0.1", archive.dimse_port, ae_title="VNA", ext_neg=[build_role(COMMITMENT, scu_role=True, scp_role=True)],
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)],
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
