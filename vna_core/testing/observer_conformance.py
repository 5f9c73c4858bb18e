"""What every observer of ingest must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurObserver(ObserverConformance):
        def open_observer(self, folder: Path) -> Observer:
            return OurObserver(folder / "told.jsonl")

        def passed_on(self, folder: Path) -> Sequence[str]:
            return [json.loads(line)["instance"] for line in (folder / "told.jsonl").read_text().splitlines()]

An observer is called in the thread and the process that receives, before the sender hears its answer. So the kit calls it from many threads,
in processes that were forked after it had begun and end without a farewell, with every kind of result there is, and with a receiver that does not take anything.
"""

from __future__ import annotations

import os
import threading
import traceback
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, IngestSettings
from vna_core.domain.errors import EmptyPayload, NotDicom, OutOfResources
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.transformation import Confidence, Transformation
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.plugin_manager import Plugins
from vna_core.ports.hookspecs import hookimpl
from vna_core.testing import phantoms
from vna_core.testing.memory_store import MemoryStore

Observer = Callable[[IngestResult], object]

WAIT: Final = 60.0
"""Seconds after which a call that has not come back is said to hang."""
HOSTILE: Final = ("2.25.1\n2.25.2", '2.25."quoted"', "2.25.%s{0}$(id)", "2.25.<b>&amp;", "2.25.Ä\u2028", "2.25." + "9" * 500)
"""What a sender may write where a UID belongs."""


def results() -> list[IngestResult]:
    """One result of every outcome; what may be absent is there in some and not in others."""
    patient = PatientKey("HOSPITAL", "4711")
    source = Source("dimse", "CT_ICU", "10.0.0.5:104", "NORTH")
    change = Transformation("V09", Confidence.INFERRED, "00080020", "StudyDate", "2026.11.01", "20261101")
    return [
        replace(held("2.25.100"), transformations=(change,), source=source, patient=patient),
        replace(held("2.25.101"), outcome=Outcome.DUPLICATE, source=source),
        replace(held("2.25.102"), outcome=Outcome.CONFLICT, source=None, patient=patient),
        IngestResult(Outcome.QUARANTINED, sop_instance_uid="2.25.103", quarantine_id="q1", error=NotDicom("No."), source=source),
        IngestResult(Outcome.QUARANTINED, quarantine_id="q2", error=NotDicom("No.")),
        IngestResult(Outcome.REFUSED, error=EmptyPayload("Nothing.")),
        IngestResult(Outcome.REFUSED, error=OutOfResources("Full.", limit="disk", maximum="1"), source=source),
    ]


def held(sop_instance_uid: str) -> IngestResult:
    """An instance that was taken."""
    return IngestResult(Outcome.HELD, "2.25.10", "2.25.11", sop_instance_uid, phantoms.CT, source=Source("stow", "modality"))


class ObserverConformance:
    """Base class of an observer's tests."""

    passes_on = frozenset((Outcome.HELD, Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.QUARANTINED, Outcome.REFUSED))
    """Outcomes that it passes on. An observer that is for some only names them."""

    @abstractmethod
    def open_observer(self, folder: Path) -> Observer:
        """The observer, as it is called by the hook, passing on to a receiver of its own in `folder`. Called once for a test."""

    @abstractmethod
    def passed_on(self, folder: Path) -> Sequence[str]:
        """SOP Instance UIDs of everything that has reached the receiver in `folder`, each as often as it has; those on the way are waited for."""

    def stuck(self, folder: Path) -> Observer:
        """An observer whose receiver does not take anything (nobody listens, the disk is full, the folder is gone)."""
        pytest.skip("this observer has no receiver that can fail")

    # -- being found ------------------------------------------------------------------------------------------------------

    def test_the_archive_takes_the_observer(self, tmp_path: Path) -> None:
        plugins = Plugins()
        plugins.register(_plugin_of(self.open_observer(tmp_path)), "under-test")
        assert len(plugins.observers()) == 1

    # -- being told -------------------------------------------------------------------------------------------------------

    def test_every_outcome_is_understood(self, tmp_path: Path) -> None:
        observer = self.open_observer(tmp_path)
        for result in results():
            observer(result)
        expected = Counter(one.sop_instance_uid for one in results() if one.outcome in self.passes_on)
        assert Counter(self.passed_on(tmp_path)) == expected

    def test_what_a_sender_writes_reaches_the_receiver_as_it_is(self, tmp_path: Path) -> None:
        observer = self.open_observer(tmp_path)
        for uid in HOSTILE:
            observer(held(uid))
        assert Counter(self.passed_on(tmp_path)) == Counter(HOSTILE)

    def test_an_archive_tells_it_of_everything_it_takes(self, tmp_path: Path) -> None:
        (tmp_path / "receiver").mkdir()
        plugins = Plugins()
        plugins.register(_plugin_of(self.open_observer(tmp_path / "receiver")), "under-test")
        data = tmp_path / "data"
        files = [*phantoms.series(3, rows=16, columns=16), *phantoms.series(1, rows=16, columns=16), b"no DICOM at all"]
        with Catalogue.open(CatalogueSettings(), data) as catalogue:
            pipeline = IngestPipeline(MemoryStore("landing"), catalogue, IngestSettings(), data, plugins.observers())
            ends = []
            for octets in files:
                with pipeline.reception(Source("file", "kit")) as reception:
                    reception.write(octets)
                    ends.append(pipeline.offer(reception.finish()))
        assert [one.outcome for one in ends] == [*[Outcome.HELD] * 3, Outcome.DUPLICATE, Outcome.QUARANTINED]
        expected = Counter(one.sop_instance_uid for one in ends if one.outcome in self.passes_on)
        assert Counter(self.passed_on(tmp_path / "receiver")) == expected

    # -- holding up nobody ------------------------------------------------------------------------------------------------

    def test_many_threads_tell_it_at_once(self, tmp_path: Path) -> None:
        observer = self.open_observer(tmp_path)
        uids = [f"2.25.{number}" for number in range(400)]
        with ThreadPoolExecutor(16) as threads:
            list(threads.map(observer, map(held, uids)))
        assert Counter(self.passed_on(tmp_path)) == Counter(uids)

    def test_processes_that_are_forked_and_end_at_once_lose_nothing(self, tmp_path: Path) -> None:
        """``vna serve`` and ``vna ingest`` fork what receives, and those processes end without asking any thread."""
        observer = self.open_observer(tmp_path)
        observer(held("2.25.1"))
        children = []
        for number in range(2, 5):
            child = os.fork()
            if not child:
                try:
                    for one in range(20):
                        observer(held(f"2.25.{number}.{one}"))
                except BaseException:  # the child must not go on with the tests
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            children.append(child)
        ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert ended == [0, 0, 0]
        expected = {"2.25.1", *(f"2.25.{number}.{one}" for number in range(2, 5) for one in range(20))}
        assert Counter(self.passed_on(tmp_path)) == Counter(expected)

    def test_a_receiver_that_takes_nothing_holds_up_nobody(self, tmp_path: Path) -> None:
        observer = self.stuck(tmp_path)

        def tell() -> None:
            for number in range(100):
                try:
                    observer(held(f"2.25.{number}"))
                except Exception:  # noqa: BLE001 - the archive logs what an observer raises, and goes on
                    continue

        telling = threading.Thread(target=tell, daemon=True)
        telling.start()
        telling.join(WAIT)
        assert not telling.is_alive(), "senders would wait for the receiver"


def _plugin_of(observer: Observer) -> object:
    class Plugin:
        @hookimpl
        def observe_ingest(self, result: IngestResult) -> Any:
            return observer(result)

    return Plugin()
