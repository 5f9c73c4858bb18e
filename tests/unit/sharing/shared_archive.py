"""An archive that is open in several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from vna_core.bootstrap import Archive, open_archive
from vna_core.configuration import Settings
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.sharing import Bench, Colleague, Colleagues
from vna_core.metering import Meter
from vna_core.metering.metrics import SHARED

ROOT = Path(__file__).parents[3]
SOURCE = Source("stow", "sender", "127.0.0.1")


class Shared:
    """An archive, open in this process and in others that help it."""

    def __init__(self, archive: Archive, url: str) -> None:
        self.archive, self._url = archive, url
        self.bench, self.meter = Bench(), Meter.alone()
        self.colleagues = Colleagues(archive.pipeline, self.meter, self.bench)
        self._helpers: list[subprocess.Popen[str]] = []

    def help(self, *dies: str) -> subprocess.Popen[str]:
        """Start a process that helps."""
        laying, taking = self.bench.descriptors
        command = [sys.executable, "-m", "tests.unit.sharing.helping_process"]
        command += [str(self.archive.settings.data), self._url, str(laying), str(taking), *dies]
        helper = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=(laying, taking), cwd=ROOT
        )
        self._helpers.append(helper)
        assert helper.stdout is not None and helper.stdout.readline() == "waits\n"
        return helper

    def received(self, octets: bytes) -> ReceivedInstance:
        with self.archive.pipeline.reception(SOURCE) as reception:
            reception.write(octets)
            return reception.finish()

    def idle(self) -> Colleague:
        """A helper; there is one soon, as each sits down by itself."""
        while True:
            colleague = self.colleagues.idle()
            if colleague is not None:
                return colleague
            assert all(one.poll() is None for one in self._helpers)

    def counted(self) -> dict[str, float]:
        return {one.labels[0]: one.numbers[0] for one in self.meter.run.readings() if one.metric is SHARED}

    def close(self) -> None:
        for one in self._helpers:
            one.communicate("", timeout=60)
        self.bench.close()


def opened(settings: Settings) -> Iterator[Shared]:
    with ExitStack() as closing:
        one = Shared(closing.enter_context(open_archive(settings)), settings.catalogue.url)
        closing.callback(one.close)
        yield one


def outcomes(results: list[IngestResult | VnaError]) -> list[Outcome]:
    assert all(isinstance(one, IngestResult) for one in results), results
    return [one.outcome for one in results if isinstance(one, IngestResult)]
