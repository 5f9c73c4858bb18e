"""Connections that never ask for an association: one address cannot take the places of all others."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.dicom.network.requestor import request
from vna_core.gateways.dimse import DimseServer
from vna_core.gateways.dimse.server import UNANSWERED
from vna_core.gateways.dimse.sop_classes import VERIFICATION

PLACES = 2 * (1 + UNANSWERED)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A server with two associations, which has patience with those who do not ask for one."""
    dimse = {"processes": 1, "max_associations": 2, "association_timeout": 300}
    settings = Settings.model_validate({"data": tmp_path, "dimse": dimse})
    with open_archive(settings) as archive, socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server = DimseServer(settings.dimse, archive.pipeline, archive.catalogue, archive.retriever, archive.transcoder)
        thread = threading.Thread(target=server.serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.stop()
            thread.join()


def silent(address: tuple[str, int], stack: contextlib.ExitStack) -> socket.socket:
    """A connection from another address of this machine that says nothing."""
    return stack.enter_context(socket.create_connection(address, timeout=60, source_address=("127.0.0.2", 0)))


def test_one_address_of_silent_connections_keeps_no_other_out(address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as stack:
        crowd = [silent(address, stack) for _ in range(PLACES)]
        last = silent(address, stack)
        assert last.recv(1) == b"", "the crowd itself gets no further place"
        contexts = [(VERIFICATION, ("1.2.840.10008.1.2",))]
        association = request(*address, called="VNA", calling="MODALITY", contexts=contexts)
        assert association.contexts
        assert crowd[0].recv(1) == b"", "the first of the crowd made room"
        association.release()
