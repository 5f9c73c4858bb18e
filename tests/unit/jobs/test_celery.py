"""The Celery engine: messages wake it, it does jobs without any, wrong options are named, and what it may do comes from the ledger."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.jobs import Job
from vna_core.jobs import LedgerWork
from vna_core.plugin_manager import Plugins
from vna_core.ports.jobs import Handler, Running

pytest.importorskip("celery", reason="the extra celery is not installed")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        yield opened


@contextlib.contextmanager
def engine(catalogue: Catalogue, broker: str, **handlers: Handler) -> Iterator[None]:
    """The engine as an archive makes it, while the block runs."""
    plugins = Plugins()
    plugins.load()
    work = LedgerWork(catalogue.jobs, handlers, JobsSettings(poll=0.05, pause=0.05), "test")
    made = plugins.job_engines()["celery"](work, {"broker": broker})
    stop = threading.Event()
    running = threading.Thread(target=made.run, args=(stop,))
    running.start()
    try:
        yield
    finally:
        stop.set()
        running.join(30)
        assert not running.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come to that")


def test_messages_wake_threads_that_work_side_by_side(catalogue: Catalogue) -> None:
    together = threading.Barrier(2, timeout=30)

    def meet(job: Job, running: Running) -> None:
        together.wait()

    for number in range(6):
        catalogue.jobs.add("meet", str(number))
    with engine(catalogue, "memory://", meet=meet):  # one that works alone would wait at the barrier for ever
        wait_for(lambda: not catalogue.jobs.listed())


def test_without_a_broker_the_work_goes_on(catalogue: Catalogue) -> None:
    done: list[str] = []
    for number in range(3):
        catalogue.jobs.add("note", str(number))
    with engine(catalogue, "amqp://guest:guest@127.0.0.1:1//", note=lambda job, running: done.append(job.key)):
        wait_for(lambda: not catalogue.jobs.listed())
    assert sorted(done) == ["0", "1", "2"]


@pytest.mark.parametrize(
    "options", [{}, {"broker": "amqp://u:hidden@h", "que": "x"}, {"broker": "amqp://u:hidden@h", "queue": "a b"}]
)
def test_wrong_options_are_named_and_secrets_are_not(catalogue: Catalogue, options: dict[str, str]) -> None:
    plugins = Plugins()
    plugins.load()
    work = LedgerWork(catalogue.jobs, {}, JobsSettings(), "test")
    with pytest.raises(ConfigurationError, match="jobs.options") as raised:
        plugins.job_engines()["celery"](work, options)
    assert "hidden" not in raised.value.message


def test_an_acknowledgement_that_a_lost_broker_never_heard_makes_no_noise(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    from kombu.message import Message  # the extra celery brings it

    class Gone:
        no_ack_consumers: ClassVar[None] = None

        def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
            raise ConnectionResetError("the broker is gone")

    logger = logging.getLogger("celery.worker.request")
    with engine(catalogue, "memory://"):
        Message(delivery_tag="1", channel=Gone()).ack_log_error(logger, (ConnectionResetError,))
        logger.error("something else")
    told = [record.getMessage() for record in caplog.records if record.name == logger.name]
    assert told == ["something else"]
