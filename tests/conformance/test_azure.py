"""The Azure store does what every store must, on the emulator."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("adlfs", reason="the extra azure is not installed")
from azure.core.exceptions import ResourceExistsError  # noqa: E402

from tests.peers.azurite import KEY, Azurite  # noqa: E402
from tests.peers.cable import Cable  # noqa: E402
from vna_core.domain.errors import ConfigurationError, InvalidRequest, ObjectArchived, StoreRefused, StoreUnavailable  # noqa: E402
from vna_core.ports.storage import Store  # noqa: E402
from vna_core.testing.storage_conformance import STRANGE, StoreConformance  # noqa: E402
from vna_storage_azure import open_store  # noqa: E402

pytestmark = pytest.mark.xdist_group("azure")
IMPATIENT = {"attempts": 1, "connect_timeout": 2, "timeout": 20}
REFUSED = ("a\\b", "a.", "a./b")


def container_of(folder: Path) -> str:
    return "test-" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


class TestAzurite(StoreConformance):
    """A fresh container for every test, a fresh prefix for every run of calls within one."""

    examples = 8
    many_keys = 5_500  # more than a page of the service
    strange_keys = tuple(key for key in STRANGE if key not in REFUSED)

    @pytest.fixture(autouse=True)
    def _service(self, azure_service: Azurite) -> None:
        self.service = azure_service

    def open_store(self, folder: Path) -> Store:
        run = folder.name.startswith("run")
        container = container_of(folder.parent if run else folder)
        with contextlib.suppress(ResourceExistsError):
            self.service.service().create_container(container)
        prefix = f"{folder.name}/" if run else "vna/"
        return open_store("container", self.service.options(container, prefix=prefix, part_size=5 << 20))

    def unavailable(self, folder: Path) -> Store:
        cable = Cable(self.service.port)
        self.service.service().create_container(container_of(folder))
        options: dict[str, Any] = {"container": container_of(folder), **IMPATIENT}
        store = open_store("unplugged", {**options, "connection_string": self.service.connection_string(cable.port)})
        cable.unplug()
        return store


@pytest.fixture
def container(azure_service: Azurite, tmp_path: Path) -> str:
    name = container_of(tmp_path)
    azure_service.service().create_container(name)
    return name


def test_the_digest_tags_and_tier_of_an_object_are_as_configured(azure_service: Azurite, container: str) -> None:
    store = open_store("cold", azure_service.options(container, tags={"archive": "vna"}, tier="Cool"))
    created = store.create("a/b", [b"content"])
    large = store.create("a/large", [bytes(1 << 20)] * 20, hashlib.sha256(bytes(20 << 20)).hexdigest())
    for one in (created, large):
        blob = azure_service.service().get_blob_client(container, one.key)
        properties = blob.get_blob_properties()
        assert properties.metadata["sha256"] == one.sha256 == store.stat(one.key).sha256
        assert properties.blob_tier == "Cool"
        assert blob.get_blob_tags() == {"archive": "vna"}


def test_an_archived_object_is_told_as_archived(azure_service: Azurite, container: str) -> None:
    store = open_store("cold", azure_service.options(container, tier="Archive"))
    assert store.abilities().recall
    store.create("a", [b"content"])
    assert store.stat("a").size == 7
    with pytest.raises(ObjectArchived) as raised:
        store.read("a")
    assert not raised.value.transient


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_the_service_would_take_for_another_is_refused(azure_service: Azurite, container: str, key: str) -> None:
    store = open_store("s", azure_service.options(container))
    with pytest.raises(InvalidRequest):
        store.create(key, [b"x"])


def test_a_missing_container_and_a_wrong_key_are_one_clear_line(azure_service: Azurite, container: str) -> None:
    with pytest.raises(StoreRefused, match="^Store 's': container 'absent' does not exist; create it first.$"):
        open_store("s", azure_service.options("absent"))
    wrong = azure_service.connection_string().replace(KEY, "d3Jvbmc=")
    with pytest.raises(StoreRefused, match="check account, credentials and rights") as raised:
        open_store("s", {"container": container, "connection_string": wrong, "attempts": 1})
    assert "d3Jvbmc" not in raised.value.message


def test_a_service_that_does_not_answer_is_unavailable(azure_service: Azurite) -> None:
    cable = Cable(azure_service.port)
    cable.unplug()
    with pytest.raises(StoreUnavailable):
        open_store("s", {"container": "abc", "connection_string": azure_service.connection_string(cable.port), **IMPATIENT})


def test_a_connection_that_breaks_in_the_middle_leaves_no_torn_object(azure_service: Azurite, container: str) -> None:
    cable = Cable(azure_service.port)
    options = {"container": container, "connection_string": azure_service.connection_string(cable.port), **IMPATIENT}
    store = open_store("s", {**options, "parallel_parts": 1})
    cable.break_after(9 << 20)
    with pytest.raises(StoreUnavailable):
        store.create("torn", [bytes(1 << 20)] * 30)
    assert list(store.list()) == []
    assert store.create("torn", [bytes(1 << 20)] * 30).size == 30 << 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"container": "abc"}, "'account' or 'connection_string' is needed"),
        ({"container": "abc", "account": "a", "teir": "Hot"}, "unknown option 'teir'; did you mean 'tier'"),
        ({"container": "abc", "account": "a", "lock": "Locked"}, "'lock' and 'lock_days' belong together"),
        ({"account": "a"}, "option 'container' is missing"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_store("s", options)
