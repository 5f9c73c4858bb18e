"""Keeps the roles of one machine running: opens the sockets, starts the processes, restarts what dies, ends all on a signal."""

from __future__ import annotations

import ipaddress
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from vna_core.cli.certificate_watch import CertificateWatch
from vna_core.cli.faces import Faces, Listeners
from vna_core.cli.forked import Forked
from vna_core.cli.role import load, play
from vna_core.configuration import Settings
from vna_core.configuration.tls import TlsFaceSettings
from vna_core.domain.errors import ConfigurationError, OutOfResources, VnaError
from vna_core.ingest.sharing import Bench
from vna_core.metering import Meter, Meters
from vna_core.metering.metrics import STARTS

GRACE: Final = 8.0
"""Seconds that the processes may take to end after SIGTERM, before they are killed."""

START_LIMIT: Final = 60.0
_NAME: Final = "supervisor"
_BACK_OFF: Final = (0.2, 1.0, 5.0, 15.0)
_LONG_LIVED: Final = 60.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Role:
    """One process: what it does, where it listens, and how often it had to be started."""

    name: str
    kind: str
    listeners: Listeners = Listeners()
    process: Forked | None = None
    ready: int = -1
    started: float = 0.0
    failures: int = 0
    restart_at: float = field(default=0.0)


class Supervisor:
    """Runs every role of the configuration on this machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = False
        self._roles: list[_Role] = []
        self._faces: Faces | None = None
        self._certificates = CertificateWatch(settings)
        self._bench = Bench()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code.

        Raises
        ------
        ConfigurationError
            An address is not loopback and authentication is not configured, or it cannot be bound.
        """
        refuse_open_binding(self._settings)
        self._certificates.check()
        faces = self._faces = Faces(self._settings)
        self._open_once()
        self._roles = [
            *(_Role(f"dimse-{number}", "dimse", faces.dimse) for number in range(1, self._settings.dimse.processes + 1)),
            *(_Role(f"web-{number}", "web", one) for number, one in enumerate(faces.web, 1)),
            *(_Role(f"worker-{number}", "worker") for number in range(1, self._settings.jobs.processes + 1)),
            *([_Role("hl7", "hl7", faces.hl7)] if faces.hl7.all else []),
        ]
        self._metering = Meters([_NAME, *(role.name for role in self._roles)])
        self._meter = Meter.of(self._metering, _NAME)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            for role in self._roles:
                self._start(role)
            if not self._wait_until_ready():
                return 0 if self._stopping else 1
            sys.stdout.write(f"ready {faces.described()}\n")
            sys.stdout.flush()
            while not self._stopping:
                self._watch()
        finally:
            self._end_all()
        return 0

    def _open_once(self) -> None:
        """Make the folder, the tables and the stores before the processes do, and say what is wrong in one place.

        A disk that is full keeps nobody from reading: what is sent is refused until there is room again, and ``/readyz`` says so.
        """
        from vna_core.bootstrap import open_archive  # here: `vna --help` and a wrong address need none of it

        load()
        with open_archive(self._settings) as archive:
            try:
                archive.landing.probe()
            except OutOfResources as error:
                consequence = "nothing is taken until there is room; what is held is found and given out"
                _log.error("store-is-full", store=archive.landing.name, message=error.message, consequence=consequence)
            archive.catalogue.ping()

    def _on_signal(self, *_: object) -> None:
        self._stopping = True

    def _start(self, role: _Role) -> None:
        if self._faces is not None and any(one.fileno() < 0 for one in role.listeners.all):
            role.listeners = self._faces.web_again()
        ready_read, ready_write = os.pipe()
        os.set_blocking(ready_read, False)
        kept = [ready_write, *self._bench.descriptors, *(one.fileno() for one in role.listeners.all)]
        role.process = Forked(f"vna-{role.name}", partial(self._live, role, ready_write), kept)
        os.close(ready_write)
        role.ready, role.started = ready_read, time.monotonic()
        self._meter.count(STARTS, role.name)

    def _live(self, role: _Role, ready: int) -> None:
        """In the forked process: leave alone the descriptors of the others, which are closed here, and play the role."""
        own = role.listeners.all
        for other in self._roles:
            for one in other.listeners.all:
                if one not in own:
                    one.detach()
        play(role.kind, role.name, role.listeners, ready, self._settings, self._metering, self._bench)

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + START_LIMIT
        waiting = {role.ready: role for role in self._roles}
        while waiting and not self._stopping:
            left = deadline - time.monotonic()
            if left <= 0:
                raise VnaError(f"Not every process was ready within {START_LIMIT:.0f} s; see the log above.")
            for descriptor in select.select(list(waiting), [], [], min(left, 0.25))[0]:
                if os.read(descriptor, 1) != b"r":
                    raise VnaError(f"The process {waiting[descriptor].name} did not start; see the log above.")
                del waiting[descriptor]
        return not self._stopping

    def _watch(self) -> None:
        """One round: start again what has ended, with growing pauses for what keeps failing."""
        now = time.monotonic()
        self._certificates.look()
        for role in self._roles:
            process = role.process
            if process is not None and process.poll() is not None:
                if now - role.started > _LONG_LIVED:
                    role.failures = 0
                pause = _BACK_OFF[min(role.failures, len(_BACK_OFF) - 1)]
                role.failures += 1
                role.restart_at = now + pause
                role.process = None
                os.close(role.ready)
                self._metering.ended(role.name)
                _log.error("process-ended", role=role.name, code=process.returncode, restart_in=pause)
                self._leave_to_others(role)
            elif process is None and now >= role.restart_at:
                _log.info("process-restarted", role=role.name)
                self._start(role)
        time.sleep(0.1)

    def _leave_to_others(self, role: _Role) -> None:
        """Have the kernel give no more connections to a web process that ended, as long as another one runs."""
        if role.kind == "web" and any(one is not role and one.kind == "web" and one.process is not None for one in self._roles):
            role.listeners.close()

    def _end_all(self) -> None:
        running = [(role.name, role.process) for role in self._roles if role.process is not None]
        for _, process in running:
            process.send(signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        for name, process in running:
            if process.wait(max(0.05, deadline - time.monotonic())) is None:
                _log.warning("process-killed", role=name, grace=GRACE)
                process.send(signal.SIGKILL)
                process.wait(GRACE)


def refuse_open_binding(settings: Settings) -> None:
    """Refuse to listen beyond this machine while anybody could read there. Raises ConfigurationError."""
    tls = settings.tls
    known = settings.http.tokens or settings.http.certificates
    if not _is_loopback(settings.http.host) and not known and not _asks_all(tls.http):
        raise ConfigurationError(
            f"The web face would listen on {settings.http.host} without authentication. Configure http.tokens, or listen on 127.0.0.1.",
            setting="http.host",
        )
    if not _is_loopback(settings.dimse.host) and not settings.dimse.accept_only_peers and not _asks_all(tls.dimse):
        raise ConfigurationError(
            f"The DIMSE face would listen on {settings.dimse.host} and accept anybody. "
            "Set dimse.accept_only_peers with dimse.peers, or listen on 127.0.0.1.",
            setting="dimse.host",
        )
    hl7 = settings.hl7.port is not None or tls.hl7.port is not None
    if hl7 and not _is_loopback(settings.hl7.host) and not settings.hl7.senders and not _asks_all(tls.hl7):
        raise ConfigurationError(
            f"The HL7 feed would listen on {settings.hl7.host} and believe anybody. Set hl7.senders, or listen on 127.0.0.1.",
            setting="hl7.host",
        )


def _asks_all(face: TlsFaceSettings) -> bool:
    """Whether nobody is let in without a certificate."""
    return face.only and face.client_certificates == "required"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
