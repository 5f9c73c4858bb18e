"""The engine: a message wakes a thread on some host, and the thread does jobs of the catalogue's ledger until none is free.

A message carries nothing: it says that there is work. Which job is done, that nobody else does it, and how it ended is in the ledger
alone. So a message may be lost, come twice, or come from anybody who can reach the broker, and no job is lost, done wrongly or
done by two. What no message woke is found by the look that every process takes at the ledger each ``jobs.poll`` seconds; while the
broker is away the process that looks does the work itself, one job at a time.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

import structlog
from amqp.exceptions import AMQPError
from celery import Celery
from celery.exceptions import CeleryError
from celery.worker import WorkController, state
from kombu.exceptions import KombuError

from vna_core.ports.jobs import JobEngine, Work
from vna_jobs_celery.options import CeleryOptions

TASK: Final = "vna.wake"

_END: Final = 3.0
"""Seconds that the connections get to be closed when the engine ends; the broker notices by itself otherwise."""

_CONNECTING: Final = 4.0
_ERRORS: Final = (OSError, AMQPError, KombuError, CeleryError)
_log = structlog.get_logger(__name__)


def _is_not_a_lost_acknowledgement(record: logging.LogRecord) -> bool:
    """False for what Celery tells with a traceback when a broker went away before it heard that a message was taken.

    The message comes once more, and says no more than that there is work. That the broker is lost is told as ``broker-lost``.
    """
    return not str(record.msg).startswith("Couldn't ack ")


class CeleryEngine(JobEngine):
    """Runs jobs in the threads of a Celery worker inside this process."""

    def __init__(self, work: Work, options: CeleryOptions) -> None:
        self._work, self._options = work, options
        self._stop = threading.Event()
        self._reached = True
        self._app = self._application()
        logging.getLogger("celery").setLevel(logging.WARNING)
        logging.getLogger("celery.worker.request").addFilter(_is_not_a_lost_acknowledgement)

    def run(self, stop: threading.Event) -> None:
        """See `JobEngine.run`."""
        self._stop = stop
        state.should_stop = None
        self._app.set_default()  # threads of the pool look for their task in the default application of the process
        # The controller, not the program around it: signals, logging and the process's title stay as they are.
        controller = WorkController(
            app=self._app,
            hostname=f"{self._options.queue}.{self._work.worker}",
            pool_cls="threads",
            concurrency=self._work.threads,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        consuming = threading.Thread(target=controller.start, name="celery", daemon=True)
        consuming.start()
        with self._work.opened():
            while not stop.wait(self._work.poll):
                self._look()
            state.should_stop = 0
        consuming.join(_END)
        self._app.close()

    def _look(self) -> None:
        """See that what is free gets done: wake somebody, unless a message that nobody has taken yet will."""
        if not self._work.waits():
            return
        try:
            if self._waiting_messages() == 0:
                self._wake()
            self._tell(reached=True)
        except self._errors as error:
            self._tell(reached=False, error=type(error).__name__)
            self._work.do_next()

    def _on_message(self) -> None:
        """Do jobs until none is free. Before the first, let another thread know that there may be more."""
        if self._stop.is_set() or not self._work.waits():
            return
        try:
            self._wake()
        except self._errors as error:
            self._tell(reached=False, error=type(error).__name__)
        while not self._stop.is_set() and self._work.do_next():
            continue

    def _wake(self) -> None:
        self._task.apply_async(retry=False, expires=3600, ignore_result=True)

    def _waiting_messages(self) -> int:
        """Messages in the queue that no worker has been given."""
        with self._app.pool.acquire(block=True, timeout=_CONNECTING) as connection:
            connection.connect()
            with connection.channel() as channel:
                declared = channel.queue_declare(self._options.queue, durable=True, auto_delete=False)
                return int(declared.message_count)

    def _tell(self, *, reached: bool, error: str = "") -> None:
        if reached != self._reached:
            self._reached = reached
            if reached:
                _log.info("broker-reached", queue=self._options.queue)
            else:
                _log.warning("broker-lost", queue=self._options.queue, error=error)

    def _application(self) -> Celery:
        app = Celery("vna", broker=self._options.broker.get_secret_value(), set_as_current=False)
        app.conf.update(
            accept_content=["json"],
            task_serializer="json",
            task_ignore_result=True,
            task_default_queue=self._options.queue,
            task_default_delivery_mode="transient",
            task_acks_late=False,
            worker_prefetch_multiplier=1,
            worker_enable_remote_control=False,
            worker_send_task_events=False,
            worker_hijack_root_logger=False,
            broker_heartbeat=self._options.heartbeat,
            broker_connection_timeout=_CONNECTING,
            broker_connection_retry_on_startup=True,
            broker_connection_max_retries=None,
            broker_transport_options={"max_retries": 1, "interval_start": 0.0, "interval_max": 0.2},
        )

        def wake() -> None:
            self._on_message()

        self._task: Any = app.task(wake, name=TASK, shared=False, ignore_result=True)
        app.finalize()
        with app.connection_for_write() as connection:  # opens nothing; imports what the broker's kind needs
            self._errors = (*_ERRORS, *connection.connection_errors, *connection.channel_errors)
        return app
