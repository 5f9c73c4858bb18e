"""The composition of migrations: a campaign's source opened, and the worker that moves its studies."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from vna_core.bootstrap import Archive
from vna_core.catalogue import Campaign
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.outcome import IngestResult
from vna_core.migration.handlers import MigrationWorker
from vna_core.ports.pacs import PacsAdapter


def campaign_name(source: str) -> str:
    """The campaign's name: the source without its options. Raises InvalidRequest for a URL that holds a password."""
    if "://" not in source:
        return source
    try:
        parts = urlsplit(source)
        secret = parts.password
    except ValueError as error:
        raise InvalidRequest(f"{source!r} is no source: {error}.") from error
    if secret:
        raise InvalidRequest("A password does not belong on the command line: give the source a name under `sources:`.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def open_campaign_source(archive: Archive, campaign: Campaign) -> PacsAdapter:
    """Open the adapter of a campaign's source. Raises ConfigurationError."""
    return archive.plugins.open_pacs(campaign.name, campaign.source, {})


def migration_worker(
    archive: Archive, worker: str, observer: Callable[[IngestResult], object] = lambda result: None
) -> MigrationWorker:
    """What moves studies in this process."""
    return MigrationWorker(
        archive.catalogue, archive.pipeline, lambda campaign: open_campaign_source(archive, campaign), worker, observer
    )
