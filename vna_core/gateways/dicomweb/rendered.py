"""Rendered resources and thumbnails (PS3.18 sections 10.4.1.1.3, 10.4.1.1.4 and 8.3.5)."""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from vna_core.access.render_request import Rendering
from vna_core.access.view import CatalogueView
from vna_core.domain.errors import InvalidRequest, UnsupportedMediaType
from vna_core.domain.instance import HeldInstance
from vna_core.gateways.dicomweb.archive import WebArchive
from vna_core.gateways.dicomweb.frames import frame_numbers
from vna_core.gateways.dicomweb.held import asked_for, held_under
from vna_core.gateways.dicomweb.media_types import choose, parse_accept
from vna_core.gateways.dicomweb.recalled import when_recalled
from vna_core.gateways.web.exchange import Exchange

MEDIA_TYPES: Final = ("image/jpeg", "image/png")
THUMBNAIL: Final = 128
"""Longest side of a thumbnail in pixels, unless asked for otherwise."""
MAX_VIEWPORT: Final = 8_192
_FUNCTIONS: Final = frozenset(("linear", "linear-exact", "sigmoid"))


def _numbers(text: str, name: str) -> list[float]:
    try:
        values = [float(part) if part.strip() else 0.0 for part in text.split(",")]
    except ValueError:
        values = [math.nan]
    if not all(math.isfinite(value) for value in values):
        raise InvalidRequest("A rendering parameter is not a list of numbers.", parameter=name)
    return values


def window_of(text: str | None) -> tuple[float, float, str] | None:
    """The ``window`` parameter: centre, width and function."""
    if text is None:
        return None
    centre, _, rest = text.partition(",")
    width, _, function = rest.partition(",")
    function = function.strip().lower() or "linear"
    values = _numbers(f"{centre},{width}", "window")
    if values[1] <= 0 or function not in _FUNCTIONS:
        raise InvalidRequest("A window is center,width,function with a positive width.", parameter="window")
    return values[0], values[1], function


def viewport_of(text: str | None) -> tuple[int, int, float, float, float, float] | None:
    """The ``viewport`` parameter: size of the picture and region of the image."""
    if text is None:
        return None
    values = _numbers(text, "viewport")
    if len(values) not in (2, 4, 6) or not all(1 <= value <= MAX_VIEWPORT for value in values[:2]):
        raise InvalidRequest(
            "A viewport is width,height or width,height,x,y,width,height.", parameter="viewport", maximum=MAX_VIEWPORT
        )
    region = [*values[2:], 0.0, 0.0, 0.0, 0.0][:4]
    return int(values[0]), int(values[1]), max(0.0, region[0]), max(0.0, region[1]), region[2], region[3]


def quality_of(text: str | None) -> int:
    """The ``quality`` parameter, 1 to 100."""
    if text is None:
        return 90
    if not text.isdigit() or len(text) > 3 or not 1 <= int(text) <= 100:
        raise InvalidRequest("Quality is a whole number from 1 to 100.", parameter="quality")
    return int(text)


class Rendered:
    """GET ``rendered`` and ``thumbnail`` of an instance or frame; ``thumbnail`` also of a series and study."""

    def __init__(self, archive: WebArchive, thumbnail: bool) -> None:
        self._archive = archive
        self._thumbnail = thumbnail

    async def __call__(self, exchange: Exchange) -> None:
        accept = parse_accept((exchange.parameter("accept"), exchange.header(b"accept")))
        media_type = choose(accept, MEDIA_TYPES)
        viewport = viewport_of(exchange.parameter("viewport"))
        if self._thumbnail and viewport is None:
            viewport = (THUMBNAIL, THUMBNAIL, 0.0, 0.0, 0.0, 0.0)
        window = window_of(exchange.parameter("window"))
        quality = quality_of(exchange.parameter("quality"))
        path = asked_for(exchange)
        held = await when_recalled(self._archive, partial(exchange.blocking, self._shown, exchange.catalogue, path))
        numbers = frame_numbers(path.get("frames", "1"), max(1, held.number_of_frames))
        if len(numbers) != 1:
            raise UnsupportedMediaType("One frame is rendered at a time.")
        rendering = Rendering(numbers[0], media_type, window, viewport, quality)
        picture = await exchange.blocking(self._archive.renderer.render, held, self._archive.retriever, rendering)
        await exchange.octets(picture, media_type)

    def _shown(self, catalogue: CatalogueView, path: dict[str, str]) -> HeldInstance:
        """The instance of the path; for a series or study the one in its middle that has pixels."""
        found = [held for held in held_under(catalogue, path) if held.pixel_data is not None]
        if not found:
            raise UnsupportedMediaType("There are no pixels to render.")
        shown = found[len(found) // 2] if "instance" not in path else found[0]
        self._archive.availability.ensure([shown])
        return shown
