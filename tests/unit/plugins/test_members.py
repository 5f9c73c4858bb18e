"""What plugins register is looked at when they are loaded: one that lacks a member is broken, named, and costs nobody anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.dialects.instances import text
from tests.unit.dialects.test_recognition import Recorder, findings, instance
from vna_core.configuration import StoreSettings
from vna_core.domain.errors import PluginError
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.announce import notify
from vna_core.plugin_manager import Plugins
from vna_core.plugin_members import MADE, missing_members
from vna_core.ports.dialect import Dialect, DialectFacts, Markers
from vna_core.ports.hookspecs import hookimpl
from vna_core.ports.storage import Store
from vna_core.testing.memory_store import MemoryStore


class Nameless:
    """Raises when it is asked, and has no name by which that could be told."""

    vendor_page = ""
    markers = Markers(manufacturers=("acme ",))

    def recognize(self, facts: DialectFacts) -> None:
        raise RuntimeError("a plugin's fault")


class Complete(Recorder):
    """Has all members."""


class ListedMarkers(Recorder):
    """Markers that would raise when they are compared."""

    markers = Markers(manufacturers=["acme "])  # type: ignore[arg-type]


@dataclass
class Unhashable(Recorder):
    """Has a state."""

    state: int = 0


class Unfinished(Recorder):
    """A method that is a value."""

    describe = None  # type: ignore[assignment]


def plugin_of(hook: str, registered: object) -> object:
    def register() -> object:
        return registered

    register.__name__ = hook
    return type("Plugin", (), {hook: staticmethod(hookimpl(register))})()


@pytest.mark.parametrize(
    ("hook", "registered", "said"),
    [
        ("register_dialects", {"acme": Nameless()}, "has no derive_pixels, describe, index, name"),
        ("register_dialects", {"acme": ListedMarkers()}, "manufacturers of its markers is no tuple of str"),
        ("register_dialects", {"acme": Unhashable()}, "cannot be hashed"),
        ("register_dialects", {"acme": Unfinished()}, "has no describe"),
        ("register_dialects", [Complete()], "not a mapping"),
        ("register_dialects", {1: Complete()}, "not by a text"),
        *((hook, {"acme": object()}, "cannot be called as a factory") for hook in MADE),
    ],
)
def test_what_lacks_a_member_is_refused_when_the_plugin_is_loaded(hook: str, registered: object, said: str) -> None:
    plugins = Plugins()
    with pytest.raises(PluginError, match=said):
        plugins.register(plugin_of(hook, registered), "acme")
    plugins.register(plugin_of("register_dialects", {"recorder": Complete()}), "other")
    assert [one.name for one in plugins.dialects()] == ["recorder"]


def test_nothing_of_a_broken_plugin_is_used() -> None:
    class Plugin:
        @hookimpl
        def register_dialects(self) -> Mapping[str, Any]:
            return {"acme": Nameless()}

        @hookimpl
        def observe_ingest(self, result: IngestResult) -> None:
            raise AssertionError("told")

    plugins = Plugins()
    with pytest.raises(PluginError):
        plugins.register(Plugin(), "acme")
    assert plugins.observers() == [] and plugins.dialects() == ()


class Duck:
    """Quacks like a store, and has no `stat`."""

    def __init__(self, store: Store) -> None:
        for name in (
            "name",
            "abilities",
            "create",
            "create_all",
            "read",
            "chunks",
            "delete",
            "adjust",
            "recall",
            "list",
            "probe",
        ):
            setattr(self, name, getattr(store, name))
        self.close, self.base_uri = store.close, ""


@pytest.mark.parametrize("make", [lambda name: MemoryStore(name), lambda name: Duck(MemoryStore(name))], ids=["store", "duck"])
def test_a_factory_that_makes_no_store_is_named(make: Callable[[str], Any]) -> None:
    plugins = Plugins()
    plugins.register(plugin_of("register_storage_backends", {"acme": lambda name, options: make(name)}), "acme")
    if missing_members(make("disk"), Store):
        with pytest.raises(PluginError, match=r"'acme' made .*Duck, which is no Store: it has no stat"):
            plugins.open_store("disk", StoreSettings(type="acme"))
    else:
        assert plugins.open_store("disk", StoreSettings(type="acme")).name == "disk"


def test_an_instance_is_normalized_whatever_a_dialect_lacks() -> None:
    octets = instance(text(0x00080070, "LO", "ACME"))
    nameless: Any = Nameless()
    told = findings(octets, nameless, Recorder())
    assert [one.rule for one in told if "recorder" in one.message] == ["V01", "V02"]


@pytest.mark.parametrize("answer", ["acme", 0.9, object()])
def test_an_answer_that_is_no_recognition_costs_nothing(answer: object) -> None:
    class Answers(Recorder):
        def recognize(self, facts: DialectFacts) -> Any:
            return answer

        def derive_pixels(self, facts: DialectFacts) -> Any:
            return answer

    dialects: tuple[Dialect, ...] = (Answers(), Recorder())
    told = findings(instance(text(0x00080070, "LO", "ACME")), *dialects)
    assert [one.rule for one in told if "recorder" in one.message] == ["V01", "V02"]


def test_an_observer_that_fails_and_cannot_be_shown_keeps_no_other_from_hearing() -> None:
    class Secret:
        def __repr__(self) -> str:
            raise RuntimeError("not even this")

        def hear(self, result: IngestResult) -> None:
            raise RuntimeError("a plugin's fault")

        def __call__(self, result: IngestResult) -> None:
            self.hear(result)

    heard: list[IngestResult] = []
    result = IngestResult(Outcome.HELD, "1.2", "1.2.3", "1.2.3.4", "1.2.840")
    notify(result, (Secret().hear, Secret(), heard.append))
    assert heard == [result]
