"""What every dialect must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurDialect(DialectConformance):
        def open_dialect(self) -> Dialect:
            return OurDialect()

        def own_instances(self) -> Mapping[str, bytes]:
            return {path.name: path.read_bytes() for path in Path("samples").iterdir()}

The dialect is asked as the archive asks it: the instance goes through normalization, which looks at the markers first and catches what the
dialect raises. The kit hears what the archive would only log. No instance here leaves the test: what is odd is told by the dialect's answers.
"""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from vna_core.configuration import IngestSettings
from vna_core.domain.errors import Malformed
from vna_core.domain.instance import CanonicalInstance
from vna_core.domain.octets import Source
from vna_core.domain.spool import Spool
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.ingest.normalize.rule_book import RULE_BOOK
from vna_core.plugin_manager import Plugins
from vna_core.ports.dialect import DerivedPixels, Dialect, DialectFacts, DialectFinding, Recognition
from vna_core.ports.hookspecs import hookimpl
from vna_core.testing import phantoms

PATIENT: Final = (0x00100010, 0x00100020, 0x00100030, 0x00101000, 0x00101001, 0x00101040, 0x00102154)
"""Elements whose values may stand in nothing that a dialect says."""
CERTAIN_ENOUGH: Final = 0.5
DAMAGES: Final = 40
_PATH: Final = re.compile(r"([0-9A-Fa-f]{8}(\[[0-9]+\])?(\.[0-9A-Fa-f]{8}(\[[0-9]+\])?)*)?")


@dataclass(slots=True)
class Said:
    """What a dialect said of one instance, and what it raised."""

    recognition: Recognition | None = None
    findings: tuple[DialectFinding, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pixels: DerivedPixels | None = None
    patient: tuple[str, ...] = ()
    asked: bool = False
    raised: Exception | None = None

    @property
    def recognized(self) -> bool:
        """Whether the archive would take the recognition."""
        return self.recognition is not None and self.recognition.certainty >= CERTAIN_ENOUGH


class DialectConformance:
    """Base class of a dialect's tests."""

    @abstractmethod
    def open_dialect(self) -> Dialect:
        """The dialect under test."""

    @abstractmethod
    def own_instances(self) -> Mapping[str, bytes]:
        """Instances of the vendor, as received: a name to the octets. At least one; the odder, the better."""

    def foreign_instances(self) -> Mapping[str, bytes]:
        """Instances of others, which the dialect must not take for its own; what comes with the archive when not overridden."""
        odd = {name: one.octets for name, one in phantoms.odd().items() if one.outcome == "held"}
        return {"ct": phantoms.ct(1, 16, 16), "multiframe": phantoms.multiframe(2, 2, 16, 16), **odd}

    # -- being found ------------------------------------------------------------------------------------------------------

    def test_the_archive_takes_the_dialect(self) -> None:
        dialect = self.open_dialect()

        class Plugin:
            @hookimpl
            def register_dialects(self) -> Mapping[str, Any]:
                return {dialect.name: dialect}

        plugins = Plugins()
        plugins.register(Plugin(), "under-test")
        assert plugins.dialects() == (dialect,)
        assert dialect.name and dialect.name == dialect.name.strip()

    def test_markers_are_such_as_can_be_met(self) -> None:
        markers = self.open_dialect().markers
        every = (markers.manufacturers, markers.creators, markers.uids, markers.transfer_syntaxes)
        assert any((*every, markers.tags)), "without a marker the dialect is never asked"
        assert all(one for kind in every for one in kind), "an empty marker is met by every instance there is"
        assert all(one == one.lower() for one in markers.manufacturers), "manufacturers are compared in lower case"

    # -- recognizing ------------------------------------------------------------------------------------------------------

    def test_its_own_instances_are_recognized_and_the_evidence_is_told(self) -> None:
        own = self.own_instances()
        assert own, "give the kit an instance of the vendor"
        for name, octets in own.items():
            said = heard(self.open_dialect(), octets)
            assert said.raised is None, (name, said.raised)
            assert said.asked, f"{name} shows none of the markers"
            assert said.recognized, f"{name} is not recognized: {said.recognition}"
            assert said.recognition is not None and said.recognition.certainty <= 1.0
            assert said.recognition.evidence and all(said.recognition.evidence), f"{name}: no evidence is told"

    def test_instances_of_others_are_not_recognized(self) -> None:
        for name, octets in self.foreign_instances().items():
            said = heard(self.open_dialect(), octets)
            assert said.raised is None, (name, said.raised)
            assert not said.recognized, f"{name} is taken for its own: {said.recognition}"

    # -- saying what is odd -----------------------------------------------------------------------------------------------

    def test_findings_and_values_are_such_as_can_be_shown(self) -> None:
        dialect = self.open_dialect()
        known = {entry.id for entry in RULE_BOOK}
        for name, octets in self.own_instances().items():
            said = heard(dialect, octets)
            for one in said.findings:
                own = one.rule.startswith(f"{dialect.name}:") and len(one.rule) > len(dialect.name) + 1
                assert own or one.rule in known, f"{name}: rule {one.rule!r} is neither the archive's nor '{dialect.name}:…'"
                assert one.message.strip() and "\n" not in one.message, f"{name}: {one.rule} says nothing, or more than a line"
                assert _PATH.fullmatch(one.tag), f"{name}: {one.tag!r} is no path"
            for key, values in said.values.items():
                assert key and isinstance(values, tuple) and all(isinstance(value, str) for value in values), (name, key)

    def test_nothing_of_the_patient_is_said(self) -> None:
        for name, octets in self.own_instances().items():
            said = heard(self.open_dialect(), octets)
            assert said.recognition is not None
            told = [*said.recognition.evidence, said.recognition.product, *(one.message for one in said.findings)]
            told += [text for key, values in said.values.items() for text in (key, *values)]
            for value in said.patient:
                assert not [text for text in told if value in text], f"{name}: patient data are told"

    def test_derived_pixels_are_as_many_as_they_say(self) -> None:
        for name, octets in self.own_instances().items():
            pixels = heard(self.open_dialect(), octets).pixels
            if pixels is not None:
                bits = pixels.rows * pixels.columns * pixels.samples_per_pixel * pixels.frames * pixels.bits_allocated
                assert len(pixels.samples) == (bits + 7) // 8, f"{name}: {len(pixels.samples)} octets for {bits} bits"
                assert 0 < pixels.bits_stored <= pixels.bits_allocated and pixels.high_bit < pixels.bits_allocated, name
                assert _PATH.fullmatch(pixels.source_path), f"{name}: {pixels.source_path!r} is no path"

    # -- doing no harm ----------------------------------------------------------------------------------------------------

    def test_it_has_no_state(self) -> None:
        dialect = self.open_dialect()
        every = [*self.own_instances().values(), *self.foreign_instances().values()] * 3
        alone = [heard(dialect, octets) for octets in every]
        with ThreadPoolExecutor(8) as threads:
            together = list(threads.map(lambda octets: heard(dialect, octets), every))
        assert together == alone

    @pytest.mark.parametrize("seed", range(DAMAGES))
    def test_damaged_values_raise_nothing(self, seed: int) -> None:
        for name, octets in self.own_instances().items():
            said = heard(self.open_dialect(), octets, lambda facts: _DamagedFacts(facts, seed))
            assert said.raised is None, f"{name}, damaged: {said.raised!r}"

    def test_the_instance_stays_as_it_is(self) -> None:
        dialect = self.open_dialect()
        for name, octets in self.own_instances().items():
            plain, asked = canonical(octets), canonical(octets, dialect)
            if heard(dialect, octets).pixels is None:
                assert plain.transformations == asked.transformations, f"{name} is changed by being looked at"
            assert asked.sop_instance_uid == plain.sop_instance_uid


class _Listener:
    """Stands between the archive and a dialect: hears what is said, and what is raised."""

    def __init__(self, dialect: Dialect, seen_by: Callable[[DialectFacts], DialectFacts], said: Said) -> None:
        self._dialect, self._seen_by, self._said = dialect, seen_by, said
        self.name, self.vendor_page, self.markers = dialect.name, dialect.vendor_page, dialect.markers

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        self._said.asked = True
        told = (facts.text(tag).strip() for tag in PATIENT)
        self._said.patient = tuple(value for value in told if len(value) > 3)
        self._said.recognition = self._heard(self._dialect.recognize, facts)
        return self._said.recognition

    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        self._said.findings = self._heard(lambda seen: tuple(self._dialect.describe(seen)), facts)
        return self._said.findings

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        self._said.values = self._heard(self._dialect.index, facts)
        return self._said.values

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        self._said.pixels = self._heard(self._dialect.derive_pixels, facts)
        return self._said.pixels

    def _heard(self, call: Callable[[DialectFacts], Any], facts: DialectFacts) -> Any:
        try:
            return call(self._seen_by(facts))
        except Malformed:
            if call != self._dialect.derive_pixels:
                self._said.raised = AssertionError("only derive_pixels may raise Malformed")
            raise
        except Exception as error:
            self._said.raised = error
            raise


class _DamagedFacts:
    """The facts of an instance in which private values, and some others, are absent, cut, doubled or noise; the same for the same seed."""

    def __init__(self, facts: DialectFacts, seed: int) -> None:
        self._facts, self._seed = facts, seed

    def _chance(self, what: object) -> random.Random:
        return random.Random(f"{self._seed} {what}")

    @property
    def declared_transfer_syntax_uid(self) -> str:
        return self._facts.declared_transfer_syntax_uid

    @property
    def sop_class_uid(self) -> str:
        return self._facts.sop_class_uid

    def text(self, tag: int) -> str:
        return self._damaged(self._facts.text(tag), self._chance(tag))

    def values(self, path: str) -> tuple[str, ...]:
        chance = self._chance(path)
        values = tuple(self._damaged(one, chance) for one in self._facts.values(path))
        return values[: chance.randrange(len(values) + 1)] if chance.random() < 0.3 else values

    def octets(self, path: str, maximum: int) -> bytes:
        chance, octets = self._chance(path), self._facts.octets(path, maximum)
        kind = chance.randrange(4)
        if kind == 0:
            return octets
        if kind == 1:
            return octets[: chance.randrange(len(octets) + 1)]
        return b"" if kind == 2 else chance.randbytes(min(len(octets), 4096))

    def length(self, path: str) -> int:
        length = self._facts.length(path)
        return self._chance(path).choice((length, length, -1, 0, 1, 1 << 31))

    def private(self, creator: str, element: int, *, group: int, within: str = "") -> str:
        path = self._facts.private(creator, element, group=group, within=within)
        return "" if self._chance((creator, element, within)).random() < 0.2 else path

    def creators(self) -> tuple[tuple[str, str], ...]:
        creators = self._facts.creators()
        return creators if self._seed % 3 else creators[: self._chance("creators").randrange(len(creators) + 1)]

    @staticmethod
    def _damaged(text: str, chance: random.Random) -> str:
        absurd = ("", "-", "nan", "-1", "1e999", "99999999999999999999", "\\\\\\", "Ä\x00[0].", "x" * 5000, text + "\\" + text)
        return text if chance.random() < 0.5 else chance.choice(absurd)


def heard(dialect: Dialect, octets: bytes, seen_by: Callable[[DialectFacts], DialectFacts] = lambda facts: facts) -> Said:
    """What a dialect says of an instance, asked as the archive asks it."""
    said = Said()
    canonical(octets, _Listener(dialect, seen_by, said))
    return said


def canonical(octets: bytes, *dialects: Dialect) -> CanonicalInstance:
    """What normalization makes of an instance. Raises Unarchivable for what would go to quarantine."""
    spool = Spool(Source("file", "kit"), "", "", "")
    spool.write(octets)
    limits = IngestSettings()
    received = spool.finish()
    return normalize(received, identify(received, limits), limits, dialects=dialects)
