"""What pictures a request asks for: media type and packaging (PS3.18 sections 8.7.4 and 8.6.1.2), window, viewport and quality (8.3.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vna_core.access.render_request import Rendering
from vna_core.domain.errors import InvalidRequest, UnsupportedMediaType
from vna_core.domain.numbers import whole_number
from vna_core.gateways.dicomweb.media_types import MULTIPART, MediaRange
from vna_core.gateways.web.exchange import Exchange

MEDIA_TYPES: Final = ("image/jpeg", "image/png")
MAX_VIEWPORT: Final = 8_192
_FUNCTIONS: Final = frozenset(("linear", "linear-exact", "sigmoid"))
_IGNORED: Final = ("annotation", "iccprofile")
"""Parameters of the standard that change nothing here."""


class Packaging(StrEnum):
    """How pictures are packed."""

    SINGLE = "single"
    """The picture itself is the answer."""
    MULTIPART = "multipart"
    """Each picture is a part."""


@dataclass(frozen=True, slots=True)
class PictureForm:
    """One acceptable form; `packaging` is None where whoever asks does not care."""

    media_type: str
    packaging: Packaging | None


def picture_forms(accept: Sequence[MediaRange]) -> list[PictureForm]:
    """Acceptable forms that can be made, best first. Raises UnsupportedMediaType when there is none."""
    forms = []
    for one in accept:
        kind, packaging = one, Packaging.SINGLE if one.name != "*/*" else None
        if one.name in (MULTIPART, "multipart/*"):
            kind, packaging = MediaRange(one.parameters.get("type", "*/*").lower(), {}), Packaging.MULTIPART
        forms += [PictureForm(media_type, packaging) for media_type in MEDIA_TYPES if kind.covers(media_type)]
    if not forms:
        raise UnsupportedMediaType("None of the acceptable media types can be made.", offered=_offered())
    return forms


def chosen(forms: Sequence[PictureForm], default: Packaging, pictures: int) -> tuple[str, Packaging]:
    """Media type and packaging of so many pictures.

    Parameters
    ----------
    default
        How they are packed where whoever asks does not care.

    Raises UnsupportedMediaType when there are several and nothing but a single one is acceptable.
    """
    for form in forms:
        packaging = form.packaging or default
        if packaging is Packaging.MULTIPART or pictures == 1:
            return form.media_type, packaging
    if pictures == 1:
        raise UnsupportedMediaType("One picture is served by itself.", offered=list(MEDIA_TYPES))
    raise UnsupportedMediaType(
        "There are several pictures, which are served as multipart/related; one that stands for all is the thumbnail, in any size by its viewport.",
        offered=_offered(),
        pictures=pictures,
    )


def _offered() -> list[str]:
    return [*MEDIA_TYPES, *(f'multipart/related; type="{media_type}"' for media_type in MEDIA_TYPES)]


def rendering_of(exchange: Exchange, side: int | None = None) -> Rendering:
    """The parameters of a request, of the first frame. `side` is the longest side in pixels where the request names no viewport."""
    viewport = viewport_of(exchange.parameter("viewport"))
    if viewport is None and side is not None:
        viewport = (side, side, 0.0, 0.0, 0.0, 0.0)
    window = window_of(exchange.parameter("window"))
    return Rendering(1, window=window, viewport=viewport, quality=quality_of(exchange.parameter("quality")))


def ignored(exchange: Exchange) -> list[str]:
    """What a request says that changes nothing, as a sentence for whoever asks."""
    said = [name for name in _IGNORED if exchange.parameter(name) is not None]
    return [f"Ignored: {', '.join(said)}."] if said else []


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
    if values[1] < 1 and function == "linear":
        raise InvalidRequest("A window below 1 is not linear but linear-exact or sigmoid.", parameter="window")
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
    left, top, across, down = [*values[2:], 0.0, 0.0, 0.0, 0.0][:4]
    if left < 0 or top < 0:
        raise InvalidRequest("A viewport's source region begins in the image.", parameter="viewport")
    return int(values[0]), int(values[1]), left, top, across, down


def quality_of(text: str | None) -> int:
    """The ``quality`` parameter, 1 to 100."""
    if text is None:
        return 90
    number = whole_number(text)
    if number is None or not 1 <= number <= 100:
        raise InvalidRequest("Quality is a whole number from 1 to 100.", parameter="quality")
    return number
