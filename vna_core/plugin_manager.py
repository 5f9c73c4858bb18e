"""Plugins, found on the entry point group ``vna.plugins`` and loaded one by one."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pluggy
import structlog

from vna_core.configuration import StoreSettings
from vna_core.domain.errors import ConfigurationError, PluginError
from vna_core.domain.outcome import IngestResult
from vna_core.plugin_members import REGISTRATIONS, checked_registration
from vna_core.ports import hookspecs
from vna_core.ports.dialect import Dialect
from vna_core.ports.hookspecs import ENTRY_POINT_GROUP, PROJECT, JobEngineFactory, PacsFactory, StoreFactory
from vna_core.ports.keys import KeyProviderFactory
from vna_core.ports.pacs import PacsAdapter
from vna_core.ports.pacs_options import without_secrets
from vna_core.ports.storage import Store

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PluginState:
    """One entry point: its name, what it points at, its distribution, and what went wrong when it was loaded."""

    name: str
    target: str
    distribution: str
    version: str
    error: str = ""


class Plugins:
    """Everything that plugins registered."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._registered: dict[str, list[Mapping[str, Any]]] = {hook: [] for hook in REGISTRATIONS}
        self.states: list[PluginState] = []

    def load(self) -> None:
        """Load every entry point. A broken one is named in `states` and in the log; the others still load."""
        told: dict[object, tuple[str, str]] = {}  # a distribution reads and parses its metadata whenever it is asked
        for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP), key=lambda one: one.name):
            if point.dist not in told:
                told[point.dist] = _name_and_version(point.dist)
            error = ""
            try:
                self._register(point.load(), point.name)
            except Exception as failure:  # whatever a plugin raises is its own failure, not ours
                error = f"{type(failure).__name__}: {failure}"
                _log.error("plugin-broken", plugin=point.name, target=point.value, error=error)
            self.states.append(PluginState(point.name, point.value, *told[point.dist], error))

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that has no entry point. Raises PluginError when a hook of it does not exist, or what it registers lacks a member."""
        self._register(plugin, name)

    def _register(self, plugin: object, name: str) -> None:
        self._manager.register(plugin)  # by the module's own name: two plugins of one vendor may have entry points of one name
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            self._manager.unregister(plugin)
            raise PluginError(f"Plugin {name!r} implements a hook that does not exist: {error}", plugin=name) from error
        try:
            registered = {hook: self._asked(plugin, hook) for hook in REGISTRATIONS}
        except BaseException:  # nothing of a broken plugin is used, its observers included
            self._manager.unregister(plugin)
            raise
        for hook, found in registered.items():
            self._registered[hook] += found

    def _asked(self, plugin: object, hook: str) -> list[Mapping[str, Any]]:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return [checked_registration(hook, one.function()) for one in implementations if one.plugin is plugin]

    def storage_backends(self) -> Mapping[str, StoreFactory]:
        """Backend type to factory."""
        return self._merged("register_storage_backends")

    def key_providers(self) -> Mapping[str, KeyProviderFactory]:
        """Scheme to factory."""
        return self._merged("register_key_providers")

    def pacs_adapters(self) -> Mapping[str, PacsFactory]:
        """URL scheme to factory."""
        return self._merged("register_pacs_adapters")

    def job_engines(self) -> Mapping[str, JobEngineFactory]:
        """Name of the engine to factory; the embedded one, which needs no plugin, is not among them."""
        return self._merged("register_job_engines")

    def dialects(self) -> tuple[Dialect, ...]:
        """Every vendor's dialect, by name."""
        return tuple(dialect for _, dialect in sorted(self._merged("register_dialects").items()))

    def _merged(self, hook: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for registered in self._registered[hook]:
            for name, factory in registered.items():
                if name in found:
                    raise PluginError(f"Two plugins register {name!r} ({hook}); remove one of them.", name=name)
                found[name] = factory
        return found

    def open_store(self, name: str, settings: StoreSettings) -> Store:
        """Open a configured store. Raises ConfigurationError for a type that no plugin registered."""
        backends = self.storage_backends()
        factory = backends.get(settings.type)
        if factory is None:
            known = ", ".join(sorted(backends)) or "none"
            raise ConfigurationError(
                f"Store {name!r}: no plugin provides the type {settings.type!r}. Available: {known}.", store=name
            )
        return factory(name, settings.options)

    def open_pacs(self, name: str, url: str, options: Mapping[str, Any]) -> PacsAdapter:
        """Open the adapter for a source's URL; what has no scheme is a path. Raises ConfigurationError for an unknown scheme."""
        adapters = self.pacs_adapters()
        scheme = url.split("://", 1)[0].lower() if "://" in url else "file"
        factory = adapters.get(scheme)
        if factory is None:
            known = ", ".join(f"{one}://" for one in sorted(adapters)) or "none"
            raise ConfigurationError(f"No plugin provides sources of the kind {scheme!r}. Available: {known}.", source=name)
        # The name stands in provenance and logs, and a caller may have made it of the URL.
        return factory(without_secrets(name), url, options)

    def observers(self) -> list[Callable[[IngestResult], object]]:
        """Every implementation of ``observe_ingest``, so that one that fails does not keep the others from hearing."""
        return [implementation.function for implementation in self._manager.hook.observe_ingest.get_hookimpls()]


def _name_and_version(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "", ""
    described = distribution.metadata
    return described["Name"], described["Version"]
