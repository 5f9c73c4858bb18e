"""The pluggy hook specifications of the archive. No image byte travels through a hook.

Plugins are found on the entry point group ``vna.plugins`` and mark their implementations with `hookimpl`.
Two kinds of hook exist. *Registration* hooks return classes or factories when the archive is composed. *Notification* hooks
(``observe_*``) are told afterwards what happened; any number may listen, and a failure in one is logged and stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from vna_core.domain.outcome import IngestResult
from vna_core.ports.dialect import Dialect
from vna_core.ports.jobs import JobEngine, Work
from vna_core.ports.keys import KeyProviderFactory
from vna_core.ports.pacs import PacsAdapter
from vna_core.ports.storage import Store

PROJECT = "vna"
ENTRY_POINT_GROUP = "vna.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

StoreFactory = Callable[[str, Mapping[str, Any]], Store]
"""Makes a store from its configured name and its options; raises ConfigurationError for options it does not know."""

PacsFactory = Callable[[str, str, Mapping[str, Any]], PacsAdapter]
"""Makes an adapter from its name, its URL and its options."""

JobEngineFactory = Callable[[Work, Mapping[str, Any]], JobEngine]
"""Makes an engine from what this process may do and the options ``jobs.options``; raises ConfigurationError for options it does not know."""


@hookspec
def register_storage_backends() -> Mapping[str, StoreFactory]:  # type: ignore[empty-body]
    """Storage backends of this plugin: the ``type`` used in the configuration to the factory that opens one."""


@hookspec
def register_key_providers() -> Mapping[str, KeyProviderFactory]:  # type: ignore[empty-body]
    """Key providers of this plugin: the scheme in ``key: scheme:rest`` of an encrypted store to the factory, which is given the rest."""


@hookspec
def register_pacs_adapters() -> Mapping[str, PacsFactory]:  # type: ignore[empty-body]
    """PACS adapters of this plugin: URL scheme (``dimse``) to the factory."""


@hookspec
def register_dialects() -> Mapping[str, Dialect]:  # type: ignore[empty-body]
    """Dialects of this plugin: name (``philips``) to the object that recognizes it. Asked about every instance that shows one of its markers."""


@hookspec
def register_job_engines() -> Mapping[str, JobEngineFactory]:  # type: ignore[empty-body]
    """Job engines of this plugin: the name used in ``jobs.engine`` to the factory. An engine says when and in which thread a job is done; which one, and how it ended, stays in the catalogue."""


@hookspec
def observe_ingest(result: IngestResult) -> None:
    """An instance was acknowledged, quarantined or refused. Runs after the sender's answer is decided."""
