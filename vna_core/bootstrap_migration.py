"""The composition of migrations: a campaign's source opened, and the worker that moves its studies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from vna_core.bootstrap import Archive, open_source, source_settings
from vna_core.catalogue import Campaign
from vna_core.configuration import Settings
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.outcome import IngestResult
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.windows import Windows
from vna_core.plugin_manager import Plugins
from vna_core.ports.pacs import PacsAdapter
from vna_core.ports.pacs_options import without_secrets

_SECRETS: Final = frozenset(("password", "token", "secret", "authorization"))


def campaign_name(source: str) -> str:
    """The campaign's name: the source without its options.

    Raises InvalidRequest for a URL that holds a secret: a campaign keeps its source, so that every worker can open it.
    """
    if "://" not in source:
        return source
    try:
        parts = urlsplit(source)
        secret = parts.password or any(name.lower() in _SECRETS for name, _ in parse_qsl(parts.query))
    except ValueError as error:
        raise InvalidRequest(f"{without_secrets(source)!r} is no source: {error}.") from error
    if secret:
        raise InvalidRequest("A secret does not belong on the command line: give the source a name under `sources:`.")
    return without_secrets(source)


def plugins_for(settings: Settings, source: str) -> Plugins:
    """The plugins, with all that the adapter of a source loads: a process that is forked afterwards has it. Nothing is connected.

    Raises ConfigurationError, and InvalidRequest as `campaign_name` does.
    """
    name, plugins = campaign_name(source), Plugins()
    plugins.load()
    open_source(settings, plugins, source, name).close()
    return plugins


def open_campaign_source(archive: Archive, campaign: Campaign) -> PacsAdapter:
    """Open the adapter of a campaign's source; what it delivers is known by the campaign's name. Raises ConfigurationError."""
    return open_source(archive.settings, archive.plugins, campaign.source, campaign.name)


def configured_options(archive: Archive, source: str) -> CampaignOptions:
    """How the configuration wants a source to be treated."""
    one = source_settings(archive.settings, source)
    windows = Windows.of(one.open_windows())
    return CampaignOptions(windows, one.rate or 0.0, one.concurrency or 0)


def migration_worker(
    archive: Archive, worker: str, observer: Callable[[IngestResult], object] = lambda result: None
) -> MigrationWorker:
    """What moves studies in this process."""
    return MigrationWorker(
        archive.catalogue, archive.pipeline, lambda campaign: open_campaign_source(archive, campaign), worker, observer
    )
