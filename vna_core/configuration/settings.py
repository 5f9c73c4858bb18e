"""Configuration: YAML, environment ``VNA_*`` and flags become one tree of frozen settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, ValidationError

from vna_core.configuration.access import DepartmentSettings, Name, PolicySettings
from vna_core.configuration.audit import AuditSettings
from vna_core.configuration.corrections import CorrectionsSettings
from vna_core.configuration.cutover import CutOverSettings
from vna_core.configuration.egress import EgressSettings
from vna_core.configuration.federation import FederationSettings
from vna_core.configuration.identity import Hl7Settings, IdentitySettings
from vna_core.configuration.jobs import JobsSettings
from vna_core.configuration.packs import PackSettings
from vna_core.configuration.placement import PlacementSettings
from vna_core.configuration.section import AeTitle, Section
from vna_core.configuration.sources import SourceSettings
from vna_core.configuration.stewardship import RetentionSettings, ScrubSettings
from vna_core.configuration.tls import Certificates, TlsSettings
from vna_core.configuration.wrappers import WRAPPERS, WrapperSettings
from vna_core.domain.errors import ConfigurationError


def _listed(value: Any) -> Any:
    """One thing where a list of things may stand."""
    return [value] if isinstance(value, str | dict) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class HttpSettings(Section):
    """The web face: DICOMweb, the API, health and metrics."""

    host: str = Field("127.0.0.1", description="Address to listen on. Other than loopback needs `tokens`.")
    port: int = Field(8042, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        2,
        ge=1,
        le=64,
        description="Web processes; a machine with more processors bears as many. Each takes about 150 MB, its share of "
        "`ingest.memory_budget`, `decode.processes` subprocesses and, on PostgreSQL, up to 64 connections, so that it is not guessed.",
    )
    tokens: dict[str, Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]] = Field(
        default_factory=dict, description="Principal name to the SHA-256 (hex) of its bearer token. Empty: no authentication."
    )
    certificates: dict[str, Certificates] = Field(
        default_factory=dict,
        description="Principal name to certificates of its clients, as fingerprints or subjects: over HTTPS one of them stands for the token.",
    )
    max_body: int = Field(64 << 30, ge=1, description="Largest request body in octets.")
    max_part: int = Field(16 << 30, ge=1, description="Largest part (instance) of a STOW-RS request in octets.")
    header_timeout: float = Field(20.0, gt=0, description="Seconds a client may take to send its request head.")
    body_timeout: float = Field(60.0, gt=0, description="Seconds without progress after which a body is given up.")
    page_limit: int = Field(5000, ge=1, description="Largest page of a QIDO-RS answer.")
    url: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?)?$",
        description="Address under which clients reach this face, as `https://vna.hospital.example`: rows of C-FIND to the federation tell it as Retrieve URL. Empty: they tell none.",
    )
    issuers: dict[str, str] = Field(
        default_factory=dict, description="Principal name to the assigning authority of Patient IDs it stores without one."
    )


class PeerSettings(Section):
    """One DICOM node we may send to or accept from."""

    host: str = Field(description="Address of the node.")
    port: int = Field(ge=1, le=65535, description="Port of the node.")
    issuer: str = Field("", description="Assigning authority of Patient IDs from this node that carry none.")
    certificates: Certificates = Field(
        (),
        description="Certificates of the node: SHA-256 fingerprints, or subjects as `CN=...,O=...`. Who calls itself by this title must show one of them, from whatever address; whom we connect to must, whatever name it is for.",
    )
    tls: bool = Field(False, description="Connect to the node with TLS, with the certificate and the authorities of `tls`.")
    tls_name: str = Field("", description="Name in the node's certificate where that is not `host`.")
    tls_insecure_no_verification: bool = Field(
        False, description="Send to whoever answers at the address. For a test network at most."
    )


class DimseSettings(Section):
    """The DIMSE face."""

    host: str = Field("127.0.0.1", description="Address to listen on. Other than loopback needs `accept_only_peers`.")
    port: int = Field(4242, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    aet: AeTitle = Field("VNA", description="Our application entity title.")
    require_called_aet: bool = Field(False, description="Reject associations that call another title than ours.")
    accept_only_peers: bool = Field(
        False, description="Reject calling AE titles that are not in `peers` with the address given there."
    )
    peers: dict[AeTitle, PeerSettings] = Field(
        default_factory=dict, description="AE title to node: move destinations, commitment requesters."
    )
    processes: int = Field(
        2,
        ge=1,
        le=64,
        description="Accepting processes on the one port; a machine with more processors bears as many. Each takes about 100 MB and its "
        "share of `ingest.memory_budget`.",
    )
    max_associations: int = Field(100, ge=1, description="Associations at once, over all processes.")
    max_pdu: int = Field(262_144, ge=4096, le=16 << 20, description="Largest PDU we ask for, in octets.")
    association_timeout: float = Field(10.0, gt=0, description="Seconds a peer may take for the association request.")
    idle_timeout: float = Field(60.0, gt=0, description="Seconds an association may be silent before it is aborted.")
    network_timeout: float = Field(
        30.0, gt=0, description="Seconds without progress inside a message before the association is aborted."
    )


class IngestSettings(Section):
    """The way in."""

    memory_budget: int = Field(
        512 << 20,
        ge=1 << 20,
        description="Octets of instances being received held in memory, and as many of deflated ones that are unfolded, over the whole archive.",
    )
    spool_threshold: int = Field(
        4 << 20, ge=1 << 16, description="Instances larger than this are spooled to a file while they arrive."
    )
    max_instance: int = Field(16 << 30, ge=1 << 20, description="Largest instance in octets.")
    max_depth: int = Field(256, ge=8, le=256, description="Deepest nesting of sequences.")
    max_elements: int = Field(2_000_000, ge=1000, description="Most elements in one instance.")
    max_inflated: int = Field(1 << 30, ge=1 << 20, description="Largest size a deflated data set may inflate to.")
    quarantine_limit: int = Field(10 << 30, ge=1 << 20, description="Octets the quarantine may hold.")
    issuer: str = Field("", description="Assigning authority for sources that have none of their own.")


class DecodeSettings(Section):
    """Decoding of pixels, always in a killable subprocess."""

    processes: int = Field(2, ge=1, le=64, description="Decoding subprocesses.")
    memory: int = Field(2 << 30, ge=64 << 20, description="Address space of one decoding subprocess in octets.")
    timeout: float = Field(30.0, gt=0, description="Seconds one decoding may take.")
    max_pixels: int = Field(256_000_000, ge=1, description="Most samples in one frame.")


class CatalogueSettings(Section):
    """The database."""

    url: str = Field("", description="SQLAlchemy URL; empty: SQLite `catalogue.sqlite` in the data folder.")
    busy_timeout: float = Field(30.0, gt=0, description="Seconds to wait for a lock.")


class StoreSettings(Section):
    """One store."""

    type: str = Field("filesystem", description="Backend, as a plugin registered it.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of the backend.")
    wrap: tuple[WrapperSettings, ...] = Field(
        (), description="What is put around the backend, from the inside out, each by its `type`."
    )


class SourcePattern(Section):
    """Which sources a site rule is for."""

    kind: Literal["dimse", "stow", "file", "migration"] | None = Field(None, description="How the octets came; absent: any way.")
    name: Patterns = Field((), description="AE title, principal or name of the PACS.")


class RuleCondition(Section):
    """When a site rule applies: all that is given must hold. Values are compared as received; `*` at the end: begins with."""

    source: SourcePattern = SourcePattern()
    modality: Patterns = Field((), description="Modality (0008,0060).")
    manufacturer: Patterns = Field((), description="Manufacturer (0008,0070).")
    tags: dict[str, Patterns] = Field(default_factory=dict, description="Attribute to its value; an empty text: absent or empty.")


class ValueTable(Section):
    """Values of one attribute that are replaced by others."""

    tag: str = Field(description="Attribute, by keyword or number.")
    table: dict[str, str] = Field(min_length=1, description="Value as received to the value wanted.")


class ValuePrefix(Section):
    """A beginning that values of one attribute get unless they have it."""

    tag: str = Field(description="Attribute, by keyword or number.")
    prefix: str = Field(min_length=1, description="What values begin with afterwards.")


class UidRemapping(Section):
    """New UIDs for a source whose own are not unique."""

    seed: str = Field(min_length=1, description="Name of the map: the same seed gives the same UID for the same UID, anywhere.")
    root: str = Field("2.25", pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$", max_length=24, description="Beginning of the new UIDs.")


class ValueCopy(Section):
    """A value taken from another attribute."""

    source: str = Field(alias="from", description="Attribute whose value is copied.")
    target: str = Field(alias="to", description="Attribute that gets it.")
    overwrite: bool = Field(False, description="Also where the target has a value.")


class SiteRuleSettings(Section):
    """One thing a hospital changes in what it receives."""

    id: str = Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$", description="Name of the rule, in provenance as `site:ID`.")
    version: int = Field(1, ge=1, description="To be raised when the rule is changed.")
    when: RuleCondition = Field(RuleCondition(), description="Which instances it is for; absent: all.")
    character_set: Patterns = Field((), description="Specific Character Set meant where none is declared.")
    date_order: Literal["day-month", "month-day"] | None = Field(None, description="How dates as 03/04/1999 are meant.")
    issuer: str = Field("", description="Issuer of Patient ID written where a Patient ID has none.")
    institution: str = Field("", description="Institution Name.")
    copy_: Annotated[tuple[ValueCopy, ...], BeforeValidator(_listed)] = Field(
        (), alias="copy", description="Values taken from other attributes."
    )
    set: dict[str, str] = Field(default_factory=dict, description="Attribute to its value; an empty text empties it.")
    map: Annotated[tuple[ValueTable, ...], BeforeValidator(_listed)] = Field((), description="Values replaced by a table.")
    prefix: Annotated[tuple[ValuePrefix, ...], BeforeValidator(_listed)] = Field((), description="Values that get a beginning.")
    remap_uids: UidRemapping | None = Field(None, description="New UIDs throughout the instance, references included.")


class LoggingSettings(Section):
    """Structured logs. No patient data at info level and above."""

    level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severe level written.")
    format: str = Field(
        "json", pattern="^(json|console)$", description="`json` lines or readable `console` lines, on standard error."
    )


class Settings(Section):
    """The whole configuration."""

    data: Path = Field(Path("vna-data"), description="Data folder: landing store, catalogue, quarantine, spool.")
    http: HttpSettings = HttpSettings()
    dimse: DimseSettings = DimseSettings()
    ingest: IngestSettings = IngestSettings()
    decode: DecodeSettings = DecodeSettings()
    cutover: CutOverSettings = CutOverSettings()
    catalogue: CatalogueSettings = CatalogueSettings()
    stores: Annotated[
        dict[str, StoreSettings], Field(description="Stores by name. Without `landing`, a folder `store` in the data folder.")
    ] = {}
    landing: str = Field("landing", description="Name of the store where every instance is written first.")
    sources: Annotated[dict[str, SourceSettings], Field(description="Archives that are not ours, by name.")] = {}
    site_rules: tuple[SiteRuleSettings, ...] = Field((), description="What this hospital changes, in order.")
    placement: PlacementSettings = PlacementSettings()
    federation: FederationSettings = FederationSettings()
    corrections: CorrectionsSettings = CorrectionsSettings()
    jobs: JobsSettings = JobsSettings()
    packs: PackSettings = PackSettings()
    scrub: ScrubSettings = ScrubSettings()
    retention: RetentionSettings = RetentionSettings()
    logging: LoggingSettings = LoggingSettings()
    egress: EgressSettings = EgressSettings()
    departments: dict[Name, DepartmentSettings] = Field(
        default_factory=dict, description="Departments by name. None: whoever is let in may do everything."
    )
    policy: PolicySettings = PolicySettings()
    audit: AuditSettings = AuditSettings()
    identity: IdentitySettings = IdentitySettings()
    hl7: Hl7Settings = Hl7Settings()
    tls: TlsSettings = TlsSettings()
    _origins: dict[tuple[str, ...], str] = PrivateAttr(default_factory=dict)

    def where(self, *keys: str | int) -> str:
        """File and line of a setting, or of the nearest one around it; ``configuration`` when it came from nowhere."""
        return _where(self._origins, tuple(map(str, keys)))


ENVIRONMENT_PREFIX = "VNA_"


def load_settings(
    path: Path | None = None,
    flags: Mapping[str | tuple[str, ...], Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings from a YAML file, the environment and flags; each overrides the one before.

    Parameters
    ----------
    path
        YAML file; None for no file.
    flags
        Dotted setting names (``dimse.port``), or their parts where one may have a dot in it, to values; None values are left out.
    environment
        ``VNA_DIMSE__PORT`` names ``dimse.port``; the process's environment when not given. Values are read as YAML.

    Raises
    ------
    ConfigurationError
        A key is unknown or a value is wrong. The message names the file and line, the variable, or the flag.
    """
    tree: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    variables = {
        name: value
        for name, value in sorted((os.environ if environment is None else environment).items())
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_SETTINGS
    }
    if path is not None or variables:
        _read_yaml(path, variables, tree, origins)
    for name, value in (flags or {}).items():
        if value is not None:
            keys = tuple(name.split(".")) if isinstance(name, str) else name
            _put(tree, keys, value, origins, f"option for {'.'.join(keys)}")
    try:
        settings = Settings.model_validate(tree)
        settings._origins.update(origins)
        return settings
    except ValidationError as error:
        raise _explained(error, origins) from error


NOT_SETTINGS = frozenset(("VNA_CORPUS", "VNA_CONFIG"))
"""Variables with our prefix that are no settings: the folder of real files for tests, and the configuration file's path."""


def _read_yaml(
    path: Path | None, variables: Mapping[str, str], tree: dict[str, Any], origins: dict[tuple[str, ...], str]
) -> None:
    """Take over what a file says, then what variables of the environment say."""
    from vna_core.configuration.yaml_reading import read_file, value_of  # here: who is given neither does not wait for YAML

    if path is not None:
        read_file(path, tree, origins)
    for name, value in variables.items():
        keys = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        _put(tree, keys, value_of(value), origins, f"environment variable {name}")


def _put(tree: dict[str, Any], keys: tuple[str, ...], value: Any, origins: dict[tuple[str, ...], str], origin: str) -> None:
    branch = tree
    for key in keys[:-1]:
        below = branch.get(key)
        if not isinstance(below, dict):
            below = branch[key] = {}
        branch = below
    branch[keys[-1]] = value
    origins[keys] = origin


def _explained(error: ValidationError, origins: Mapping[tuple[str, ...], str]) -> ConfigurationError:
    """The first problem as a sentence that names where it stands and, for an unknown key, the nearest known one."""
    problem = error.errors()[0]
    keys = tuple(str(part) for part in problem["loc"] if part != "[key]")
    kind = ""
    if "wrap" in keys[2:3] and len(keys) > 4:
        kind, keys = keys[4], keys[:4] + keys[5:]  # the type of the wrapper is no key of the document
    where = _where(origins, keys)
    name = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        known = sorted(WRAPPERS[kind].model_fields) if kind else _known_keys(keys[:-1])
        near = difflib.get_close_matches(keys[-1], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else f" Known here: {', '.join(known)}."
        return ConfigurationError(f"{where}: unknown setting {name!r}.{hint}", setting=name)
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        found = f"unknown type {problem['ctx']['tag']!r}" if "tag" in problem.get("ctx", {}) else "the type is missing"
        return ConfigurationError(f"{where}: setting {name!r}: {found}. Known: {', '.join(sorted(WRAPPERS))}.", setting=name)
    return ConfigurationError(f"{where}: setting {name!r}: {problem['msg'].removeprefix('Value error, ')}.", setting=name)


def _where(origins: Mapping[tuple[str, ...], str], keys: tuple[str, ...]) -> str:
    return next((origins[keys[:length]] for length in range(len(keys), 0, -1) if keys[:length] in origins), "configuration")


def _known_keys(path: tuple[str, ...]) -> list[str]:
    section: type[BaseModel] = Settings
    for key in path:
        field = next((one for name, one in section.model_fields.items() if key in (name, one.alias)), None)
        if field is not None:
            section = section_inside(field.annotation) or section
    return sorted(field.alias or name for name, field in section.model_fields.items())


def section_inside(annotation: object) -> type[BaseModel] | None:
    """The section that a setting's type is, or that its mapping, list or optional value holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, tuple, Annotated, UnionType):
        return next((found for one in get_args(annotation) if (found := section_inside(one)) is not None), None)
    return None
