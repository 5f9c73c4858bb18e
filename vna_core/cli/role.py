"""One process of ``vna serve``: what it does from its fork to SIGTERM."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

import structlog

from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_federation import open_federation
from vna_core.cli.faces import Listeners
from vna_core.cli.options import operator
from vna_core.cli.stopping import stopped_by_signal
from vna_core.configuration import Settings
from vna_core.dicom.network.tls import HandshakeFailed
from vna_core.domain.audit import APPLICATION_START, APPLICATION_STOP, AuditEvent, AuditEventId
from vna_core.ingest.sharing import Bench, Colleagues, Helper
from vna_core.logging_setup import set_up_logging
from vna_core.metering import Meter, Meters
from vna_core.migration.cutover import CutOver

_log = structlog.get_logger(__name__)

_MODULES: Final = (
    "vna_core.gateways.dimse",
    "vna_core.gateways.dicomweb.app",
    "vna_core.gateways.hl7.server",
    "vna_core.gateways.web_server",
    "vna_core.bootstrap_jobs",
)

_GRACE: Final = 1.5
"""Seconds that work for another process may take to end after the stop; it is done there otherwise."""


def load() -> None:
    """Load what the roles need, so that each begins with it."""
    for name in _MODULES:
        import_module(name)


def play(kind: str, name: str, listeners: Listeners, ready: int, settings: Settings, run: Meters, bench: Bench) -> None:
    """Play a role until SIGTERM.

    Parameters
    ----------
    kind
        ``dimse``, ``web``, ``hl7`` or ``worker``.
    listeners
        Where it listens.
    ready
        Descriptor to which one octet is written when the role can work.
    run
        Where all processes count; this one by its `name`.
    bench
        Where those of them wait that take instances in and have nothing to do.
    """
    set_up_logging(settings.logging, name)
    stop = stopped_by_signal()
    processes, meter = settings.dimse.processes + settings.http.workers, Meter.of(run, name)
    with open_archive(settings, processes=processes, meter=meter) as archive:
        os.write(ready, b"r")
        os.close(ready)
        archive.audit.note(_activity(APPLICATION_START, name, settings))
        if kind == "worker":
            _worker(archive, name, stop)
        elif kind == "hl7":
            _hl7(archive, listeners, stop)
        else:
            colleagues = Colleagues(archive.pipeline, meter, bench)
            with _helping(bench, archive, colleagues, stop):
                if kind == "dimse":
                    _dimse(archive, name, listeners, stop)
                else:
                    _web(archive, name, listeners, stop, colleagues)
        archive.audit.note(_activity(APPLICATION_STOP, name, settings))


@contextmanager
def _helping(bench: Bench, archive: Archive, colleagues: Colleagues, stop: threading.Event) -> Iterator[None]:
    """The process helps the others when it has nothing else to do, as long as the block runs."""
    helper = Helper(bench, archive.pipeline, colleagues, stop)
    helper.begin()
    try:
        yield
    finally:
        helper.end(_GRACE)
        colleagues.close()


def _activity(what: tuple[str, str], name: str, settings: Settings) -> AuditEvent:
    """That a role begins or ends, and under which configuration."""
    digest = hashlib.sha256(settings.model_dump_json(by_alias=True).encode()).hexdigest()
    return AuditEvent(AuditEventId.ACTIVITY, operator(), type_code=what, description=f"{name}, configuration {digest}")


def _dimse(archive: Archive, name: str, listeners: Listeners, stop: threading.Event) -> None:
    from vna_core.gateways.dimse import DimseServer  # here: the web process does not need it
    from vna_core.gateways.web.memory import keep_pieces, leave_in_peace

    keep_pieces()
    leave_in_peace()
    settings = archive.settings
    federation = open_federation(archive)
    server = DimseServer(
        settings.dimse,
        archive.pipeline,
        archive.catalogue,
        archive.retriever,
        archive.transcoder,
        settings.egress,
        archive.gate,
        federation,
        archive.availability,
        CutOver(archive.catalogue, settings.cutover, name),
        archive.meter,
        settings.tls,
    )
    serving = threading.Thread(target=server.serve, args=(listeners.plain, listeners.secure), name="dimse", daemon=True)
    serving.start()
    _until_ended(serving, stop)
    server.stop()
    serving.join(6.0)
    if federation is not None:
        federation.close()


def _until_ended(serving: threading.Thread, stop: threading.Event) -> None:
    """Wait for the stop. A process whose thread has died ends as well, so that it is started again."""
    while serving.is_alive() and not stop.wait(0.5):
        continue


def _hl7(archive: Archive, listeners: Listeners, stop: threading.Event) -> None:
    from vna_core.gateways.hl7.server import MllpServer  # here: the other processes do not need it

    server = MllpServer(archive.settings, archive.catalogue, archive.audit, archive.meter)
    serving = threading.Thread(target=server.serve, args=(listeners.plain, listeners.secure), name="hl7", daemon=True)
    serving.start()
    _until_ended(serving, stop)
    server.stop()
    serving.join(6.0)


def _web(archive: Archive, name: str, listeners: Listeners, stop: threading.Event, colleagues: Colleagues) -> None:
    from vna_core.gateways.accepting import note_refused
    from vna_core.gateways.dicomweb.app import create_app  # here: the DIMSE processes do not need it
    from vna_core.gateways.web_server import serve

    app = create_app(
        archive.settings,
        archive.pipeline,
        archive.catalogue,
        archive.retriever,
        archive.renderer,
        archive.transcoder,
        archive.stores,
        archive.gate,
        open_federation(archive),
        archive.availability,
        CutOver(archive.catalogue, archive.settings.cutover, name),
        archive.meter,
        colleagues,
    )

    def refused(address: str, error: HandshakeFailed) -> None:
        _log.warning("tls-handshake-failed", address=address, message=error.message)
        note_refused("http", address, error, archive.meter, archive.audit)

    serve(app, listeners.plain, archive.settings.http, stop, listeners.secure, archive.settings.tls, refused)


def _worker(archive: Archive, name: str, stop: threading.Event) -> None:
    from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_engine  # here: the other processes do not need it

    ensure_periodic_jobs(archive)
    job_engine(archive, name).run(stop)
