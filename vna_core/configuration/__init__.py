"""Configuration: YAML, environment ``VNA_*`` and flags become one tree of frozen settings, a module for each topic."""

from vna_core.configuration.settings import (
    CatalogueSettings,
    DecodeSettings,
    DimseSettings,
    HttpSettings,
    IngestSettings,
    LoggingSettings,
    PeerSettings,
    Settings,
    SiteRuleSettings,
    StoreSettings,
    load_settings,
    section_inside,
)

__all__ = [
    "CatalogueSettings",
    "DecodeSettings",
    "DimseSettings",
    "HttpSettings",
    "IngestSettings",
    "LoggingSettings",
    "PeerSettings",
    "Settings",
    "SiteRuleSettings",
    "StoreSettings",
    "load_settings",
    "section_inside",
]
