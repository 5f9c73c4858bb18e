"""Files whose rules are not there yet."""

from __future__ import annotations

from typing import Final

AWAITING: Final[frozenset[str]] = frozenset(
    (
        "P01-no-photometric-interpretation",
        "P01-no-pixel-representation",
        "P01-no-planar-configuration",
        "P01-no-samples-per-pixel",
        "P02-16-bits-stored-in-8",
        "P02-high-bit-15-of-12",
        "P03-12-bits-packed",
        "P03-24-bits-are-rgb",
        "P04-overlay-in-bit-12",
        "P07-adobe-rgb-labelled-ybr",
        "P07-jfif-labelled-rgb",
        "P07-lossless-rgb-labelled-ybr",
        "P08-rgb-with-transform",
        "P08-ybr-rct-without-transform",
        "P10-12-bits-stored-of-16",
        "P10-16-bits-allocated-for-8",
        "P12-fragment-begins-like-a-codestream",
        "P20-elscint-rle1-explicit",
        "P20-elscint-rle1-private-transfer-syntax",
        "P22-frames-missing",
        "P22-frames-one-for-three",
        "P22-frames-three-for-two",
        "P22-frames-zero-for-one",
        "P23-planar-configuration-of-one-sample",
        "P24-native-422-with-three-samples",
        "P25-padded-to-512",
    )
)
"""Names of files of the catalogue. A rule's author takes out what the rule fulfils."""
