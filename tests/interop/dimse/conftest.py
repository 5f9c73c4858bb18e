"""One served archive for all DIMSE peers of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.archive import ServedArchive, served_archive
from tests.peers.processes import free_port


@pytest.fixture(scope="module")
def store_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[ServedArchive]:
    data: Path = tmp_path_factory.mktemp("dimse") / "data"
    with served_archive(data, "--peer", f"STORESCP=127.0.0.1:{store_port}") as served:
        yield served
