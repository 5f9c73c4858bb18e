"""RabbitMQ with a node name, folders and a port mapper of its own, on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.peers.processes import free_port, program, running, wait_for_listener

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Without the wrapper that Debian puts around it, which becomes another user."""


@dataclass
class RabbitMq:
    """A broker that can be killed and started again; what it was told to keep is in `folder`."""

    folder: Path
    port: int
    mapper: int
    distribution: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Returns when it listens."""
        own = {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"vna{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server, so that its process id is the server's
        }
        with (self.folder / "output.log").open("ab") as output:
            self.process = subprocess.Popen(
                [_SERVER], stdout=output, stderr=output, cwd=self.folder, env={**os.environ, **own}, start_new_session=True
            )
        wait_for_listener(self.port, self.process, 300.0)

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitMq]:
    """Run it for as long as the block runs."""
    if not _SERVER.exists():
        pytest.skip("rabbitmq-server (Debian package rabbitmq-server) is not installed")
    folder.mkdir(parents=True)
    mapper = free_port()
    environment = {"ERL_EPMD_PORT": str(mapper), "ERL_EPMD_ADDRESS": "127.0.0.1"}
    with running([program("epmd", "erlang-base"), "-port", str(mapper)], folder / "epmd.log", **environment):
        broker = RabbitMq(folder, free_port(), mapper, free_port())
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()
