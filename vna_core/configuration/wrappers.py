"""Settings of what is put around a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from vna_core.configuration.section import Section


class RetryingSettings(Section):
    """Calls the store again while it does not answer."""

    type: Literal["retrying"] = Field(description="`retrying`: calls that found the store not answering are repeated.")
    deadline: float = Field(60.0, gt=0, description="Seconds after the first failure until it is given up.")
    first_delay: float = Field(0.1, gt=0, description="Longest wait in seconds before the second try; it doubles with every try.")
    longest_delay: float = Field(
        5.0, gt=0, description="Seconds up to which it doubles. What is waited is drawn at random below."
    )


class VerifyingSettings(Section):
    """Compares whole objects with the digest in their key."""

    type: Literal["verifying"] = Field(description="`verifying`: whole objects are compared with the digest in their key.")


class ThrottlingSettings(Section):
    """Limits what one process asks of the store."""

    type: Literal["throttling"] = Field(description="`throttling`: limits by the second, for each process.")
    read_bytes: int = Field(0, ge=0, description="Octets read a second; 0: no limit.")
    write_bytes: int = Field(0, ge=0, description="Octets written a second; 0: no limit.")
    read_requests: int = Field(0, ge=0, description="Requests a second that read, ask or list; 0: no limit.")
    write_requests: int = Field(0, ge=0, description="Requests a second that write or delete; 0: no limit.")


class CachingSettings(Section):
    """Keeps what is read on a local disk."""

    type: Literal["caching"] = Field(description="`caching`: blocks of 1 MiB of what is read are kept on a local disk.")
    path: Path | None = Field(None, description="Folder of the cache. Without it, `cache/<NAME>` in the data folder.")
    size: int = Field(10 << 30, ge=64 << 20, description="Octets it may hold; what was used least recently goes first.")


class EncryptingSettings(Section):
    """Encrypts objects."""

    type: Literal["encrypting"] = Field(description="`encrypting`: objects are encrypted by AES-256-GCM.")
    key: str = Field(
        pattern=r"^[a-z][a-z0-9+.-]*:.+$",
        description="Where the master key is: `file:PATH`, `env:VARIABLE` or a plugin's scheme.",
    )


WrapperSettings = Annotated[
    RetryingSettings | VerifyingSettings | ThrottlingSettings | CachingSettings | EncryptingSettings, Field(discriminator="type")
]

WRAPPERS: Final[dict[str, type[Section]]] = {
    "caching": CachingSettings,
    "encrypting": EncryptingSettings,
    "retrying": RetryingSettings,
    "throttling": ThrottlingSettings,
    "verifying": VerifyingSettings,
}
"""Type to settings."""
