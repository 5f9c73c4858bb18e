"""Files of master keys: 64 hexadecimal digits to a line, the current key first, comments after ``#``."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Final

from vna_core.domain.errors import ConfigurationError

_KEY: Final = re.compile("[0-9a-fA-F]{64}")


def keys_of(text: str, place: str) -> dict[str, bytes]:
    """Identifier to key, the current one first.

    Parameters
    ----------
    place
        Where the text stands, for messages.

    Raises
    ------
    ConfigurationError
        A line is no key, or there is none.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.split("#", 1)[0].strip()
        if not written:
            continue
        if not _KEY.fullmatch(written):
            raise ConfigurationError(f"{place}, line {number}: a key is 64 hexadecimal digits.", key=place)
        key = bytes.fromhex(written)
        found[key_id_of(key)] = key
    if not found:
        raise ConfigurationError(f"{place} holds no key; make one with `vna keys make`.", key=place)
    return found


def key_id_of(key: bytes) -> str:
    """Identifier of a master key, which does not tell the key: 16 hexadecimal digits."""
    return hashlib.sha256(b"vna master key\0" + key).hexdigest()[:16]


def read_keys(path: Path) -> str:
    """The text of a key file. Raises ConfigurationError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"Key file {path} cannot be read: {reason}.", key=str(path)) from error


def add_key(path: Path) -> str:
    """Put a fresh key before those of a file, which is made when missing; the identifier of the key.

    The file is written under another name, flushed and renamed: a power loss leaves the one before. Only its owner may read it.

    Raises
    ------
    ConfigurationError
        The file holds something else than keys, or cannot be written.
    """
    before = read_keys(path) if path.exists() else ""
    if before.strip():
        keys_of(before, f"Key file {path}")
    key = secrets.token_bytes(32)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{key.hex()}\n{before}")
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            owner = path.stat()
            os.chown(temporary, owner.st_uid, owner.st_gid)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigurationError(f"Key file {path} cannot be written: {error.strerror}.", key=str(path)) from error
    return key_id_of(key)
