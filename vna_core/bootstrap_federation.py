"""The composition of a federation: members' adapters, the memory of what they deliver, and the parts that ask and bring."""

from __future__ import annotations

from vna_core.access.egress.outgoing import Egress
from vna_core.access.retrieve import Retriever
from vna_core.bootstrap import Archive
from vna_core.configuration import Settings, StoreSettings
from vna_core.configuration.access import departments_of
from vna_core.configuration.federation import MemberSettings
from vna_core.federation.absences import Absences
from vna_core.federation.bringing import Bringing
from vna_core.federation.federation import WEB_ROOT, Federation
from vna_core.federation.local_member import LocalMember
from vna_core.federation.members import LOCAL, VIA, Members, member
from vna_core.federation.memory import BroughtStore, Memory, NotesOfBoth
from vna_core.federation.owners import Owners
from vna_core.federation.query import FederatedQuery
from vna_core.federation.rejected import Rejected
from vna_core.federation.sending import CorrectionSender
from vna_core.federation.telling import Telling
from vna_core.federation.view import BROUGHT


def open_federation(archive: Archive) -> Federation | None:
    """The federation that the settings describe; None when they name no members.

    Raises
    ------
    ConfigurationError
        A member's URL is not one, or no plugin provides its kind.
    """
    settings = archive.settings
    if not settings.federation.members:
        return None
    members = _members(archive)
    memory = None if settings.federation.write_through else _memory(archive)
    retriever = archive.retriever
    if memory is not None:
        memory.prepare()
        stores = {**archive.stores, BROUGHT: BroughtStore(memory)}
        retriever = Retriever(stores, NotesOfBoth(archive.catalogue, memory))
    absences = Absences(settings.federation.negative)
    rejected = Rejected(archive.catalogue.rejections, archive.gate.may_correct)
    query = FederatedQuery(members, settings.federation, archive.catalogue.identity, rejected, absences)
    owners = Owners(query, settings.federation.negative)
    return Federation(
        settings.federation,
        members,
        query,
        Bringing(
            members, settings.federation, archive.catalogue, archive.pipeline, memory, absences, owners, archive.gate.may_correct
        ),
        retriever,
        Egress(settings.egress, retriever, archive.transcoder),
        memory,
        f"{settings.http.url.rstrip('/')}{WEB_ROOT}" if settings.http.url else "",
    )


def correction_sender(archive: Archive) -> CorrectionSender:
    """What tells members corrections."""
    settings = archive.settings
    telling = Telling(settings.federation.members, settings.dimse.aet, archive.catalogue, settings.tls, archive.gate.may_correct)
    return CorrectionSender(archive.catalogue, telling)


def _members(archive: Archive) -> Members:
    settings = archive.settings
    remote = []
    for name, one in settings.federation.members.items():
        options = {"issuer": one.issuer, **one.options} if one.issuer else dict(one.options)
        if one.url.startswith(("dicomweb+", "dimse:", "dimses:")):
            options.setdefault("via", VIA)
        adapter = archive.plugins.open_pacs(name, one.url, options)
        remote.append(member(name, adapter, one, settings.federation, archive.meter))
    here = MemberSettings(url="local:", issuer=settings.ingest.issuer, priority=0, concurrency=64, rows=1_000_000)
    local = member(LOCAL, LocalMember(archive.catalogue, archive.availability), here, settings.federation, archive.meter)
    return Members(local, remote)


def _memory(archive: Archive) -> Memory:
    settings: Settings = archive.settings
    delivering = {name: one.department for name, one in settings.federation.members.items()}
    return Memory(
        settings.data,
        settings.federation.keep,
        lambda folder: archive.plugins.open_store(
            BROUGHT, StoreSettings(type="filesystem", options={"path": str(folder), "durable": False})
        ),
        settings.ingest,
        departments_of(settings.departments, settings.policy, delivering),
        archive.plugins.dialects(),
    )
