"""Master keys from a file or from the environment.

A master key is 32 octets, written as in `key_file`. Of several the first is the current one; the others open what was wrapped before.
"""

from __future__ import annotations

import os
import secrets
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vna_core.archival_storage.key_file import keys_of, read_keys
from vna_core.domain.errors import KeyUnavailable
from vna_core.ports.keys import KeyProvider, KeyProviderFactory, WrappedSecret

_NONCE: Final = 12


class ListedKeys(KeyProvider):
    """Keys that are written down somewhere; read anew for every call, so that a key that was added is known at once.

    Parameters
    ----------
    place
        Where the keys are, as messages call it.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._keys()

    @abstractmethod
    def _text(self) -> str:
        """What is written there. Raises ConfigurationError."""

    def _keys(self) -> dict[str, bytes]:
        return keys_of(self._text(), self._place)

    def current_key_id(self) -> str:
        """See `KeyProvider.current_key_id`."""
        return next(iter(self._keys()))

    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        """See `KeyProvider.wrap`."""
        key_id, key = next(iter(self._keys().items()))
        nonce = secrets.token_bytes(_NONCE)
        return WrappedSecret(key_id, nonce + AESGCM(key).encrypt(nonce, secret, context))

    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        """See `KeyProvider.unwrap`."""
        key = self._keys().get(wrapped.key_id)
        if key is None:
            raise KeyUnavailable(f"{self._place} does not hold the key {wrapped.key_id}.", key_id=wrapped.key_id)
        try:
            return AESGCM(key).decrypt(wrapped.octets[:_NONCE], wrapped.octets[_NONCE:], context)
        except (InvalidTag, ValueError) as error:
            message = f"What the key {wrapped.key_id} of {self._place} is said to have wrapped does not open with it."
            raise KeyUnavailable(message, key_id=wrapped.key_id) from error


class FileKeys(ListedKeys):
    """Keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(f"Key file {path}")

    def _text(self) -> str:
        return read_keys(self._path)


class EnvironmentKeys(ListedKeys):
    """Keys in an environment variable, separated by white space."""

    def __init__(self, variable: str, environment: Mapping[str, str] | None = None) -> None:
        self._variable, self._environment = variable, os.environ if environment is None else environment
        super().__init__(f"Environment variable {variable}")

    def _text(self) -> str:
        return "\n".join(self._environment.get(self._variable, "").split())


def built_in() -> dict[str, KeyProviderFactory]:
    """Scheme to factory of the providers that come with the archive."""
    return {"file": lambda rest: FileKeys(Path(rest)), "env": EnvironmentKeys}
