"""The key port: who wraps the keys that encrypt a store, and unwraps them again.

A provider never hands out its own key, so that a key management service fits as well as a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrappedSecret:
    """A secret as a provider wrapped it: identifier of the provider's key (ASCII, not secret) and what only it can open."""

    key_id: str
    octets: bytes


class KeyProvider(ABC):
    """Keeper of master keys. Every method may be called from several threads at once."""

    @abstractmethod
    def current_key_id(self) -> str:
        """Identifier of the key that `wrap` uses now.

        Raises
        ------
        ConfigurationError
            There is no key, or it is malformed.
        StoreUnavailable
            The provider does not answer.
        """

    @abstractmethod
    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        """Encrypt `secret` (at most 64 octets) with the current key, bound to `context`. Raises as `current_key_id`."""

    @abstractmethod
    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        """The secret again.

        Raises
        ------
        KeyUnavailable
            The key named is not held, or it did not wrap this under this context.
        StoreUnavailable
            The provider does not answer.
        """


KeyProviderFactory = Callable[[str], KeyProvider]
"""Makes a provider from what follows the scheme in ``key: scheme:rest``; raises ConfigurationError when it cannot be meant."""
