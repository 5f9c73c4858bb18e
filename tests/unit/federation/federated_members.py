"""Members of a federation made of whole small archives, each behind an adapter that can be made to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.configuration.federation import FederationSettings, MemberSettings
from vna_core.domain.access import Scope
from vna_core.domain.deadline import Deadline
from vna_core.domain.octets import Source
from vna_core.domain.spool import Spool
from vna_core.federation.local_member import LocalMember
from vna_core.federation.members import LOCAL, Member, Members, member
from vna_core.ports.pacs import Deliver, FetchReport
from vna_core.testing.faulty_pacs import FaultyPacs


class ArchiveAsPacs(LocalMember):
    """A whole archive as a source: asked through its catalogue, fetched through its retriever."""

    def __init__(self, name: str, archive: SmallArchive, issuer: str) -> None:
        super().__init__(archive.catalogue)
        self._retriever = archive.retriever
        self.name = name
        self._issuer = issuer

    def seen_within(self, scope: Scope) -> LocalMember:
        return self

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        delivered = 0
        for held in self._catalogue.instances(study=study_instance_uid, series=series_instance_uid):
            if sop_instance_uids and held.sop_instance_uid not in sop_instance_uids:
                continue
            if deadline is not None:
                deadline.check()
            spool = Spool(Source("migration", self.name, "", self._issuer), sop_instance_uid=held.sop_instance_uid)
            for piece in self._retriever.part10(held):
                spool.write(piece)
            deliver(spool.finish())
            delivered += 1
        return FetchReport(delivered, 0)


@dataclass
class Federation:
    """Archives by name, their faulty adapters, and the members made of them."""

    settings: FederationSettings
    archives: dict[str, SmallArchive]
    pacs: dict[str, FaultyPacs]
    members: Members
    files: dict[str, list[bytes]] = field(default_factory=dict)

    def put(self, name: str, *files: bytes) -> None:
        for octets in files:
            assert self.archives[name].offer(octets).outcome.acknowledged


@contextmanager
def federation(folder: Path, names: tuple[str, ...], *, local: bool = True, **changes: Any) -> Iterator[Federation]:
    """Members of these names, each with its name in capitals as issuer; `local` is an archive of the house."""
    settings = FederationSettings(**{"deadline": 10.0, **changes})
    with ExitStack() as stack:
        archives = {name: stack.enter_context(small_archive(folder / name)) for name in ([LOCAL] if local else []) + list(names)}
        pacs: dict[str, FaultyPacs] = {}
        remote: list[Member] = []
        for number, name in enumerate(names):
            own = MemberSettings(url="test://", issuer=name.upper(), department=name, priority=number)
            pacs[name] = FaultyPacs(ArchiveAsPacs(name, archives[name], own.issuer))
            remote.append(member(name, pacs[name], own, settings))
        here = None
        if local:
            adapter = LocalMember(archives[LOCAL].catalogue)
            here = member(LOCAL, adapter, MemberSettings(url="local:", issuer="HOUSE", priority=0), settings)
        members = Members(here, remote)
        stack.callback(members.close)
        yield Federation(settings, archives, pacs, members)


def study(number: int, instances: range = range(1), **attributes: str) -> list[bytes]:
    """Instances of one study with a patient of its own, unless attributes say otherwise."""
    uid = f"1.2.826.0.1.3680043.10.5.{number}"
    named = {
        "StudyInstanceUID": uid,
        "SeriesInstanceUID": f"{uid}.1",
        "PatientID": f"P{number}",
        "StudyDate": f"2026{number // 28 + 1:02d}{number % 28 + 1:02d}",
    }
    return [ct(number * 1000 + one, rows=16, **{**named, **attributes}) for one in instances]


def uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.10.5.{number}"


Make = Callable[..., Federation]
