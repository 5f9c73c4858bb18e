"""A whole archive behind a web server on a free port, made of the real parts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import httpx2
import pytest

from tests.unit.web.web_samples import Web
from vna_core.access.render import Renderer
from vna_core.access.retrieve import Retriever
from vna_core.catalogue import Catalogue
from vna_core.configuration import DecodeSettings, HttpSettings, IngestSettings, Settings
from vna_core.configuration.egress import EgressSettings
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.web_server import serve
from vna_core.ingest.counting import counting
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.metering import Meter
from vna_storage_filesystem.store import FilesystemStore


@pytest.fixture(scope="module")
def start_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Web]]:
    """Starts web faces, each on an empty archive, and stops them at the end."""
    ends: list[Callable[[], None]] = []

    def start(
        http: HttpSettings | None = None, ingest: IngestSettings | None = None, egress: EgressSettings | None = None
    ) -> Web:
        data = tmp_path_factory.mktemp("web")
        settings = Settings(
            data=data,
            http=http or HttpSettings(),
            ingest=ingest or IngestSettings(),
            decode=DecodeSettings(processes=1),
            egress=egress or EgressSettings(),
        )
        catalogue = Catalogue.open(settings.catalogue, data)
        landing = FilesystemStore("landing", data / "store")
        meter = Meter.alone()
        pipeline = IngestPipeline(landing, catalogue, settings.ingest, data, [counting(meter)])
        retriever = Retriever({"landing": landing}, catalogue)
        renderer = Renderer(settings.decode)
        app = create_app(settings, pipeline, catalogue, retriever, renderer, stores={"landing": landing}, meter=meter)
        listening = socket.create_server(("127.0.0.1", 0), backlog=256)
        stop = threading.Event()
        thread = threading.Thread(target=serve, args=(app, listening, settings.http, stop))
        thread.start()

        def end() -> None:
            stop.set()
            thread.join()
            listening.close()
            renderer.pool.close()
            catalogue.close()

        ends.append(end)
        return Web(listening.getsockname(), app, catalogue, pipeline, retriever, data)

    yield start
    for end in ends:
        end()


@pytest.fixture(scope="module")
def web(start_web: Callable[..., Web]) -> Web:
    """A web face on an archive of this module's own."""
    return start_web()


@pytest.fixture
def client(web: Web) -> Iterator[httpx2.Client]:
    with web.client() as client:
        yield client
