"""A process killed while it writes takes nothing with it that was acknowledged."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from tests.unit.catalogue.catalogue_entries import entry
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings


def _write_for_ever(settings: CatalogueSettings, data: Path, acknowledged: Connection) -> None:
    catalogue = Catalogue.open(settings, data)
    telling = threading.Lock()

    def work(thread: int) -> None:
        number = 0
        while True:
            number += 1
            uid = f"{thread}.{number}"
            catalogue.record(entry(uid, study=f"{number // 5}", series=f"{number // 5}.1", patient=f"P{number // 10}"))
            with telling:
                acknowledged.send(uid)

    for thread in range(4):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    time.sleep(60)


def test_what_was_acknowledged_survives_a_kill(new_catalogue: Callable[[], tuple[CatalogueSettings, Path]]) -> None:
    settings, data = new_catalogue()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(False)
    process = context.Process(target=_write_for_ever, args=(settings, data, sender))
    process.start()
    sender.close()
    told = [receiver.recv() for _ in range(150)]
    process.kill()
    process.join()
    with contextlib.suppress(EOFError):  # the end of what it managed to say
        while True:
            told.append(receiver.recv())
    with Catalogue.open(settings, data) as catalogue:
        held = {one.sop_instance_uid for one in catalogue.instances()}
        assert set(told) <= held
        assert catalogue.statistics().instances == len(held)
        assert len(list(catalogue.instances_by_uid_list(told))) == len(told)
        assert catalogue.record(entry("new")).held.current
