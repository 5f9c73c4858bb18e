"""The conformance kits of dialects, observers and key providers find what is wrong: each fault below is found by the test that is about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vna_core.archival_storage.key_file import add_key
from vna_core.archival_storage.key_providers import FileKeys
from vna_core.domain.errors import ConfigurationError, Malformed, NotFound
from vna_core.domain.outcome import IngestResult
from vna_core.ports.dialect import DerivedPixels, Dialect, DialectFacts, DialectFinding, Markers, Recognition
from vna_core.ports.dialect_base import MarkedDialect
from vna_core.ports.keys import KeyProvider, WrappedSecret
from vna_core.testing import observer_conformance
from vna_core.testing.dialect_conformance import DAMAGES, DialectConformance
from vna_core.testing.keys_conformance import KeyProviderConformance
from vna_core.testing.observer_conformance import Observer, ObserverConformance
from vna_core.testing.phantoms import ct


class Sound(MarkedDialect):
    """A dialect with nothing wrong."""

    name, vendor_page, markers = "acme", "", Markers(manufacturers=("acme ",))

    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        yield DialectFinding("acme:odd", "Something is odd.", "00080070")


class Everywhere(Sound):
    markers = Markers(tags=(0x00080016,))

    def recognize(self, facts: DialectFacts) -> Recognition | None:
        return Recognition(1.0, ("it is an image",), "")


class Doubtful(Sound):
    def recognize(self, facts: DialectFacts) -> Recognition | None:
        return Recognition(0.4, ("perhaps",), "")


class Mute(Sound):
    def recognize(self, facts: DialectFacts) -> Recognition | None:
        return Recognition(1.0, (), "")


class Loud(Sound):
    markers = Markers(manufacturers=("ACME ", "acme "))


class Empty(Sound):
    markers = Markers(manufacturers=("acme ",), uids=("",))


class OtherRule(Sound):
    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        yield DialectFinding("X99", "Something is odd.")


class Telling(Sound):
    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        yield DialectFinding("acme:odd", f"The patient is {facts.text(0x00100010)}.")


class Trusting(Sound):
    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        return {"thickness": (str(float(facts.text(0x00180050))),)}


class Numbers(Sound):
    def index(self, facts: DialectFacts) -> Any:
        return {"thickness": (1.0,)}


class Counting(Sound):
    def __init__(self) -> None:
        self.asked = 0

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        self.asked += 1
        return {"asked": (str(self.asked),)}


class Refusing(Sound):
    def describe(self, facts: DialectFacts) -> Iterable[DialectFinding]:
        raise Malformed("No.")


class FewPixels(Sound):
    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        return DerivedPixels("P20", "00191012", bytes(10), 4, 4, 1, 16, 12, 11, 0, "MONOCHROME2")


def kit_of(dialect: type[MarkedDialect]) -> DialectConformance:
    class Kit(DialectConformance):
        def open_dialect(self) -> Dialect:
            return dialect()

        def own_instances(self) -> Mapping[str, bytes]:
            whole = ct(1, 16, 16, Manufacturer="ACME")
            return {"one": whole, "without pixels": whole[: whole.rindex(b"\xe0\x7f\x10\x00OW")]}

    return Kit()


DIALECT_TESTS: Mapping[str, Callable[[DialectConformance], None]] = {
    "taken": DialectConformance.test_the_archive_takes_the_dialect,
    "markers": DialectConformance.test_markers_are_such_as_can_be_met,
    "own": DialectConformance.test_its_own_instances_are_recognized_and_the_evidence_is_told,
    "others": DialectConformance.test_instances_of_others_are_not_recognized,
    "shown": DialectConformance.test_findings_and_values_are_such_as_can_be_shown,
    "patient": DialectConformance.test_nothing_of_the_patient_is_said,
    "pixels": DialectConformance.test_derived_pixels_are_as_many_as_they_say,
    "state": DialectConformance.test_it_has_no_state,
    "same": DialectConformance.test_the_instance_stays_as_it_is,
}


@pytest.mark.parametrize(
    ("dialect", "failing"),
    [
        (Sound, set()),
        (Everywhere, {"others"}),
        (Doubtful, {"own"}),
        (Mute, {"own"}),
        (Loud, {"markers"}),
        (Empty, {"markers"}),
        (OtherRule, {"shown"}),
        (Telling, {"patient"}),
        (Numbers, {"shown"}),
        (Counting, {"state"}),
        (Refusing, {"own"}),
        (FewPixels, {"pixels"}),
    ],
)
def test_the_kit_of_dialects_finds(dialect: type[MarkedDialect], failing: set[str]) -> None:
    failed = set()
    for name, test in DIALECT_TESTS.items():
        try:
            test(kit_of(dialect))
        except (AssertionError, TypeError):
            failed.add(name)
    assert failed >= failing and (failing or not failed), failed


def test_the_kit_of_dialects_finds_who_trusts_what_a_sender_writes() -> None:
    def raises(dialect: type[MarkedDialect], seed: int) -> bool:
        try:
            kit_of(dialect).test_damaged_values_raise_nothing(seed)
        except AssertionError:
            return True
        return False

    assert any(raises(Trusting, seed) for seed in range(DAMAGES))
    assert not any(raises(Sound, seed) for seed in range(DAMAGES))


# -- observers ------------------------------------------------------------------------------------------------------------


def file_observer(path: Path) -> Observer:
    def observe(result: IngestResult) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(result.sop_instance_uid.encode().hex().encode() + b"\n")

    return observe


class SoundObserver(ObserverConformance):
    def open_observer(self, folder: Path) -> Observer:
        return file_observer(folder / "told")

    def passed_on(self, folder: Path) -> Sequence[str]:
        return [bytes.fromhex(line).decode() for line in (folder / "told").read_text().splitlines()]

    def stuck(self, folder: Path) -> Observer:
        return file_observer(folder / "nowhere" / "told")


class Forgetful(SoundObserver):
    """Does not tell of what has no source."""

    def open_observer(self, folder: Path) -> Observer:
        write = file_observer(folder / "told")
        return lambda result: write(result) if result.source is not None else None


class Startled(SoundObserver):
    """Needs a patient."""

    def open_observer(self, folder: Path) -> Observer:
        write = file_observer(folder / "told")

        def observe(result: IngestResult) -> None:
            assert result.patient is not None
            write(result)

        return observe


class Lined(SoundObserver):
    """Writes what a sender wrote into lines as it is."""

    def open_observer(self, folder: Path) -> Observer:
        def observe(result: IngestResult) -> None:
            with (folder / "told").open("a", encoding="utf-8") as file:
                file.write(f"{result.sop_instance_uid}\n")

        return observe

    def passed_on(self, folder: Path) -> Sequence[str]:
        return (folder / "told").read_text(encoding="utf-8").splitlines()


class Keeping(SoundObserver):
    """Passes on when it is closed, which no forked process does."""

    def open_observer(self, folder: Path) -> Observer:
        self.kept: list[IngestResult] = []
        return self.kept.append

    def passed_on(self, folder: Path) -> Sequence[str]:
        return [one.sop_instance_uid for one in self.kept]


class Patient(SoundObserver):
    """Waits for whom it tells."""

    def stuck(self, folder: Path) -> Observer:
        return lambda result: time.sleep(3600)


OBSERVER_TESTS: Mapping[str, Callable[[ObserverConformance, Path], None]] = {
    "taken": ObserverConformance.test_the_archive_takes_the_observer,
    "outcomes": ObserverConformance.test_every_outcome_is_understood,
    "hostile": ObserverConformance.test_what_a_sender_writes_reaches_the_receiver_as_it_is,
    "archive": ObserverConformance.test_an_archive_tells_it_of_everything_it_takes,
    "threads": ObserverConformance.test_many_threads_tell_it_at_once,
    "forked": ObserverConformance.test_processes_that_are_forked_and_end_at_once_lose_nothing,
    "stuck": ObserverConformance.test_a_receiver_that_takes_nothing_holds_up_nobody,
}


@pytest.mark.parametrize(
    ("kit", "failing"),
    [
        (SoundObserver, set()),
        (Forgetful, {"outcomes"}),
        (Startled, {"outcomes", "threads"}),
        (Lined, {"hostile"}),
        (Keeping, {"forked"}),
        (Patient, {"stuck"}),
    ],
)
def test_the_kit_of_observers_finds(
    kit: type[ObserverConformance], failing: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observer_conformance, "WAIT", 60.0 if kit is not Patient else 0.5)
    failed = set()
    for name, test in OBSERVER_TESTS.items():
        (tmp_path / name).mkdir()
        try:
            test(kit(), tmp_path / name)
        except (AssertionError, FileNotFoundError):
            failed.add(name)
    assert failed >= failing and (failing or not failed), failed


# -- key providers --------------------------------------------------------------------------------------------------------


class SoundKeys(KeyProviderConformance):
    def open_provider(self, folder: Path) -> KeyProvider:
        if not (folder / "key").exists():
            add_key(folder / "key")
        return FileKeys(folder / "key")

    def rotate(self, folder: Path) -> None:
        add_key(folder / "key")


class Around(KeyProvider):
    """A provider with one fault."""

    def __init__(self, below: KeyProvider) -> None:
        self.below = below
        self.first = below.current_key_id()

    def current_key_id(self) -> str:
        return self.below.current_key_id()

    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        return self.below.wrap(secret, context)

    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        return self.below.unwrap(wrapped, context)


class AnyContext(Around):
    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        return self.below.wrap(secret, b"")

    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        return self.below.unwrap(wrapped, b"")


class Open(Around):
    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        return WrappedSecret(self.current_key_id(), secret)

    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        return wrapped.octets


class Remembering(Around):
    """Does not see a rotation."""

    def current_key_id(self) -> str:
        return self.first

    def wrap(self, secret: bytes, context: bytes) -> WrappedSecret:
        return replace(self.below.wrap(secret, context), key_id=self.first)


class OtherError(Around):
    def unwrap(self, wrapped: WrappedSecret, context: bytes) -> bytes:
        if wrapped.key_id not in (self.first, self.current_key_id()):
            raise NotFound("No such key.")
        return self.below.unwrap(wrapped, context)


KEY_TESTS: Mapping[str, Callable[[KeyProviderConformance, KeyProvider, Path], None]] = {
    "back": lambda kit, one, _: kit.test_what_was_wrapped_comes_back(one),
    "other process": lambda kit, one, folder: kit.test_another_process_opens_it(one, folder),
    "shows": lambda kit, one, _: kit.test_the_secret_does_not_show(one),
    "name": lambda kit, one, _: kit.test_a_key_has_a_name_that_can_be_shown(one),
    "context": lambda kit, one, _: kit.test_another_context_does_not_open_it(one),
    "altered": lambda kit, one, _: kit.test_what_was_altered_or_cut_does_not_open(one),
    "missing": lambda kit, one, _: kit.test_a_key_that_is_not_held_is_said_to_be_missing(one, "no such key"),
    "rotated": lambda kit, one, folder: kit.test_after_a_rotation_the_fresh_key_wraps_and_the_old_one_still_opens(one, folder),
    "threads": lambda kit, one, _: kit.test_many_threads_use_it_at_once(one),
    "store": lambda kit, one, folder: kit.test_an_encrypted_store_lives_on_it(one, folder),
}


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (Around, set()),
        (AnyContext, {"context"}),
        (Open, {"shows", "altered"}),
        (Remembering, {"rotated"}),
        (OtherError, {"missing"}),
    ],
)
def test_the_kit_of_key_providers_finds(fault: type[Around], failing: set[str], tmp_path: Path) -> None:
    class Kit(SoundKeys):
        def open_provider(self, folder: Path) -> KeyProvider:
            return fault(super().open_provider(folder))

    failed = set()
    for name, test in KEY_TESTS.items():
        folder = tmp_path / name
        folder.mkdir()
        try:
            test(Kit(), Kit().open_provider(folder), folder)
        except (AssertionError, pytest.fail.Exception, NotFound, ConfigurationError):
            failed.add(name)
    assert failed >= failing and (failing or not failed), failed
