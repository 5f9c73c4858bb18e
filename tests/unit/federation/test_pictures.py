"""Pictures of what members hold: nothing is brought but what is drawn."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

from tests.unit.federation.federated_members import Federation as House
from tests.unit.federation.federated_members import federation, study, uid
from vna_core.access.egress.outgoing import Egress
from vna_core.access.render import Renderer
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Transcoder
from vna_core.configuration import DecodeSettings, IngestSettings, Settings
from vna_core.domain.departments import UNDIVIDED
from vna_core.domain.octets import ReceivedInstance
from vna_core.federation.bringing import Bringing
from vna_core.federation.federation import Federation
from vna_core.federation.members import LOCAL
from vna_core.federation.memory import BroughtStore, Memory, NotesOfBoth
from vna_core.federation.query import FederatedQuery
from vna_core.federation.view import BROUGHT
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.web_server import serve
from vna_core.testing.faulty_pacs import PacsFaults
from vna_storage_filesystem.store import FilesystemStore

BASIC_TEXT = "1.2.840.10008.5.1.4.1.1.88.11"
CITY = {"IssuerOfPatientID": "CITY"}
PNG = {"Accept": "image/png"}
PNGS = {"Accept": 'multipart/related; type="image/png"'}


@dataclass
class Shown:
    """A house behind a web server."""

    house: House
    client: httpx2.Client
    brought: list[str] = field(default_factory=list)

    def get(self, path: str, headers: dict[str, str]) -> httpx2.Response:
        return self.client.get(f"/federated/dicom-web/studies/{path}", headers=headers)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shown]:
    with federation(tmp_path, ("alpha", "beta")) as house:
        here = house.archives[LOCAL]
        settings = Settings(data=tmp_path / LOCAL, decode=DecodeSettings(processes=1))

        def store(path: Path) -> FilesystemStore:
            return FilesystemStore(BROUGHT, path, durable=False)

        memory = Memory(tmp_path, 3600, store, IngestSettings(), UNDIVIDED, clock=lambda: 1.0)
        retriever = Retriever({here.store.name: here.store, BROUGHT: BroughtStore(memory)}, NotesOfBoth(here.catalogue, memory))
        renderer = Renderer(settings.decode)
        egress = Egress(settings.egress, retriever, Transcoder(settings.decode, renderer.pool))
        query = FederatedQuery(house.members, house.settings)
        bringing = Bringing(house.members, house.settings, here.catalogue, here.pipeline, memory)
        whole = Federation(house.settings, house.members, query, bringing, retriever, egress, memory)
        app = create_app(settings, here.pipeline, here.catalogue, here.retriever, renderer, federation=whole)
        stop = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=serve, args=(app, listening, settings.http, stop))
            thread.start()
            try:
                with httpx2.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as client:
                    made = Shown(house, client)
                    for pacs in house.pacs.values():
                        monkeypatch.setattr(pacs, "fetch", noting(pacs.fetch, made.brought))
                    yield made
            finally:
                stop.set()
                thread.join()
                renderer.pool.close()
                memory.close()


def noting(fetch: Callable[..., object], brought: list[str]) -> Callable[..., object]:
    """The same, and the SOP Instance UIDs that it delivers are noted."""

    def noted(study_uid: str, deliver: Callable[[ReceivedInstance], None], *more: object, **named: object) -> object:
        def noting(one: ReceivedInstance) -> None:
            brought.append(one.sop_instance_uid)
            deliver(one)

        return fetch(study_uid, noting, *more, **named)

    return noted


def sop(number: int) -> str:
    return f"1.2.826.0.1.3680043.10.1.{1000 + number}"


def report(number: int) -> list[bytes]:
    """A structured report in a series of its own."""
    return study(1, range(number, number + 1), SOPClassUID=BASIC_TEXT, SeriesInstanceUID=f"{uid(1)}.2", PixelData="", **CITY)


def test_a_thumbnail_brings_the_one_image_that_it_shows(shown: Shown) -> None:
    shown.house.put("alpha", *study(1, range(5), **CITY), *report(7), *report(8))
    for path in (uid(1), f"{uid(1)}/series/{uid(1)}.1"):
        answer = shown.get(f"{path}/thumbnail", PNG)
        assert answer.status_code == 200 and answer.content.startswith(b"\x89PNG")
    assert shown.brought == [sop(2)], "the one in the middle, once"
    assert shown.get(f"{uid(1)}/series/{uid(1)}.1/instances/{sop(0)}/thumbnail", PNG).status_code == 200
    assert shown.brought == [sop(2), sop(0)]


def test_a_thumbnail_shows_another_image_where_the_first_cannot_be_drawn(shown: Shown) -> None:
    parts = study(1, range(3), **CITY)
    broken = study(1, range(1, 2), PixelData="", **CITY)
    shown.house.put("alpha", parts[0], *broken, parts[2])
    assert shown.get(f"{uid(1)}/thumbnail", PNG).content.startswith(b"\x89PNG")
    assert shown.brought[0] == sop(1) and {sop(0), sop(2)} <= set(shown.brought)


def test_an_image_that_could_not_be_had_is_told(shown: Shown) -> None:
    shown.house.put("alpha", *study(1, range(3), **CITY), *report(7))
    shown.house.pacs["alpha"].faults = PacsFaults(breaks_after=2)
    answer = shown.get(f"{uid(1)}/rendered", PNGS)
    assert answer.content.count(b"\r\n\r\n\x89PNG") == 2
    assert "1 of 3 instances could not be had. alpha: The connection broke." in answer.headers["warning"]


def test_pictures_of_a_study_bring_its_images_and_tell_what_is_none(shown: Shown) -> None:
    shown.house.put("alpha", *study(1, range(3), **CITY), *report(7))
    shown.house.put("beta", *report(7), *report(8))
    answer = shown.get(f"{uid(1)}/rendered", PNGS)
    assert answer.content.count(b"\r\n\r\n\x89PNG") == 3
    assert sorted(shown.brought) == [sop(0), sop(1), sop(2)]
    assert (
        "2 of 5 instances are no images that can be rendered, and are left out: 2 Basic Text SR Storage."
        in answer.headers["warning"]
    )
    assert "could not be had" not in answer.headers["warning"]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/rendered", PNG, 406),
        ("/rendered?quality=0", PNGS, 400),
        ("/thumbnail?viewport=x", PNG, 400),
        ("/thumbnail", {"Accept": "text/plain"}, 406),
        (f"/series/{uid(1)}.2/rendered", PNGS, 406),
        (f"/series/{uid(1)}.2/thumbnail", PNG, 406),
        (f"/series/{uid(1)}.3/thumbnail", PNG, 404),
    ],
)
def test_what_is_refused_whatever_it_shows_brings_nothing(path: str, headers: dict[str, str], status: int, shown: Shown) -> None:
    shown.house.put("alpha", *study(1, range(3), **CITY), *report(7))
    assert shown.get(f"{uid(1)}{path}", headers).status_code == status
    assert shown.brought == []


def test_an_object_asked_for_alone_is_brought_to_be_judged(shown: Shown) -> None:
    """What its class does not promise it may have all the same."""
    shown.house.put("alpha", *study(1, range(7, 8), SOPClassUID=BASIC_TEXT, **CITY))
    assert shown.get(f"{uid(1)}/series/{uid(1)}.1/instances/{sop(7)}/rendered", PNG).content.startswith(b"\x89PNG")
