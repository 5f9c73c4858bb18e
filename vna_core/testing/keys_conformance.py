"""What every key provider must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurKeys(KeyProviderConformance):
        def open_provider(self, folder: Path) -> KeyProvider:
            return OurKeys(str(folder))

        def rotate(self, folder: Path) -> None:
            our_service(folder).add_key()

A provider keeps master keys and never hands them out: it wraps the 32 octets of a store's key, and unwraps them again.
"""

from __future__ import annotations

import os
import secrets
from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
from vna_core.domain.errors import ConfigurationError, KeyUnavailable, StoreUnavailable
from vna_core.plugin_manager import Plugins
from vna_core.ports.hookspecs import hookimpl
from vna_core.ports.keys import KeyProvider, WrappedSecret
from vna_core.testing.memory_store import MemoryStore

SECRET: Final = bytes(range(32))
CONTEXT: Final = b"vna store key 1\0" + bytes(16)


class KeyProviderConformance:
    """Base class of a key provider's tests."""

    @abstractmethod
    def open_provider(self, folder: Path) -> KeyProvider:
        """A provider whose keys are kept in `folder`, or by a service that a test of its own name has in `folder`; at the first call one key is made.

        Called again it gives another provider of the same keys, as another process would have.
        """

    @abstractmethod
    def rotate(self, folder: Path) -> None:
        """Make another key the current one; the ones before still open what they wrapped."""

    def without_keys(self, folder: Path) -> KeyProvider:
        """A provider of the same kind that holds none of the keys of any other."""
        return self.open_provider(folder)

    def unavailable(self, folder: Path) -> KeyProvider:
        """A provider whose service does not answer."""
        pytest.skip("this provider has no service that could be gone")

    @pytest.fixture
    def provider(self, tmp_path: Path) -> KeyProvider:
        """The provider under test."""
        return self.open_provider(tmp_path)

    # -- being found ------------------------------------------------------------------------------------------------------

    def test_the_archive_takes_the_provider(self, provider: KeyProvider) -> None:
        class Plugin:
            @hookimpl
            def register_key_providers(self) -> Mapping[str, Any]:
                return {"under-test": lambda rest: provider}

        plugins = Plugins()
        plugins.register(Plugin(), "under-test")
        assert plugins.key_providers()["under-test"]("rest") is provider

    # -- wrapping ---------------------------------------------------------------------------------------------------------

    def test_what_was_wrapped_comes_back(self, provider: KeyProvider) -> None:
        for secret in (SECRET, b"", secrets.token_bytes(64)):
            assert provider.unwrap(provider.wrap(secret, CONTEXT), CONTEXT) == secret

    def test_another_process_opens_it(self, provider: KeyProvider, tmp_path: Path) -> None:
        wrapped = provider.wrap(SECRET, CONTEXT)
        assert self.open_provider(tmp_path).unwrap(wrapped, CONTEXT) == SECRET

    def test_the_secret_does_not_show(self, provider: KeyProvider) -> None:
        one, other = provider.wrap(SECRET, CONTEXT), provider.wrap(SECRET, CONTEXT)
        assert SECRET not in one.octets and SECRET.hex() not in one.key_id
        assert one.octets != other.octets, "the same secret wrapped twice looks the same"

    def test_a_key_has_a_name_that_can_be_shown(self, provider: KeyProvider) -> None:
        name = provider.current_key_id()
        assert name and name.isascii() and name.isprintable() and len(name) <= 256
        assert provider.wrap(SECRET, CONTEXT).key_id == name

    # -- refusing ---------------------------------------------------------------------------------------------------------

    def test_another_context_does_not_open_it(self, provider: KeyProvider) -> None:
        wrapped = provider.wrap(SECRET, CONTEXT)
        for context in (b"", CONTEXT[:-1], CONTEXT + b"\0", b"vna store key 1\0" + bytes(15) + b"\1"):
            with pytest.raises(KeyUnavailable):
                provider.unwrap(wrapped, context)

    def test_what_was_altered_or_cut_does_not_open(self, provider: KeyProvider) -> None:
        wrapped = provider.wrap(SECRET, CONTEXT)
        altered = [wrapped.octets[:at] + bytes([wrapped.octets[at] ^ 1]) + wrapped.octets[at + 1 :] for at in (0, -2)]
        for octets in (*altered, wrapped.octets[:-1], wrapped.octets[:5], b""):
            with pytest.raises(KeyUnavailable):
                provider.unwrap(replace(wrapped, octets=octets), CONTEXT)

    @pytest.mark.parametrize("key_id", ["0" * 16, "", "../../etc/passwd", "no such key", "arn:aws:kms:x"])
    def test_a_key_that_is_not_held_is_said_to_be_missing(self, provider: KeyProvider, key_id: str) -> None:
        wrapped = provider.wrap(SECRET, CONTEXT)
        with pytest.raises(KeyUnavailable):
            provider.unwrap(WrappedSecret(key_id, wrapped.octets), CONTEXT)

    def test_a_provider_of_other_keys_does_not_open_it(self, provider: KeyProvider, tmp_path: Path) -> None:
        wrapped = provider.wrap(SECRET, CONTEXT)
        (tmp_path / "other").mkdir()
        with pytest.raises(KeyUnavailable):
            self.without_keys(tmp_path / "other").unwrap(wrapped, CONTEXT)

    def test_a_service_that_is_gone_is_told_as_unavailable(self, tmp_path: Path) -> None:
        wrapped = self.open_provider(tmp_path).wrap(SECRET, CONTEXT)
        provider = self.unavailable(tmp_path)
        for call in (
            provider.current_key_id,
            lambda: provider.wrap(SECRET, CONTEXT),
            lambda: provider.unwrap(wrapped, CONTEXT),
        ):
            with pytest.raises(StoreUnavailable):
                call()

    # -- rotating ---------------------------------------------------------------------------------------------------------

    def test_after_a_rotation_the_fresh_key_wraps_and_the_old_one_still_opens(
        self, provider: KeyProvider, tmp_path: Path
    ) -> None:
        before, wrapped = provider.current_key_id(), provider.wrap(SECRET, CONTEXT)
        self.rotate(tmp_path)
        for one in (provider, self.open_provider(tmp_path)):
            assert one.current_key_id() != before, "a provider that runs does not see the fresh key"
            assert one.unwrap(wrapped, CONTEXT) == SECRET
            assert one.unwrap(one.wrap(SECRET, CONTEXT), CONTEXT) == SECRET

    # -- serving an archive -----------------------------------------------------------------------------------------------

    def test_many_threads_use_it_at_once(self, provider: KeyProvider) -> None:
        every = [os.urandom(32) for _ in range(64)]
        with ThreadPoolExecutor(16) as threads:
            came_back = threads.map(lambda one: provider.unwrap(provider.wrap(one, CONTEXT), CONTEXT), every)
        assert list(came_back) == every

    def test_an_encrypted_store_lives_on_it(self, provider: KeyProvider, tmp_path: Path) -> None:
        below, content = MemoryStore("below"), b"octets of an image " * 5000
        EncryptingStore(below, provider).create("a", [content])
        encrypted = below.read("a")
        assert content[:64] not in encrypted
        self.rotate(tmp_path)
        again = EncryptingStore(below, self.open_provider(tmp_path))
        rotated = again.ring.rotate()
        assert {one.master_key_id for one in rotated} == {provider.current_key_id()}
        again.create("b", [content])
        assert again.read("a") == again.read("b") == content
        assert below.read("a") == encrypted, "a rotation writes no image again"
        (tmp_path / "other").mkdir()
        with pytest.raises((ConfigurationError, KeyUnavailable)):
            EncryptingStore(below, self.without_keys(tmp_path / "other"))
