"""PMSCT_RLE1: 16-bit samples as differences, which are run-length encoded.

Two layers, the outer one first:

- runs: ``A5 n v`` is n + 1 times v; every other octet is itself;
- differences: ``5A l h`` is the sample 256 h + l; every other octet is a signed difference to the sample before. The first
  sample follows a zero, and sums are modulo 65,536.
"""

from __future__ import annotations

import re
from typing import Final

from vna_core.domain.errors import Malformed

MOST_SAMPLES: Final = 1 << 22
"""Larger images are refused: no CT of this kind has more than 2,048 rows and columns, and it bounds memory and time."""

MOST_OCTETS_PER_SAMPLE: Final = 9
"""An absolute sample whose three octets are runs of one."""

_RUN: Final = re.compile(rb"\xa5(?s:(.)(.)|.?\Z)")
_ABSOLUTE: Final = re.compile(rb"\x5a(?s:..|.?\Z)")


def decode(octets: bytes, count: int) -> bytes:
    """The samples of one image, native little endian.

    Parameters
    ----------
    count
        Rows times columns. A sample that follows is padding and is left out.

    Raises
    ------
    Malformed
        The size is impossible, or the stream ends inside a code, or has fewer or many more samples.
    """
    if not 0 < count <= MOST_SAMPLES:
        raise Malformed("PMSCT_RLE1 pixels are described as an impossible size.", rule="P20", count=count)
    return _summed(_expanded(octets, 3 * (count + 1)), count)


def _expanded(octets: bytes, maximum: int) -> bytes:
    """The stream without runs, at most `maximum` octets."""
    expanded = bytearray()
    position = 0
    for run in _RUN.finditer(octets):
        times, value = run.groups()
        if value is None:
            raise Malformed("PMSCT_RLE1 pixels end inside a run.", rule="P20", offset=run.start())
        expanded += octets[position : run.start()]
        expanded += value * (times[0] + 1)
        if len(expanded) > maximum:
            raise Malformed("PMSCT_RLE1 pixels have more samples than the image.", rule="P20", offset=run.start())
        position = run.end()
    if len(expanded) + len(octets) - position > maximum:
        raise Malformed("PMSCT_RLE1 pixels have more samples than the image.", rule="P20", offset=position)
    return bytes(expanded + octets[position:])


def _summed(octets: bytes, count: int) -> bytes:
    """Differences to samples: one running sum, moved at every absolute sample so that it goes on from there."""
    import numpy  # here: every archive loads this dialect, and hardly any meets such an image

    codes = numpy.frombuffer(octets, numpy.uint8)
    starts = numpy.fromiter((absolute.start() for absolute in _ABSOLUTE.finditer(octets)), numpy.int64)
    if starts.size and starts[-1] + 3 > codes.size:
        raise Malformed("PMSCT_RLE1 pixels end inside a sample.", rule="P20", offset=int(starts[-1]))
    kept = numpy.ones(codes.size, bool)
    kept[starts + 1] = kept[starts + 2] = False
    differences = codes.view(numpy.int8).astype(numpy.int16)
    differences[starts] = 0
    sums = numpy.cumsum(differences[kept].view(numpy.uint16), dtype=numpy.uint16)
    if not count <= sums.size <= count + 1:
        raise Malformed("PMSCT_RLE1 pixels are not as many as the image has.", rule="P20", samples=int(sums.size), count=count)
    if starts.size:
        places = starts - 2 * numpy.arange(starts.size)
        absolute = codes[starts + 1] | codes[starts + 2].astype(numpy.uint16) << 8
        moved = numpy.concatenate((numpy.zeros(1, numpy.uint16), absolute - sums[places]))
        sums += numpy.repeat(moved, numpy.diff(places, prepend=0, append=sums.size))
    return sums[:count].astype("<u2", copy=False).tobytes()
