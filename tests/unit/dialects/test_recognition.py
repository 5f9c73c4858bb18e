"""Dialects are asked only when a marker is met, change nothing, and cannot do harm."""

from __future__ import annotations

import time
import timeit
from collections.abc import Iterable, Mapping

import pytest

from tests.unit.dialects.instances import installed, read, seen, text
from tests.unit.normalize.handmade import LIMITS, data_set, description, element, file, identification, number, received, uid
from vna_core.domain.transformation import Finding
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.ingest.normalize.dialects import derived_pixels, recognize
from vna_core.ingest.normalize.engine import Journal
from vna_core.plugin_manager import Plugins
from vna_core.ports.dialect import DerivedPixels, Dialect, DialectFacts, DialectFinding, Markers, Recognition
from vna_core.ports.dialect_base import Evidence, MarkedDialect
from vna_core.ports.hookspecs import hookimpl


class Recorder(MarkedDialect):
    """Says something about whatever it is asked about."""

    name = "recorder"
    vendor_page = "vendors/recorder.md"
    markers = Markers(
        manufacturers=("acme ",), creators=("ACME",), uids=("1.2.9.",), transfer_syntaxes=("1.2.8.",), tags=(0x00080001,)
    )

    def __init__(self) -> None:
        self.asked = 0

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        self.asked += 1
        return Recognition(0.9, ("because",), "Scanner 1")

    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        yield DialectFinding("P29", "odd", "00080008")

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        return {"b": ("1", "2"), "c": ("3",)}


class Broken(Recorder):
    """Fails wherever it is told to."""

    name = "broken"

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def _fail(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError("a plugin's fault")

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        self._fail("recognize")
        return super().recognize(facts)

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        self._fail("index")
        return {}

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        self._fail("derive_pixels")
        return None


def instance(extra: bytes = b"", *, sop: str = "1.2.3.4", tail: bytes = b"") -> bytes:
    return file(identification(extra=extra, sop=sop) + tail)


def findings(octets: bytes, *dialects: Dialect) -> tuple[Finding, ...]:
    one = received(octets)
    found = normalize(one, identify(one, LIMITS), LIMITS, dialects=dialects).findings
    return tuple(finding for finding in found if finding.rule != "I11")  # a data set made here names no patient


@pytest.mark.parametrize(
    "octets",
    [
        instance(text(0x00080070, "LO", "ACME Imaging")),
        instance(text(0x00080070, "LO", "Acme")),
        instance(sop="1.2.9.1"),
        instance(tail=text(0x00290010, "LO", "ACME HEADER")),
        instance(tail=text(0x00290010, "LO", "OTHER") + text(0x00510013, "LO", "ACME")),
        instance(tail=number(0x00280010, 1) + text(0x00290010, "LO", "ACME")),
        instance(tail=text(0x00290010, "LO", "OTHER") + text(0x00291001, "LO", "x") + text(0x002B0010, "LO", "ACME")),
        instance(tail=text(0x00290010, "LO", "OTHER") + text(0x002900FF, "LO", "ACME") + text(0x00291001, "LO", "x")),
        file(element(0x00080001, "UL", bytes(4)) + identification()),
    ],
)
def test_one_marker_is_enough_to_be_asked(octets: bytes) -> None:
    dialect = Recorder()
    assert [one.name for one, _ in recognize(*read(octets), (dialect,))] == ["recorder"]
    assert dialect.asked == 1


def test_the_declared_transfer_syntax_is_a_marker() -> None:
    dialect = Recorder()
    revised, parsed = read(instance())
    parsed.declared_transfer_syntax_uid = "1.2.8.7"
    assert recognize(revised, parsed, (dialect,))


@pytest.mark.parametrize(
    "octets",
    [
        instance(),
        instance(text(0x00080070, "LO", "ACMELONGER")),
        instance(text(0x00080070, "LO", "Not ACME")),
        instance(tail=text(0x00290010, "LO", "NOT ACME") + text(0x00291010, "LO", "ACME")),
        instance(sop="1.2.99"),
    ],
)
def test_without_a_marker_nobody_is_asked(octets: bytes) -> None:
    dialect = Recorder()
    assert recognize(*read(octets), (dialect,)) == ()
    assert dialect.asked == 0


def test_findings_and_named_values_go_into_the_journal() -> None:
    told = findings(instance(text(0x00080070, "LO", "ACME")), Recorder())
    assert [(one.rule, one.message, one.tag) for one in told] == [
        ("V01", "Dialect recorder Scanner 1, certainty 0.9: because.", ""),
        ("P29", "odd", "00080008"),
        ("V02", "Private values of dialect recorder: b = 1, 2; c = 3.", ""),
    ]


def test_a_recognized_instance_without_anything_odd_has_no_warning() -> None:
    told = findings(instance(text(0x00080070, "LO", "Siemens")), *installed())
    assert told == ()


def test_dialects_change_nothing_in_the_data_set() -> None:
    octets = instance(text(0x00080070, "LO", "ACME"))
    one = received(octets)
    parsed = identify(one, LIMITS)
    with_dialects = normalize(one, parsed, LIMITS, dialects=(Recorder(),))
    without = normalize(one, identify(one, LIMITS), LIMITS)
    assert data_set(with_dialects) == data_set(without)
    assert with_dialects.transformations == without.transformations


@pytest.mark.parametrize("where", ["recognize", "index", "derive_pixels"])
def test_a_broken_dialect_is_left_out_and_the_others_speak(where: str) -> None:
    octets = instance(text(0x00080070, "LO", "ACME"))
    told = findings(octets, Broken(where), Recorder())
    assert [one.rule for one in told if "recorder" in one.message] == ["V01", "V02"]
    revised, parsed = read(octets)
    recognized = recognize(revised, parsed, (Broken("derive_pixels"),))
    assert derived_pixels(revised, parsed, recognized, Journal()) is None


class Deriving(Recorder):
    """Has samples for everything."""

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        return DerivedPixels("P20", "07A1100A", b"\1\0", 1, 1, 1, 16, 16, 15, 0, "MONOCHROME2")


@pytest.mark.parametrize(("pixels", "derived"), [(b"", True), (bytes(2), False)])
def test_no_dialect_is_asked_for_samples_where_there_are_some(pixels: bytes, derived: bool) -> None:
    revised, parsed = read(instance(text(0x00080070, "LO", "ACME"), tail=description(1, 1) + element(0x7FE00010, "OW", pixels)))
    recognized = recognize(revised, parsed, (Deriving(),))
    assert (derived_pixels(revised, parsed, recognized, Journal()) is not None) == derived


@pytest.mark.parametrize(
    "root", ["1.3.12.2.1107.5.9.1", "1.3.46.670589.11.0.0.12.1", "1.2.276.0.19.55.1.5.1.1.1", "1.2.840.113619.4.27"]
)
def test_a_private_sop_class_is_opaque_and_kept(root: str) -> None:
    octets = file(uid(0x00080016, root) + identification()[34:])
    one = received(octets)
    canonical = normalize(one, identify(one, LIMITS), LIMITS)
    assert canonical.sop_class_uid == root
    assert [(finding.rule, finding.tag) for finding in canonical.findings if finding.rule != "I11"] == [("I13", "00080016")]


def test_a_standard_sop_class_is_not_opaque() -> None:
    assert findings(instance()) == ()


def test_certainty_grows_with_independent_evidence() -> None:
    facts = read_facts(instance())
    evidence = Evidence()
    assert evidence.recognition(facts) is None
    evidence.add(0.5, "weak")
    evidence.add(0.8, "strong")
    recognition = evidence.recognition(facts)
    assert recognition is not None
    assert recognition.certainty == pytest.approx(0.9)
    assert recognition.evidence == ("strong", "weak")


def read_facts(octets: bytes) -> DialectFacts:
    from vna_core.dicom.instance_facts import InstanceFacts

    return InstanceFacts(*read(octets))


def test_all_eight_dialects_are_installed() -> None:
    assert [one.name for one in installed()] == [
        "acr-nema", "agfa", "canon", "elscint", "ge", "philips", "siemens", "ultrasound",
    ]  # fmt: skip


def test_a_plugin_brings_a_dialect() -> None:
    class Plugin:
        @hookimpl
        def register_dialects(self) -> Mapping[str, Dialect]:
            return {"recorder": Recorder()}

    plugins = Plugins()
    plugins.register(Plugin(), "acme")
    assert [one.name for one in plugins.dialects()] == ["recorder"]


@pytest.mark.parametrize(
    ("manufacturer", "name"),
    [
        ("GE MEDICAL SYSTEMS", "ge"), ("GE Healthcare", "ge"), ("G.E. Medical Systems", "ge"), ("GE", "ge"), ("Philips", "philips"),
        ("SIEMENS", "siemens"), ("Siemens Healthineers", "siemens"), ("TOSHIBA_MEC", "canon"), ("CANON_MEC", "canon"),
        ("Agfa-Gevaert AG", "agfa"), ("Picker International, Inc.", "elscint"), ("ACUSON", "ultrasound"), ("ATL", "ultrasound"),
    ],
)  # fmt: skip
def test_manufacturers_are_known(manufacturer: str, name: str) -> None:
    assert list(seen(instance(text(0x00080070, "LO", manufacturer))).recognized) == [name]


@pytest.mark.parametrize("manufacturer", ["Canon Inc.", "GENERIC", "GEORGIA", "HPX", "Hologic", ""])
def test_names_that_only_begin_alike_are_not(manufacturer: str) -> None:
    assert seen(instance(text(0x00080070, "LO", manufacturer))).recognized == {}


def test_asking_costs_next_to_nothing_when_no_marker_is_met() -> None:
    private = b"".join(
        text(group << 16 | 0x10, "LO", "SOMEBODY") + text(group << 16 | 0x1001, "LO", "x") for group in (0x2101, 0x2103)
    )
    many = b"".join(text(0x00180000 | low, "LO", "value") for low in range(0x1100, 0x1164))
    revised, parsed = read(instance(text(0x00080070, "LO", "Other") + many, tail=private))
    dialects = installed()
    assert recognize(revised, parsed, dialects) == ()
    seconds = (
        min(timeit.repeat(lambda: recognize(revised, parsed, dialects), number=200, repeat=7, timer=time.process_time)) / 200
    )
    assert seconds < 45e-6, f"{seconds * 1e6:.1f} microseconds"
