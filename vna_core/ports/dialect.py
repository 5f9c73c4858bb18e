"""The dialect port: a plugin that recognizes one vendor's habits by evidence and says what is odd about an instance.

A dialect never sees a file. It is asked only when one of its `Markers` is met, looks at `DialectFacts`, and answers with values.
It changes nothing: findings and named values go into the instance's journal, and samples that a standard reader cannot see come
back as `DerivedPixels`, which the core decides about. Paths are those of the journal: eight hexadecimal digits per level, items
0-based in brackets (``52009230[0].00211153``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

MANUFACTURER: Final = 0x00080070
SOP_INSTANCE_UID: Final = 0x00080018


class DialectFacts(Protocol):
    """A read-only view of one instance. Whatever is absent, damaged or no text reads as empty; nothing here raises."""

    @property
    def declared_transfer_syntax_uid(self) -> str:
        """As declared, not as found."""

    @property
    def sop_class_uid(self) -> str:
        """As it will stand in the data set."""

    def text(self, tag: int) -> str:
        """Value of a top-level or File Meta element as text, values joined by a backslash."""

    def values(self, path: str) -> tuple[str, ...]:
        """Values of an element as text, numbers in decimal."""

    def octets(self, path: str, maximum: int) -> bytes:
        """At most `maximum` octets of a value, little endian."""

    def length(self, path: str) -> int:
        """Octets of a value, or items of a sequence; -1 when the element is absent."""

    def private(self, creator: str, element: int, *, group: int, within: str = "") -> str:
        """Path of a private element addressed by its creator and the low octet of its element number (PS3.5 section 7.8.1).

        Parameters
        ----------
        within
            Path of the item to look in (``52009230[0]``); the top level when empty.
        """

    def creators(self) -> tuple[tuple[str, str], ...]:
        """Path and value of every Private Creator element, at every level, in the first item of each sequence."""


@dataclass(frozen=True, slots=True)
class Markers:
    """What makes it worth asking a dialect. All are beginnings, compared as written but for manufacturers (lower case).

    Attributes
    ----------
    manufacturers
        Of Manufacturer (0008,0070) followed by a space, so that ``"ge "`` is a whole word.
    creators
        Of Private Creator elements at the top level.
    uids
        Of SOP Class UID and SOP Instance UID.
    transfer_syntaxes
        Of the declared transfer syntax.
    tags
        Top-level elements whose presence alone is reason enough.
    """

    manufacturers: tuple[str, ...] = ()
    creators: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    transfer_syntaxes: tuple[str, ...] = ()
    tags: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recognition:
    """A dialect was recognized.

    Attributes
    ----------
    certainty
        0 to 1.
    evidence
        What it rests on, strongest first; never patient data.
    product
        Model and software versions as the instance tells them.
    """

    certainty: float
    evidence: tuple[str, ...]
    product: str


@dataclass(frozen=True, slots=True)
class DialectFinding:
    """Something odd that is left as it is: a rule, one sentence without patient data, and the element's path.

    The rule is one of the catalogue of deviations, or the dialect's own: its name, a colon and what it is about (``acme:thickness``).
    """

    rule: str
    message: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class DerivedPixels:
    """Samples that stand in a private element, decoded: what the Image Pixel module (PS3.3 C.7.6.3) would say of them.

    `samples` are native and little endian; `source_path` is the element they were decoded from, which stays as it is.
    """

    rule: str
    source_path: str
    samples: bytes
    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    photometric_interpretation: str
    frames: int = 1
    detail: str = ""


class Dialect(Protocol):
    """One vendor's dialect. Stateless, so that one object serves all threads."""

    @property
    def name(self) -> str:
        """Short and stable, e.g. ``philips``; also the name of its page below ``docs/reference/vendors``."""

    @property
    def vendor_page(self) -> str:
        """Path of its page below ``docs/reference``."""

    @property
    def markers(self) -> Markers:
        """What makes it worth asking."""

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        """Whether the evidence suffices; None when it does not."""

    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        """What is odd about a recognized instance."""

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """Named values of private elements that are worth keeping in view."""

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        """Samples from private elements where there is no standard Pixel Data. Raises Malformed for a damaged stream."""
