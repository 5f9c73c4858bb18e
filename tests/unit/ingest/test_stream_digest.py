"""The digest of a stream is that of its octets, however they are cut and wherever they are hashed."""

from __future__ import annotations

import hashlib
import threading

import pytest

from vna_core.domain.digest import BESIDE, StreamDigest

CONTENT = bytes(range(251)) * (3 * BESIDE // 251)


@pytest.mark.parametrize("step", [65_537, (1 << 20) - 1, 1 << 20, (5 << 20) + 3, len(CONTENT)])
@pytest.mark.parametrize("as_view", [True, False])
def test_a_long_stream_has_the_digest_of_its_octets(step: int, as_view: bool) -> None:
    digest = StreamDigest()
    reused = bytearray(step)
    for at in range(0, len(CONTENT), step):
        piece = CONTENT[at : at + step]
        reused[: len(piece)] = piece
        digest.update(memoryview(reused)[: len(piece)] if as_view else piece)
        reused[: len(piece)] = bytes(len(piece))  # the caller's buffer is used again at once
    assert digest.hexdigest() == hashlib.sha256(CONTENT).hexdigest()


def test_nothing_has_the_digest_of_nothing() -> None:
    assert StreamDigest().hexdigest() == hashlib.sha256().hexdigest()


def test_an_abandoned_stream_leaves_no_thread() -> None:
    before = threading.active_count()
    digest = StreamDigest()
    for _ in range(8):
        digest.update(bytes(1 << 20))
    assert threading.active_count() == before + 1
    digest.abandon()
    digest.abandon()
    assert threading.active_count() == before
