"""An archive for every test, and receivers on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.egress.egress_samples import Receiver
from tests.unit.ingest.small_archive import SmallArchive, small_archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as archive:
        yield archive


@pytest.fixture
def receiver(archive: SmallArchive) -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(**profile: Any) -> Receiver:
        made.append(Receiver(archive, **profile))
        return made[-1]

    yield make
    for one in made:
        one.transcoder.pool.close()
