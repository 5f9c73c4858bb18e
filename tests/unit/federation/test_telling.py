"""What members are told of rejections: they believe this archive, so it tells them nothing that whoever rejected may not correct there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.federation.federated_members import study, uid
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.configuration.federation import MemberSettings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.corrections import AwaitedRejection, CorrectionKind, Rejection
from vna_core.domain.stewardship import Deletion, Extent
from vna_core.federation.telling import Telling

NOTE = "2.25.9"


class Listening(BaseHTTPRequestHandler):
    """Another archive that applies everything, and keeps what it was told."""

    told: list[dict[str, Any]]

    def do_POST(self) -> None:
        self.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"state": "applied"}')

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path) as opened:
        yield opened


@pytest.fixture
def member() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    told: list[dict[str, Any]] = []
    with HTTPServer(("127.0.0.1", 0), type("Handler", (Listening,), {"told": told})) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"vna+http://127.0.0.1:{server.server_port}", told
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("labels", "also_awaited"), [(None, True), (["heart"], True), (["radiology"], False), ([], False)], ids=str
)
def test_what_is_not_held_here_is_told_where_whoever_rejected_it_may_correct(
    labels: list[str] | None, also_awaited: bool, archive: SmallArchive, member: tuple[str, list[dict[str, Any]]]
) -> None:
    url, told = member
    catalogue = archive.catalogue
    catalogue.corrections.tell({"heart": frozenset(CorrectionKind)})
    (octets,) = study(1)
    here = archive.held(octets).sop_instance_uid
    now = datetime(2026, 3, 1, tzinfo=UTC)
    rejection = Deletion("d1", Extent.STUDY, uid(1), "blurred", "RAD1", now, rejection=Rejection.QUALITY.value, note=NOTE)
    catalogue.deletions.hide(rejection)
    catalogue.rejections.await_(
        [AwaitedRejection(NOTE, uid(1), "1.2.3", Rejection.QUALITY.value, ("ae-title", "RAD1", "127.0.0.1"))]
    )
    scope = EVERYTHING if labels is None else Scope(frozenset(labels))
    members = {"heart": MemberSettings(url="test://", department="heart", corrections={"all": url})}
    (delivery,) = catalogue.corrections.next_for("heart")
    Telling(members, "VNA", catalogue, may_correct=lambda principal: scope)(delivery.correction, "heart")
    assert [sorted(one["instances"]) for one in told] == [sorted([here, *(["1.2.3"] if also_awaited else [])])]
