"""Pictures of held instances: PNG and JPEG of one frame, made in a decoding subprocess (PS3.18 section 8.3.5)."""

from __future__ import annotations

from dataclasses import asdict

from vna_core.access.decode import DecodePool
from vna_core.access.render_request import Rendering
from vna_core.access.transcode import Retrieves, header
from vna_core.configuration import DecodeSettings
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import HeldInstance


class Renderer:
    """Renders frames. Safe to call from several threads."""

    def __init__(self, settings: DecodeSettings, pool: DecodePool | None = None) -> None:
        self.pool = pool if pool is not None else DecodePool(settings)

    def render(self, held: HeldInstance, retriever: Retrieves, rendering: Rendering) -> bytes:
        """An image file of one frame.

        Raises
        ------
        UnsupportedMediaType
            The instance has no pixels.
        NotFound
            There is no such frame.
        DecodeError
            The pixels cannot be decoded within the limits; every other image is unaffected.
        """
        octets = header(held, retriever)
        if not 1 <= rendering.frame <= max(1, held.number_of_frames):
            raise NotFound("There is no such frame.")
        codestream = b"".join(retriever.frames(held, [rendering.frame]))
        job = {"job": "render", "transfer_syntax_uid": held.transfer_syntax_uid, "rendering": asdict(rendering)}
        return self.pool.run(job, [octets, codestream])[1][0]
