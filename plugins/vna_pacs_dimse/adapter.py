"""The adapter: one source archive that speaks DIMSE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import unquote

from pydantic import Field

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command
from vna_core.dicom.network.tls import SECURE_PORT
from vna_core.dicom.network.tls.options import TlsOptions
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, PeerError
from vna_core.domain.octets import Source
from vna_core.domain.query import Level, Query
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter
from vna_core.ports.pacs_options import source_address, source_options, without_secrets
from vna_pacs_dimse.asking import LEVEL, PATIENT_FIND, SERIES, STUDY, STUDY_FIND, answers
from vna_pacs_dimse.connection import Peer
from vna_pacs_dimse.getting import STUDY_GET, Getting, Keys, batches
from vna_pacs_dimse.inventories import Inventories, StudyInventory
from vna_pacs_dimse.moving import STUDY_MOVE, Moving
from vna_pacs_dimse.presentation_plans import known_plans, unknown_plans
from vna_pacs_dimse.probing import Offered, accepted_associations, accepted_levels, response_limit


class DimseOptions(TlsOptions):
    """Options of a ``dimse`` or ``dimses`` source."""

    calling: str = Field("VNA", min_length=1, max_length=16)
    """Our application entity title."""
    retrieve: Literal["", "get", "move"] = ""
    """The only way to retrieve; empty: C-GET where the source offers it, else C-MOVE."""
    move_port: int | Literal[""] = ""
    """Port on which we listen as `calling` when the source has to C-MOVE to us; the source must know it."""
    move_host: str = "127.0.0.1"
    """Address on which we listen for that."""
    silence: float = Field(300.0, gt=0)
    """Seconds that the source may think before it says something; tape libraries take minutes."""
    via: str = Field("", pattern="^[A-Za-z0-9._-]{0,16}$")
    """Implementation version name that is sent: a federation that is asked by another one does not pass the question on."""


class DimseAdapter(PacsAdapter):
    """Find, inventory and fetch over DIMSE."""

    def __init__(self, name: str, peer: Peer, options: DimseOptions) -> None:
        self.name = name
        self._peer, self._options = peer, options
        self._source = Source("migration", name, peer.address, options.issuer)
        self._getting = Getting(peer, self._spool)
        listen = (options.move_host, options.move_port) if options.move_port else None
        self._moving = Moving(peer, self._spool, listen)
        self._retrieve = ""
        self._inventories = Inventories(peer)

    @classmethod
    def open(cls, name: str, url: str, options: Mapping[str, Any]) -> DimseAdapter:
        """Factory for ``dimse://CALLED@HOST:PORT?calling=VNA&concurrency=4&move_port=11113&move_host=10.0.0.5&issuer=HOSPITAL``.

        ``dimses://`` is the same with TLS, on port 2762 where none is given; what the source moves to us comes with TLS too.

        Raises
        ------
        ConfigurationError
            The URL or an option is wrong, or a certificate cannot be used.
        """
        address = source_address(name, url)
        if not address.hostname or not address.username:
            raise ConfigurationError(f"{without_secrets(url)!r} is not a source: expected dimse://CALLED@HOST:PORT.", source=name)
        checked = source_options(DimseOptions, name, address.query, options)
        tls = checked.tls(name, encrypted=address.scheme == "dimses")
        if tls is not None and checked.move_port and not checked.certificate_file:
            raise ConfigurationError(
                f"Source {name!r}: for C-MOVE over TLS we are a server, too: give certificate_file and key_file.", source=name
            )
        called, port = unquote(address.username), address.port or (104 if tls is None else SECURE_PORT)
        return cls(name, Peer(address.hostname, port, called, checked.calling, checked.silence, tls, checked.via), checked)

    # -- asking -----------------------------------------------------------------------------------------------------------

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`. C-GET is preferred where the source accepts it."""
        offered = Offered(self._peer)
        if STUDY_FIND not in offered.services:
            raise PeerError(f"{self._peer.called} does not answer queries of the Study Root model.")
        modes = self._modes(offered)
        self._retrieve = modes[0]
        levels = {Level.STUDY, Level.SERIES, Level.IMAGE} | ({Level.PATIENT} if PATIENT_FIND in offered.services else set())
        # Moves are made one after the other: see `Moving`.
        concurrency = self._options.concurrency if self._retrieve == "get" else 1
        limit, relational, syntaxes = None, offered.relational, frozenset[str]()
        if thorough:
            found, relational, syntaxes = accepted_levels(self._peer, offered)
            levels = set(found)
            limit = response_limit(self._peer)
            concurrency = min(concurrency, accepted_associations(self._peer, concurrency))
        return PacsAbilities(
            self._retrieve,
            relational,
            concurrency,
            limit,
            levels=frozenset(levels),
            retrieve_modes=modes,
            transfer_syntaxes=syntaxes,
            product=offered.product,
        )

    def _modes(self, offered: Offered) -> tuple[str, ...]:
        """Ways to retrieve that can be used, the best first. Raises PeerError where there is none."""
        move = STUDY_MOVE in offered.services and bool(self._options.move_port)
        modes = [name for name, there in (("get", STUDY_GET in offered.services), ("move", move)) if there]
        if self._options.retrieve in modes:
            modes = [self._options.retrieve, *(one for one in modes if one != self._options.retrieve)]
        elif self._options.retrieve or not modes:
            raise PeerError(
                f"{self._peer.called} does not offer {'C-MOVE' if self._options.retrieve == 'move' else 'C-GET'}."
                " Give it our title and a port for C-MOVE (option move_port), and try again."
            )
        return tuple(modes)

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`."""
        yield from answers(self._peer, query, attributes, deadline)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        yield from self._inventories.take(study_instance_uid, deadline).instances

    # -- fetching ---------------------------------------------------------------------------------------------------------

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`."""
        if not self._retrieve:
            self.probe()
        keys: Keys = {LEVEL: (Level.STUDY.value,), STUDY: (study_instance_uid,)}
        if series_instance_uid is not None:
            keys |= {LEVEL: (Level.SERIES.value,), SERIES: (series_instance_uid,)}
        if self._retrieve == "move":
            report = self._moving.move(batches(keys, sop_instance_uids), deliver, deadline)
            short = len(sop_instance_uids) - report.delivered  # many sources do not count what they do not have
            return FetchReport(report.delivered, max(report.failed, short, 0), report.warnings, report.message)
        delivered: set[str] = set()
        everything = series_instance_uid is None and not sop_instance_uids
        whole = self._whole(study_instance_uid, keys, deliver, delivered, deadline) if everything else None
        if whole is not None:
            return whole
        known = self._inventories.remembered(study_instance_uid)
        inventory = known or self._inventories.take(study_instance_uid, deadline, certain=everything)
        report = self._named(inventory, keys, sop_instance_uids, deliver, delivered, deadline)
        if report.failed and inventory.inferred:
            inventory = self._inventories.take(study_instance_uid, deadline, certain=True)
            report = self._named(inventory, keys, sop_instance_uids, deliver, delivered, deadline)
        return report

    def _whole(
        self, study: str, keys: Keys, deliver: Deliver, delivered: set[str], deadline: Deadline | None
    ) -> FetchReport | None:
        """A whole study, where the source says which SOP Classes it has and how many instances, and as many come or none at all;
        else None, and what came is in `delivered`."""
        told = self._inventories.whole(study, deadline)
        plans = known_plans(told.sop_class_uids)
        if len(plans) != 1 or not told.instances:
            return None
        report = self._getting.once(plans[0], [keys], deliver, delivered, deadline)
        if report.failed and not delivered:  # refused, and so would be what it names: the next retrieval asks for that
            self._inventories.doubt(study)
            return FetchReport(0, told.instances, report.warnings, report.message)
        return None if report.failed or len(delivered) < told.instances else report

    def _named(
        self,
        inventory: StudyInventory,
        keys: Keys,
        sops: tuple[str, ...],
        deliver: Deliver,
        delivered: set[str],
        deadline: Deadline | None,
    ) -> FetchReport:
        """What an inventory names and is not in `delivered` yet."""
        series = keys.get(SERIES)
        wanted = {
            one.sop_instance_uid: one
            for one in inventory.instances
            if (series is None or one.series_instance_uid in series) and (not sops or one.sop_instance_uid in sops)
        }
        asked = tuple(sop for sop in sops if sop in wanted)
        absent = len(sops) - len(asked)
        if not wanted:
            return FetchReport(len(delivered), absent, message="The source does not name such instances.")
        classes = list(dict.fromkeys(one.sop_class_uid for one in wanted.values() if one.sop_instance_uid not in delivered))
        plans = known_plans(classes) if all(classes) else unknown_plans(inventory.modalities)
        report = self._getting.get(plans, batches(keys, asked), wanted, deliver, delivered, deadline)
        return FetchReport(report.delivered, report.failed + absent, report.warnings, report.message)

    def _spool(self, transfer_syntax_uid: str, command: Command) -> Spool:
        """A sink for the data set of a C-STORE from this source."""
        uids = (commands.text(command, commands.AFFECTED_SOP_CLASS), commands.text(command, commands.AFFECTED_SOP_INSTANCE))
        return Spool(self._source, transfer_syntax_uid, *uids)

    def close(self) -> None:
        """See `PacsAdapter.close`."""
        self._moving.close()
