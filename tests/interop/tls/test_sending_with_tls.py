"""What the archive sends is encrypted where the receiver is configured so, and goes to nobody else."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelMove,
)

from tests.interop.tls.test_dimse_with_tls import series, with_certificate
from tests.peers.archive import ServedArchive
from tests.peers.certificates import Authority, KeyPair, trusting
from tests.peers.processes import program, running, wait_for_listener
from vna_core.configuration import PeerSettings, Settings
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.tls import ClientTls, HandshakeFailed, TlsFiles
from vna_core.dicom.network.tls.contexts import server_context
from vna_core.domain.corrections import Correction, CorrectionKind
from vna_core.domain.identifiers import PatientKey
from vna_core.federation.telling import MergeMessage
from vna_core.gateways.dimse.peers import Peers
from vna_core.gateways.dimse.sop_classes import VERIFICATION
from vna_core.testing import phantoms

__all__ = ["series"]  # a fixture
pytestmark = pytest.mark.xdist_group("tls")
STUDY = phantoms.uid(8)


def storescp(folder: Path, port: int, pair: KeyPair, authority: Authority) -> list[str]:
    """DCMTK's receiver, which lets nobody in without a certificate."""
    return [program("storescp"), "-v", *with_certificate(pair, authority), "-rc", "-od", str(folder), str(port)]


def moved(archive: ServedArchive, hospital: Authority, scanner: KeyPair) -> tuple[int, int]:
    """Completed and failed sub-operations of a move to STORESCP, which the scanner asks for."""
    context = trusting(hospital, scanner)
    entity = ApplicationEntity("CT1")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
    association = entity.associate("127.0.0.1", archive.dimses_port, ae_title="VNA", tls_args=(context, "127.0.0.1"))
    assert association.is_established
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", STUDY
    *_, (last, _identifier) = association.send_c_move(keys, "STORESCP", StudyRootQueryRetrieveInformationModelMove)
    association.release()
    return last.NumberOfCompletedSuboperations, last.NumberOfFailedSuboperations


def test_a_move_goes_over_tls_to_the_destination_that_is_configured(
    archive: ServedArchive,
    hospital: Authority,
    scanner: KeyPair,
    workstation: KeyPair,
    store_port: int,
    series: list[str],
    tmp_path: Path,
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    with running(storescp(received, store_port, workstation, hospital), tmp_path / "storescp.log") as process:
        wait_for_listener(store_port, process)
        assert moved(archive, hospital, scanner) == (len(series), 0)
    assert len(list(received.iterdir())) == len(series)


def test_nothing_is_moved_to_whoever_cannot_prove_to_be_the_destination(
    archive: ServedArchive, hospital: Authority, scanner: KeyPair, store_port: int, series: list[str], tmp_path: Path
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    other = hospital.pair("IMPOSTOR")
    with running(storescp(received, store_port, other, hospital), tmp_path / "storescp.log") as process:
        wait_for_listener(store_port, process)
        assert moved(archive, hospital, scanner) == (0, len(series))
    assert list(received.iterdir()) == []
    assert "certificate is not the one that is configured" in archive.log


def test_a_destination_without_tls_gets_nothing_in_the_clear(
    archive: ServedArchive, hospital: Authority, scanner: KeyPair, store_port: int, series: list[str], tmp_path: Path
) -> None:
    received = tmp_path / "received"
    received.mkdir()
    command = [program("storescp"), "-v", "-od", str(received), str(store_port)]
    with running(command, tmp_path / "storescp.log") as process:
        wait_for_listener(store_port, process)
        assert moved(archive, hospital, scanner) == (0, len(series))
    assert list(received.iterdir()) == []


def test_a_commitment_report_comes_over_tls(
    archive: ServedArchive, hospital: Authority, workstation: KeyPair, store_port: int, series: list[str]
) -> None:
    """The requester leaves before it was answered, so that the report comes on an association of the archive's own."""
    reports: Queue[tuple[str, int, bool]] = Queue()

    def on_report(event: Any) -> tuple[int, None]:
        told = event.event_information
        encrypted = isinstance(event.assoc.dul.socket.socket, ssl.SSLSocket)
        reports.put((told.TransactionUID, len(told.ReferencedSOPSequence), encrypted))
        return 0x0000, None

    accepting = server_context(
        TlsFiles(str(workstation.certificate), str(workstation.key), str(hospital.certificate)), "required", "1.2"
    )
    entity = ApplicationEntity("STORESCP")
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report)]
    listener = entity.start_server(("127.0.0.1", store_port), block=False, evt_handlers=handlers, ssl_context=accepting)
    try:
        asked = Dataset()
        asked.TransactionUID = "2.25.4711"
        asked.ReferencedSOPSequence = [reference(path) for path in series]
        asking = trusting(hospital, workstation)
        association = entity.associate("127.0.0.1", archive.dimses_port, ae_title="VNA", tls_args=(asking, "127.0.0.1"))
        assert association.is_established
        status, _ = association.send_n_action(asked, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        assert status.Status == 0
        association.abort()
        assert reports.get(timeout=120) == ("2.25.4711", len(series), True)
    finally:
        listener.shutdown()


def reference(path: str) -> Dataset:
    """An item that names the instance in a file."""
    held = dcmread(path, stop_before_pixels=True)
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = held.SOPClassUID, held.SOPInstanceUID
    return item


def peers(archive: ServedArchive, section: TlsSettings, **more: object) -> tuple[Peers, PeerSettings]:
    peer = PeerSettings.model_validate({"host": "127.0.0.1", "port": archive.dimses_port, "tls": True, **more})
    return Peers(Settings().dimse, section), peer


def test_two_archives_speak_with_each_other_over_tls(archive: ServedArchive, hospital: Authority, own: KeyPair) -> None:
    here, there = peers(archive, TlsSettings(ca_file=str(hospital.certificate)))
    association = here.associate("VNA", there, [(VERIFICATION, ("1.2.840.10008.1.2",))])
    assert association.contexts
    association.release()


def test_an_archive_with_another_authority_is_not_spoken_to(archive: ServedArchive, stranger: Authority) -> None:
    here, there = peers(archive, TlsSettings(ca_file=str(stranger.certificate)))
    with pytest.raises(HandshakeFailed, match="certificate is not accepted"):
        here.associate("VNA", there, [(VERIFICATION, ("1.2.840.10008.1.2",))])


@pytest.fixture
def merge() -> Iterator[Correction]:
    content = {"first": ["A", "1"], "second": ["A", "2"]}
    yield Correction(1, "2.25.99", CorrectionKind.MERGE, "", content, "one person", "somebody", datetime.now(UTC))


def test_a_merge_is_told_over_mllp_with_tls(
    archive: ServedArchive, hospital: Authority, stranger: Authority, merge: Correction
) -> None:
    trusting, doubting = (ClientTls(TlsFiles(authorities=str(one.certificate))) for one in (hospital, stranger))
    MergeMessage("127.0.0.1", archive.hl7s_port, trusting).tell(merge, [], PatientKey("A", "1"))
    with pytest.raises(HandshakeFailed):
        MergeMessage("127.0.0.1", archive.hl7s_port, doubting).tell(merge, [], PatientKey("A", "1"))
