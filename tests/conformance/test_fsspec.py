"""The fsspec store keeps what it promises: in memory, in a folder, and on a server that answers as Google Cloud Storage does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.peers.fake_gcs import FakeGcs
from vna_core.domain.errors import ConfigurationError
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import STRANGE, StoreConformance
from vna_storage_fsspec import open_store

pytestmark = pytest.mark.xdist_group("fsspec")


class TestFolder(StoreConformance):
    """fsspec's own local file system: no exclusive creation, no flush."""

    landing = False
    many_keys = 2_000

    def open_store(self, folder: Path) -> Store:
        return open_store("folder", {"url": f"file://{folder}/store", "parameters": {"auto_mkdir": True}})


class TestMemory(StoreConformance):
    landing = False
    many_keys = 500
    examples = 8

    def open_store(self, folder: Path) -> Store:
        return open_store("memory", {"url": f"memory://{folder}"})


class TestGoogleCloudStorage(StoreConformance):
    examples = 3
    many_keys = 1_100
    strange_keys = tuple(key for key in STRANGE if "\n" not in key and "[" not in key)

    @pytest.fixture(autouse=True)
    def _service(self, gcs_service: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # read on import; it asks for a service of Google's
        pytest.importorskip("gcsfs", reason="the extra gcs is not installed")
        self.service = gcs_service
        self.made: set[str] = set()

    def open_store(self, folder: Path) -> Store:
        run = folder.name.startswith("run")
        bucket = "test-" + hashlib.sha256(str(folder.parent if run else folder).encode()).hexdigest()[:20]
        if bucket not in self.made:
            self.made.add(self.service.make_bucket(bucket))
        parameters = {"endpoint_url": self.service.endpoint, "token": "anon", "project": "p"}
        return open_store("gcs", {"url": f"gs://{bucket}/{folder.name}", "parameters": parameters})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "nothing"}, "option 'url'"),
        ({"urll": "memory://x"}, "unknown option 'urll'; did you mean 'url'|option 'url' is missing"),
        ({"url": "nosuchthing://x"}, "nosuchthing"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        open_store("s", options)
    assert "\n" not in raised.value.message
