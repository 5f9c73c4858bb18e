"""C-STORE where no instance belongs: devices negotiate oddly, and an image that came is held."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.requestor import request
from vna_core.gateways.dimse import DimseServer
from vna_core.gateways.dimse.sop_classes import FIND, IMPLICIT_LITTLE, MOVE, STORAGE_COMMITMENT, VERIFICATION
from vna_core.testing import phantoms

FEDERATED = "FEDERATED"
MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[tuple[str, int], Archive, DimseServer]]:
    """Address, archive and server, which knows a second title."""
    settings = Settings.model_validate({"data": tmp_path, "dimse": {"processes": 1, "max_associations": 2}})
    with open_archive(settings) as archive, socket.create_server(("127.0.0.1", 0)) as listener:
        server = DimseServer(settings.dimse, archive.pipeline, archive.catalogue, archive.retriever, archive.transcoder)
        server.federated_title = FEDERATED
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname(), archive, server
        finally:
            server.stop()
            thread.join()


@pytest.mark.parametrize(
    ("called", "abstract_syntax"),
    [
        ("VNA", VERIFICATION),
        ("VNA", next(iter(FIND))),
        ("VNA", next(iter(MOVE))),
        ("VNA", STORAGE_COMMITMENT),
        ("VNA", MR),
        (FEDERATED, phantoms.CT),
    ],
)
def test_an_image_is_held_whatever_its_context_was_meant_for(
    served: tuple[tuple[str, int], Archive, DimseServer], called: str, abstract_syntax: str
) -> None:
    address, archive, _ = served
    image = pydicom.dcmread(io.BytesIO(phantoms.ct(1, 8, 8)))
    octets = DicomBytesIO()
    octets.is_implicit_VR, octets.is_little_endian = True, True
    write_dataset(octets, image)
    asked: Command = {
        commands.AFFECTED_SOP_CLASS: str(image.SOPClassUID),
        commands.COMMAND_FIELD: Field.STORE_RQ,
        commands.MESSAGE_ID: 1,
        commands.PRIORITY: 0,
        commands.AFFECTED_SOP_INSTANCE: str(image.SOPInstanceUID),
    }
    association = request(*address, called=called, calling="ODD", contexts=[(abstract_syntax, (IMPLICIT_LITTLE,))])
    association.send(1, asked, [octets.getvalue()])
    answer = association.receive()
    association.release()
    assert commands.number(answer.command, commands.STATUS) == 0
    [held] = archive.catalogue.versions(str(image.SOPInstanceUID))
    assert held.sop_class_uid == phantoms.CT


def test_a_conversation_gives_its_place_back_whatever_goes_wrong_at_its_end(
    served: tuple[tuple[str, int], Archive, DimseServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _, server = served
    over = threading.Event()
    hooked = threading.excepthook

    def fail(association: object) -> None:
        raise RuntimeError("planned")

    def noted(given: threading.ExceptHookArgs) -> None:
        if str(given.exc_value) == "planned":
            over.set()
        else:
            hooked(given)

    monkeypatch.setattr(threading, "excepthook", noted)
    monkeypatch.setattr("vna_core.dicom.network.association.Association.end_notifications", fail)
    association = request(*address, called="VNA", calling="ODD", contexts=[(VERIFICATION, (IMPLICIT_LITTLE,))])
    assert server.associations == 1
    association.release()
    assert over.wait(30)
    assert not server._serving
