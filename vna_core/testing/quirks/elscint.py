"""The compression that ELSCINT1 scanners name PMSCT_RLE1 in (07A1,1011), pixels in (07A1,100A).

Samples become differences to the sample before: one signed octet, or 5A and the sample itself in two octets, least significant
first, where the difference does not fit or would be 5A. The octets are then run-length coded: A5, the number of
repetitions after the first, and the octet; an octet A5 is always written as a run.
"""

from __future__ import annotations

import numpy as np

from vna_core.testing.quirks.quirk_file import Samples

ABSOLUTE, RUN = 0x5A, 0xA5
_LONGEST = 256


def encode(samples: Samples) -> bytes:
    """The octets of samples of at most 16 bits, of even length."""
    packed = _runs(_differences(samples))
    return packed + bytes(len(packed) & 1)


def decode(octets: bytes, count: int) -> Samples:
    """The first `count` samples."""
    spread, at = bytearray(), 0
    while at < len(octets):
        if octets[at] == RUN and at + 2 < len(octets):
            spread += octets[at + 2 : at + 3] * (octets[at + 1] + 1)
            at += 3
        else:
            spread.append(octets[at])
            at += 1
    samples, value, at = np.zeros(count, "<u2"), 0, 0
    for index in range(count):
        if spread[at] == ABSOLUTE:
            value = spread[at + 1] | spread[at + 2] << 8
            at += 3
        else:
            value = (value + (spread[at] ^ 0x80) - 0x80) & 0xFFFF
            at += 1
        samples[index] = value
    return samples


def _differences(samples: Samples) -> bytes:
    coded, before = bytearray(), 0
    for sample in map(int, samples.ravel()):
        difference = sample - before
        if -128 <= difference <= 127 and difference != ABSOLUTE:
            coded.append(difference & 0xFF)
        else:
            coded += bytes((ABSOLUTE, sample & 0xFF, sample >> 8))
        before = sample
    return bytes(coded)


def _runs(octets: bytes) -> bytes:
    packed, at = bytearray(), 0
    while at < len(octets):
        run = 1
        while run < _LONGEST and octets[at : at + 1] == octets[at + run : at + run + 1]:
            run += 1
        if run > 2 or octets[at] == RUN:
            packed += bytes((RUN, run - 1, octets[at]))
        else:
            packed += octets[at : at + 1] * run
        at += run
    return bytes(packed)
