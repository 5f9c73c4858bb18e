"""The transfer syntaxes that the codecs know (PS3.5 annex A), for whoever asks what is possible without loading them."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = "1.2.840.10008.1.2"
IMPLICIT_LITTLE: Final = _PREFIX
EXPLICIT_LITTLE: Final = _PREFIX + ".1"
NATIVE: Final = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, _PREFIX + ".1.99", _PREFIX + ".1.98"))
RLE_LOSSLESS: Final = _PREFIX + ".5"
JPEG_LS_LOSSLESS: Final = _PREFIX + ".4.80"
JPEG_2000_LOSSLESS: Final = _PREFIX + ".4.90"
JPEG_DCT: Final = frozenset(_PREFIX + ".4." + number for number in ("50", "51", "53", "55"))
JPEG_LOSSLESS: Final = frozenset(_PREFIX + ".4." + number for number in ("57", "58", "70"))
JPEG_LS: Final = frozenset(_PREFIX + ".4." + number for number in ("80", "81"))
JPEG_2000: Final = frozenset(_PREFIX + ".4." + number for number in ("90", "91", "92", "93", "201", "202", "203"))
JPEG_XL: Final = frozenset(_PREFIX + ".4." + number for number in ("110", "111", "112"))
DECODABLE: Final = JPEG_DCT | JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | JPEG_XL | NATIVE | {RLE_LOSSLESS}
ENCODABLE: Final = frozenset((RLE_LOSSLESS, JPEG_LS_LOSSLESS, JPEG_2000_LOSSLESS))
"""Transfer syntaxes we compress to; all lossless."""
