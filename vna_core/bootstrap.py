"""The composition root: configuration, then plugins, then the parts of the archive."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Self

import structlog

from vna_core.access.availability import Availability, StoreWatch
from vna_core.access.gate import Gate
from vna_core.access.policy import Policy
from vna_core.access.render import Renderer
from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import Transcoder
from vna_core.archival_storage.placement import PlacementPolicy, check_abilities
from vna_core.archival_storage.wrappers.awaiting import AwaitedStore
from vna_core.archival_storage.wrappers.composition import wrapped
from vna_core.catalogue import Catalogue
from vna_core.catalogue.store_identities import StoreIdentities
from vna_core.configuration import Settings, StoreSettings
from vna_core.configuration.access import departments_of
from vna_core.configuration.federation import told_kinds
from vna_core.configuration.sources import SourceSettings
from vna_core.domain.access import Action
from vna_core.domain.errors import ConfigurationError, StoreUnavailable
from vna_core.domain.placement import PLACE
from vna_core.ingest.counting import counting
from vna_core.ingest.normalize import SiteRules
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.metering import Meter
from vna_core.plugin_manager import Plugins
from vna_core.ports.pacs import PacsAdapter
from vna_core.ports.pacs_options import without_secrets
from vna_core.ports.storage import Store
from vna_core.stewardship.audit.reception import ReceptionNotes
from vna_core.stewardship.audit.trail import AuditTrail
from vna_core.stewardship.holding import HOLD_COPIES
from vna_core.stewardship.knowing_stores import KnowingStores
from vna_core.stewardship.rejecting import Rejecting
from vna_core.stewardship.renormalize import Renormalizer
from vna_core.stewardship.retention import check_departments
from vna_core.stewardship.sealing import PackKeeper

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Archive:
    """Every part, wired. A context manager that closes what it opened."""

    settings: Settings
    plugins: Plugins
    stores: Mapping[str, Store]
    landing: Store
    catalogue: Catalogue
    pipeline: IngestPipeline
    retriever: Retriever
    renderer: Renderer
    transcoder: Transcoder
    availability: Availability
    gate: Gate
    audit: AuditTrail
    rejecting: Rejecting
    meter: Meter

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back. May be called twice."""
        with contextlib.ExitStack() as closing:
            for store in self.stores.values():
                closing.callback(store.close)
            closing.callback(self.catalogue.close)
            closing.callback(self.renderer.pool.close)
            closing.callback(self.audit.close)


def source_settings(settings: Settings, source: str) -> SourceSettings:
    """How a source is to be treated: as configured under its name, or by default where `source` is a URL or a path."""
    return settings.sources.get(source) or SourceSettings(url=source)


def open_source(settings: Settings, plugins: Plugins, source: str, name: str = "") -> PacsAdapter:
    """Open the adapter of a source, given by its name in the configuration, its URL or its path. Nothing is connected yet.

    Raises ConfigurationError.
    """
    one = source_settings(settings, source)
    options = dict(one.options)
    if one.issuer:
        options["issuer"] = one.issuer
    if one.concurrency is not None:
        options["concurrency"] = one.concurrency
    options.setdefault("kept_in", str(settings.data.absolute() / "sources" / _digest_of(one.url)))
    return plugins.open_pacs(name or source, one.url, options)


def _digest_of(url: str) -> str:
    """The same for the same source, whatever its password."""
    return sha256(without_secrets(url).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def renormalizer(archive: Archive, site: SiteRules | None = None) -> Renormalizer:
    """What normalizes held instances once more, by the archive's rules or by other rules of the site."""
    rules = archive.pipeline.site if site is None else site
    make = partial(archive.pipeline.made_again, site=rules)
    return Renormalizer(archive.stores, archive.landing, archive.catalogue, make, rules.rule_set)


def pack_keeper(archive: Archive) -> PackKeeper:
    """What seals and compacts series in the landing store."""
    everywhere = bool(archive.availability.policy.digest)
    return PackKeeper(archive.stores, archive.landing, archive.catalogue, archive.settings.packs, everywhere=everywhere)


def configured_stores(settings: Settings) -> dict[str, StoreSettings]:
    """Every store of the configuration by its name, the landing store among them. Raises ConfigurationError."""
    configured = dict(settings.stores)
    if settings.landing == "landing" and "landing" not in configured:
        configured["landing"] = StoreSettings(type="filesystem", options={"path": str(settings.data / "store")})
    if settings.landing not in configured:
        raise ConfigurationError(f"The landing store {settings.landing!r} is not among the configured stores.", setting="landing")
    return configured


def own_folders(settings: Settings) -> tuple[Path, ...]:
    """Folders of this machine that the archive keeps its things in: the data folder, and those of stores."""
    places = [one.options.get("path") for one in configured_stores(settings).values()]
    return (settings.data, *(Path(place) for place in places if isinstance(place, str)))


def open_store(settings: Settings, plugins: Plugins, name: str, identities: StoreIdentities | None = None) -> Store:
    """One configured store, wrapped as configured; compared with what the catalogue knows of it before anything is written there.

    Raises
    ------
    ConfigurationError
        It is not what the configuration says.
    StoreUnavailable
        It does not answer, or (StoreUnrecognized) is not the one that the catalogue knows by this name.
    """
    configured = configured_stores(settings)
    with contextlib.ExitStack() as closing:
        store = plugins.open_store(name, configured[name])
        closing.callback(store.close)
        if identities is not None:
            KnowingStores(identities, configured).check(store)
        store = wrapped(store, configured[name], settings.data, plugins.key_providers())
        check_abilities(settings, {name: store.abilities()})
        closing.pop_all()
    return store


def open_stores(settings: Settings, plugins: Plugins, identities: StoreIdentities | None = None) -> dict[str, Store]:
    """Every configured store by its name, wrapped as configured.

    Parameters
    ----------
    identities
        What the catalogue knows of stores: each is compared with it, and one that does not answer now, lets us not in or is not
        the one it should be is opened when that is over; only the landing store must answer. Without them every store must.

    Raises
    ------
    ConfigurationError
        A store is not what the configuration says.
    StoreUnavailable
        One that must answer does not.
    """
    configured = configured_stores(settings)
    opened = partial(open_store, settings, plugins, identities=identities)
    stores: dict[str, Store] = {}
    for name in configured:
        try:
            stores[name] = opened(name)
        except StoreUnavailable as error:
            if identities is None or name == settings.landing:
                raise
            consequence = "opened without it; it is awaited"
            _log.error("store-does-not-answer", store=name, code=error.code, message=error.message, consequence=consequence)
            stores[name] = AwaitedStore(name, partial(opened, name), failure=error)
    return stores


def _catalogue_and_stores(settings: Settings, plugins: Plugins, reading: bool) -> tuple[Catalogue, dict[str, Store]]:
    """The catalogue first: it knows which stores these must be."""
    delivering = {name: one.department for name, one in settings.federation.members.items()}
    labels = departments_of(settings.departments, settings.policy, delivering)
    catalogue = Catalogue.open(settings.catalogue, settings.data, labels, reading=reading)
    try:
        return catalogue, open_stores(settings, plugins, catalogue.store_identities)
    except BaseException:
        catalogue.close()
        raise


def open_archive(
    settings: Settings, *, processes: int = 1, meter: Meter | None = None, reading: bool = False, plugins: Plugins | None = None
) -> Archive:
    """Open the archive that the settings describe.

    Parameters
    ----------
    processes
        How many processes share the memory budget.
    meter
        Counts what this process does; one of its own when not given.
    reading
        What is held is only to be read: a data folder will do whose disk is mounted read-only.
    plugins
        Those that are loaded already; loaded here when not given.

    Raises
    ------
    ConfigurationError
        The data folder cannot be one, a store is of a kind no plugin provides, its key is missing or wrong, the landing store
        cannot keep what it acknowledges, a site rule cannot be applied, or the policy names somebody unknown.
    StoreUnavailable, CatalogueUnavailable
        The landing store or the database does not answer, or what lies in the place of the landing store is another store
        (StoreUnrecognized). Any other store is awaited.
    """
    site, placement = SiteRules.of(settings), PlacementPolicy.of(settings)
    meter = meter or Meter.alone()
    if plugins is None:
        plugins = Plugins()
        plugins.load()
    catalogue, stores = _catalogue_and_stores(settings, plugins, reading)
    landing = stores[settings.landing]
    abilities = landing.abilities()
    if not (abilities.conditional_create and abilities.durable_create):
        raise ConfigurationError(
            f"The landing store {settings.landing!r} cannot keep what it acknowledges (it must create exclusively and durably).",
            setting="landing",
        )
    policy = Policy(settings)
    check_departments(settings)
    audit = AuditTrail(settings.audit, settings.data / "audit", landing)
    cutovers = catalogue.awaited.cutovers
    cutovers.automatic, cutovers.issuer = settings.cutover.automatic, settings.ingest.issuer
    cutovers.issuers = {name: one.issuer for name, one in settings.sources.items() if one.issuer}
    if placement.digest:
        catalogue.follow_ups.follow(PLACE, delay=settings.placement.settle)
    catalogue.corrections.tell(told_kinds(settings.federation.members))
    rejecting = Rejecting(
        stores, landing, catalogue, audit, lambda principal: policy.scope(principal, Action.CORRECT), settings.corrections
    )
    if any(not store.abilities().local for store in stores.values()):  # which may have object locks
        catalogue.follow_ups.follow(HOLD_COPIES, delay=settings.placement.settle)
    watch = StoreWatch(stores, catalogue.placements.know_stores(list(stores)))
    pipeline = IngestPipeline(
        landing,
        catalogue,
        settings.ingest,
        settings.data,
        (*plugins.observers(), ReceptionNotes(audit), rejecting.observe, counting(meter)),
        stores=stores,
        processes=processes,
        dialects=plugins.dialects(),
        site=site,
    )
    renderer = Renderer(settings.decode)
    return Archive(
        settings=settings,
        plugins=plugins,
        stores=stores,
        landing=landing,
        catalogue=catalogue,
        pipeline=pipeline,
        retriever=Retriever(stores, catalogue),
        renderer=renderer,
        transcoder=Transcoder(settings.decode, renderer.pool),
        availability=Availability(catalogue, watch, settings.placement, placement),
        gate=Gate(policy, catalogue, audit),
        audit=audit,
        rejecting=rejecting,
        meter=meter,
    )
