"""Layer 3, E23: samples whose octets stand in the other order than the data set's. Nothing proves it, so nothing is turned."""

from __future__ import annotations

from typing import Final

from vna_core.ingest.normalize.pixel_image import LabelVerdict, PixelImage
from vna_core.ingest.normalize.pixel_samples import glance

_SMOOTHER: Final = 8
"""How many times smaller the steps between neighbours must be the other way round."""

_ROUGH: Final = 1024
"""Mean step below which samples are no noise; images of two octets have steps of some dozens."""

_FEWEST: Final = 32


def other_order(image: PixelImage) -> LabelVerdict | None:
    """Samples of 16 bits that are noise as they stand and an image when every two octets are turned round."""
    if not image.native or image.unpacked or image.allocated != 16 or image.samples != 1 or image.floating:
        return None
    octets = glance(image)
    if len(octets) < 2 * _FEWEST or _surely_smooth(octets):
        return None
    kind = "i2" if image.representation else "u2"
    steps = _mean_step(octets, f"<{kind}")
    if steps < _ROUGH or _mean_step(octets, f">{kind}") * _SMOOTHER > steps:
        return None
    return LabelVerdict(finding="The samples look as if their octets stood in the other order; they are kept.")


def _surely_smooth(octets: bytes) -> bool:
    """Whether the mean step of little-endian samples cannot reach what noise has; False: it has to be computed.

    Two high octets differ by no more than their exclusive or, also as numbers with a sign, and a step by 255 more than 256 times that. So
    nearly every image is told by four calls, and numpy need not be loaded for it.
    """
    high = octets[1::2]
    steps = len(high) - 1
    changed = int.from_bytes(high[1:]) ^ int.from_bytes(high[:-1])
    return 256 * sum(changed.to_bytes(steps)) + 255 * steps < _ROUGH * steps


def _mean_step(octets: bytes, dtype: str) -> float:
    import numpy  # here: it takes long to load, and hardly any image needs it

    samples = numpy.frombuffer(octets, dtype).astype(numpy.int32)
    return float(numpy.abs(numpy.diff(samples)).mean())
