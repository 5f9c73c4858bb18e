"""The form of an encrypted object: chunks of AES-256-GCM in the STREAM construction, then a footer of 156 octets.

The nonce of a chunk is its number (11 octets, big endian) and one octet that is 1 for the last chunk only; the data key is
used for one object and never again. So a chunk that was moved, left out, taken from another object or altered does not open,
nor does an object that was cut. The footer, little endian::

    offset  type        content
         0  8 octets    VNACRYPT
         8  uint16      version, 1
        10  uint16      size of a chunk in KiB, 64
        12  uint32      zero
        16  16 octets   identifier of the store key
        32  uint64      size of the content
        40  32 octets   salt
        72  80 octets   data key and SHA-256 of the content, wrapped by AES-256-GCM
       152  uint32      CRC-32C of everything in the footer before it

They are wrapped by a key that HKDF-SHA-256 (RFC 5869) makes of the store key, the salt and the name of the object; the
authenticated data are the octets of the footer before the salt. STREAM: Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import google_crc32c
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vna_core.domain.errors import DigestMismatch
from vna_core.ports.storage import Content

PLAIN: Final = 64 << 10
"""Octets of content in one chunk; the last may have fewer, and is empty only for an object without octets."""
TAG: Final = 16
SEALED: Final = PLAIN + TAG
FOOTER: Final = 156
_MAGIC: Final = b"VNACRYPT"
_HEAD: Final = struct.Struct("<8sHHI16sQ")
_SALT: Final = 32
_PURPOSE: Final = b"vna encrypted object 1\0"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the footer of an object says: its data key, and size and SHA-256 of its content."""

    data_key: bytes = field(repr=False)
    size: int
    sha256: str


def chunk_count(size: int) -> int:
    """How many chunks content of `size` octets has."""
    return max(1, -(-size // PLAIN))


def stored_size(size: int) -> int:
    """Octets of the encrypted object for content of `size` octets."""
    return size + TAG * chunk_count(size) + FOOTER


def content_size(stored: int) -> int:
    """Octets of content in an encrypted object of `stored` octets; 0 where no object can be that short."""
    body = stored - FOOTER
    return max(0, body - TAG * -(-body // SEALED))


def seal(data_key: bytes, content: Content) -> Iterator[bytes]:
    """The chunks of content."""
    cipher = AESGCM(data_key)
    for number, (plain, last) in enumerate(_cut(content, PLAIN, 1)):
        yield cipher.encrypt(_nonce(number, last), plain, None)


def unseal(opened: Opened, first: int, sealed: Content) -> Iterator[bytes]:
    """Content of the chunks from number `first` (0-based) on, chunk by chunk, as far as there are octets.

    Raises
    ------
    DigestMismatch
        A chunk is not what was written in its place, or is cut short.
    """
    cipher, last = AESGCM(opened.data_key), chunk_count(opened.size) - 1
    for number, (chunk, _) in enumerate(_cut(sealed, SEALED, 0), start=first):
        try:
            yield cipher.decrypt(_nonce(number, number == last), chunk, None)
        except InvalidTag as error:
            message = "An encrypted object is damaged: a chunk of it is not what was written."
            raise DigestMismatch(message, chunk=number) from error


def _cut(content: Content, size: int, behind: int) -> Iterator[tuple[memoryview | bytearray, bool]]:
    """Blocks of `size` octets, each given only when `behind` octets more are there, then what is left; whether it is that.

    Blocks are views into the pieces where they lie in one, to be used before the next is asked for.
    """
    left = bytearray()
    for piece in content:
        view, at = memoryview(piece), 0
        if left:
            at = min(size - len(left), len(view))
            left += view[:at]
            if len(left) < size or len(view) - at < behind:
                continue
            yield left, False
            left = bytearray()
        while len(view) - at >= size + behind:
            yield view[at : at + size], False
            at += size
        left += view[at:]
    if left or behind:
        yield left, True


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes((last,))


def footer(store_key_id: bytes, store_key: bytes, name: str, content: Opened) -> bytes:
    """The footer of the object `name`."""
    head = _HEAD.pack(_MAGIC, 1, PLAIN >> 10, 0, store_key_id, content.size)
    salt = secrets.token_bytes(_SALT)
    secret = content.data_key + bytes.fromhex(content.sha256)
    body = head + salt + _wrapping(store_key, salt, name).encrypt(bytes(12), secret, head)
    return body + struct.pack("<I", google_crc32c.value(body))


def store_key_of(octets: bytes) -> bytes:
    """Identifier of the store key that a footer names.

    Raises
    ------
    DigestMismatch
        These octets are no footer: the object is cut short or damaged, or was never encrypted.
    """
    magic, version, kibibytes, zero, store_key_id, _ = _HEAD.unpack_from(octets.ljust(_HEAD.size, b"\0"))
    whole = len(octets) == FOOTER and google_crc32c.value(octets[:-4]) == struct.unpack("<I", octets[-4:])[0]
    if not whole or (magic, version, kibibytes, zero) != (_MAGIC, 1, PLAIN >> 10, 0):
        raise DigestMismatch("An object in an encrypted store is damaged, cut short or not encrypted.")
    return bytes(store_key_id)


def open_footer(octets: bytes, store_key: bytes, name: str, stored: int) -> Opened:
    """What the footer of the object `name`, of `stored` octets in all, says.

    Raises
    ------
    DigestMismatch
        The footer was made for another object or altered, or the object has lost or gained octets.
    """
    head, salt, wrapped = octets[: _HEAD.size], octets[_HEAD.size : _HEAD.size + _SALT], octets[_HEAD.size + _SALT : -4]
    try:
        secret = _wrapping(store_key, salt, name).decrypt(bytes(12), wrapped, head)
    except InvalidTag as error:
        raise DigestMismatch("An encrypted object is damaged, or lies under another name than it was written to.") from error
    size: int = _HEAD.unpack(head)[-1]
    if stored != stored_size(size):
        raise DigestMismatch("An encrypted object is not as long as it was written.")
    return Opened(secret[:32], size, secret[32:].hex())


def _wrapping(store_key: bytes, salt: bytes, name: str) -> AESGCM:
    """The key is used once, since the salt is random, so that its nonce may be constant."""
    purpose = _PURPOSE + name.encode("utf-8", "surrogatepass")
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(store_key))


class Counted:
    """Passes content on, and knows size and SHA-256 of what has passed."""

    def __init__(self, content: Content) -> None:
        self._content, self._digest, self.size = content, hashlib.sha256(), 0

    def __iter__(self) -> Iterator[bytes | bytearray | memoryview]:
        for piece in self._content:
            self._digest.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        """Lower-case hexadecimal digest of what has passed."""
        return self._digest.hexdigest()
