"""What a rendered picture shall be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the picture shall be.

    Attributes
    ----------
    frame
        Frame number, 1-based.
    window
        Centre, width and function (``linear``, ``linear-exact``, ``sigmoid``), or None for the image's own.
    viewport
        Width and height of the picture in pixels, then left, top, width and height of the source region (0: all). A
        negative source width or height flips.
    """

    frame: int
    media_type: str = "image/jpeg"
    window: tuple[float, float, str] | None = None
    viewport: tuple[int, int, float, float, float, float] | None = None
    quality: int = 90
