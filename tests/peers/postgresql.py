"""A PostgreSQL server of our own: a fresh cluster in a temporary folder, on a free port of 127.0.0.1, gone afterwards."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.peers.processes import free_port


class PostgresqlNotInstalled(RuntimeError):
    """Debian's package ``postgresql`` is not there."""


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server. `new_database` makes a database, empty or a copy of another, and gives its SQLAlchemy URL."""

    port: int
    control: Callable[[str], None]

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Without warning to anybody, as when the machine is switched off; started again at the end."""
        self.control("stop")
        try:
            yield
        finally:
            self.control("start")

    def new_database(self, name: str, template: str | None = None) -> str:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def drop_database(self, name: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _address(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


def binaries() -> Path:
    """The folder of initdb and pg_ctl, as Debian places it."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not found:
        raise PostgresqlNotInstalled("Install Debian's package postgresql.")
    return Path(found[-1]).parent


@contextmanager
def postgresql() -> Iterator[PostgresqlServer]:
    """Start a server, and stop it at the end. PostgreSQL refuses to run as root, so root becomes the user ``postgres``."""
    folder = Path(tempfile.mkdtemp(prefix="vna-postgresql-"))
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)
    programs, data = binaries(), folder / "data"

    def run(*command: str) -> None:
        subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)

    try:
        run(
            str(programs / "initdb"),
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        port = free_port()
        # What it has committed outlives its own end, not that of the machine: nothing here needs more.
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 -c fsync=off"

        def control(what: str) -> None:
            how = ("-m", "immediate") if what == "stop" else ("-l", str(folder / "log"), "-o", options)
            run(str(programs / "pg_ctl"), "-D", str(data), "-w", *how, what)

        control("start")
        try:
            yield PostgresqlServer(port, control)
        finally:
            control("stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
