"""Azurite, the emulator of Azure Blob Storage, on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.processes import free_port, peer, program, running, wait_for_listener

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Published by the emulator's makers; it opens nothing else."""


@dataclass(frozen=True)
class Azurite:
    """A running emulator."""

    port: int
    process: int

    def connection_string(self, port: int | None = None) -> str:
        """How it is reached, or how a cable to it is."""
        endpoint = f"http://127.0.0.1:{port or self.port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"

    def options(self, container: str, **more: Any) -> dict[str, Any]:
        """Options of a store on a container of this emulator."""
        return {"container": container, "connection_string": self.connection_string(), **more}

    def service(self) -> Any:
        """Its client, by another way than the store's."""
        from azure.storage.blob import BlobServiceClient  # of the extra azure, which may not be installed

        return BlobServiceClient.from_connection_string(self.connection_string())


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """Run it for as long as the block runs; its data lie below `folder`."""
    main = peer("azurite/node_modules/azurite/dist/src/blob/main.js")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [program("node", "nodejs"), main, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--location", str(folder), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    with running(command, folder / "azurite.log") as process:
        wait_for_listener(port, process)
        yield Azurite(port, process.pid)
