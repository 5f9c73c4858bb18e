"""A process of the server whose work has died does not stand there as if it worked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vna_core.bootstrap import open_archive
from vna_core.cli import role
from vna_core.cli.faces import Listeners
from vna_core.configuration import Settings

SERVERS = {"dimse": "vna_core.gateways.dimse.DimseServer", "hl7": "vna_core.gateways.hl7.server.MllpServer"}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_process_ends_with_the_thread_that_serves(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died, stop = threading.Event(), threading.Event()
    monkeypatch.setattr(f"{SERVERS[kind]}.serve", lambda *_: died.set())
    with open_archive(Settings.model_validate({"data": tmp_path})) as archive:
        play = {
            "dimse": lambda: role._dimse(archive, "dimse-1", Listeners(), stop),
            "hl7": lambda: role._hl7(archive, Listeners(), stop),
        }
        playing = threading.Thread(target=play[kind], daemon=True)
        playing.start()
        assert died.wait(30)
        playing.join(30)
        assert not playing.is_alive()
    assert not stop.is_set()
