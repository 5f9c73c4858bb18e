"""Pictures of held instances: PNG and JPEG of frames, made in decoding subprocesses (PS3.18 section 8.3.5)."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from vna_core.access.codec_names import DECODABLE
from vna_core.access.decode import Check, DecodePool, always_wanted
from vna_core.access.render_request import Rendering
from vna_core.access.transcode import Retrieves, header
from vna_core.configuration import DecodeSettings
from vna_core.domain.errors import (
    DecodeError,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    OutOfResources,
    UnsupportedMediaType,
    VnaError,
)
from vna_core.domain.instance import HeldInstance

_ANSWERS_FOR_EACH: Final = 2
"""Answers of many pictures under way for each decoding subprocess: one is decoded for while the other is sent."""
_OF_THE_IMAGE: Final = (DecodeError, InvalidRequest, NotFound, LimitExceeded)
"""Errors that say that one image cannot be rendered, or not so, and nothing of the next."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image file of one frame (1-based), or why there is none. `seconds`: for how long it was worked on."""

    held: HeldInstance
    frame: int
    octets: bytes
    error: VnaError | None = None
    seconds: float = 0.0


class Renderer:
    """Renders frames. Safe to call from several threads."""

    def __init__(self, settings: DecodeSettings, pool: DecodePool | None = None) -> None:
        self.pool = pool if pool is not None else DecodePool(settings)
        self._answers = threading.BoundedSemaphore(_ANSWERS_FOR_EACH * settings.processes)

    @staticmethod
    def can(held: HeldInstance) -> bool:
        """Whether rendering may be tried: there are frames, in a transfer syntax that there is a decoder for."""
        return held.pixel_data is not None and held.number_of_frames > 0 and held.transfer_syntax_uid in DECODABLE

    def render(self, held: HeldInstance, retriever: Retrieves, rendering: Rendering, check: Check = always_wanted) -> bytes:
        """An image file of one frame. `check`: see `DecodePool.run`.

        Raises
        ------
        UnsupportedMediaType
            The instance has no pixels, or there is no decoder for them.
        NotFound
            There is no such frame.
        InvalidRequest
            The viewport's source region holds no pixel of it.
        DecodeError
            The pixels cannot be decoded within the limits; every other image is unaffected.
        """
        return self._picture(held, _header(held, retriever), retriever, rendering, check)

    def pictures(
        self,
        frames: Iterable[tuple[HeldInstance, Sequence[int]]],
        retriever: Retrieves,
        rendering: Rendering,
        check: Check = always_wanted,
    ) -> Generator[Picture, None, None]:
        """Image files of frames (1-based) of instances, in that order, each made when it is asked for. To be closed.

        An image that cannot be rendered is told in its place. `check`: see `DecodePool.run`. Whatever says nothing of the image (a damaged copy, an unreachable store, busy subprocesses) is raised.

        Raises
        ------
        OutOfResources
            As many answers of many pictures are under way as `decode.processes` allow.
        """
        if not self._answers.acquire(blocking=False):
            raise OutOfResources(
                "Pictures of as many studies and series are being rendered as there may be at once; try again later.",
                limit="decode.processes",
            )
        try:
            for held, numbers in frames:
                yield from self._pictures(held, numbers, retriever, rendering, check)
        finally:
            self._answers.release()

    def _pictures(
        self, held: HeldInstance, numbers: Sequence[int], retriever: Retrieves, rendering: Rendering, check: Check
    ) -> Generator[Picture, None, None]:
        before = None
        for number in numbers:
            begun = time.monotonic()
            try:
                before = before or _header(held, retriever)
                picture = self._picture(held, before, retriever, replace(rendering, frame=number), check)
            except _OF_THE_IMAGE as error:
                yield Picture(held, number, b"", error, time.monotonic() - begun)
            else:
                yield Picture(held, number, picture, None, time.monotonic() - begun)

    def _picture(self, held: HeldInstance, before: bytes, retriever: Retrieves, rendering: Rendering, check: Check) -> bytes:
        """A picture; `before` is the data set before the pixels."""
        if not 1 <= rendering.frame <= max(1, held.number_of_frames):
            raise NotFound("There is no such frame.")
        codestream = b"".join(retriever.frames(held, [rendering.frame]))
        job = {"job": "render", "transfer_syntax_uid": held.transfer_syntax_uid, "rendering": asdict(rendering)}
        return self.pool.run(job, [before, codestream], check)[1][0]


def _header(held: HeldInstance, retriever: Retrieves) -> bytes:
    if not Renderer.can(held):
        raise UnsupportedMediaType(
            "This is no image that can be rendered.", frames=held.number_of_frames, transfer_syntax_uid=held.transfer_syntax_uid
        )
    return header(held, retriever)
