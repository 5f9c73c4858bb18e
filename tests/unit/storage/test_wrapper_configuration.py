"""``stores.<NAME>.wrap``: what is composed of it, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_core.archival_storage.wrappers.caching import CachingStore
from vna_core.archival_storage.wrappers.composition import wrapped
from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
from vna_core.archival_storage.wrappers.retrying import RetryingStore
from vna_core.archival_storage.wrappers.throttling import ThrottlingStore
from vna_core.archival_storage.wrappers.verifying import VerifyingStore
from vna_core.archival_storage.wrappers.wrapper import layers
from vna_core.configuration import StoreSettings, load_settings
from vna_core.domain.errors import ConfigurationError
from vna_core.ports.keys import KeyProvider, WrappedSecret
from vna_core.ports.storage import Store
from vna_storage_filesystem.store import FilesystemStore


def loaded(tmp_path: Path, *wrap: str) -> StoreSettings:
    path = tmp_path / "vna.yaml"
    lines = ["stores:", "  landing:", "    options: {path: x}", "    wrap:", *(f"      {line}" for line in wrap)]
    path.write_text("\n".join(lines))
    return load_settings(path, environment={}).stores["landing"]


def composed(tmp_path: Path, settings: StoreSettings) -> Store:
    return wrapped(FilesystemStore("landing", tmp_path / "store"), settings, tmp_path, {"site": lambda rest: SiteKeys()})


class SiteKeys(KeyProvider):
    """As a plugin would register it."""

    def current_key_id(self) -> str:
        return "site"

    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        return WrappedSecret("site", secret[::-1])

    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        return wrapped.octets[::-1]


def test_the_first_wrapper_is_the_innermost(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "- {type: throttling, read_requests: 100}",
        "- type: retrying",
        "  deadline: 5",
        "- {type: caching, size: 67108864}",
        "- {type: encrypting, key: 'site:anything'}",
        "- {type: verifying}",
    )
    store = composed(tmp_path, settings)
    kinds = [VerifyingStore, EncryptingStore, CachingStore, RetryingStore, ThrottlingStore, FilesystemStore]
    assert [type(one) for one in layers(store)] == kinds
    assert store.name == "landing"
    assert store.abilities() == FilesystemStore("landing", tmp_path / "store").abilities()
    assert (tmp_path / "cache" / "landing").is_dir()


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (["- {type: retrying}", "- {type: retriyng}"], "vna.yaml:6: .*unknown type 'retriyng'. Known: caching, encrypting"),
        (["- {deadline: 3}"], "vna.yaml:5: .*the type is missing"),
        (
            ["- type: retrying", "  deadlin: 5"],
            "vna.yaml:6: unknown setting 'stores.landing.wrap.0.deadlin'. Did you mean 'deadline'",
        ),
        (["- type: caching", "  size: 5"], "vna.yaml:6: setting 'stores.landing.wrap.0.size': .*greater than or equal"),
        (["- type: encrypting"], "vna.yaml:5: setting 'stores.landing.wrap.0.key': Field required"),
        (["- {type: encrypting, key: /etc/key}"], "vna.yaml:5: setting 'stores.landing.wrap.0.key'"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, wrap: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loaded(tmp_path, *wrap)


@pytest.mark.parametrize("key", ["vault:secret", "file:/nowhere/key", "env:NO_SUCH_KEY"])
def test_a_key_that_is_not_there_is_told(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="vault|/nowhere/key|NO_SUCH_KEY"):
        composed(tmp_path, loaded(tmp_path, f"- {{type: encrypting, key: '{key}'}}"))
