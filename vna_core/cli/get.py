"""``vna get``: take images out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vna_core.access.egress.outgoing import Egress
from vna_core.access.egress.profiles import EgressProfile
from vna_core.bootstrap import Archive
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.domain.access import Action
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.identifiers import key_segment
from vna_core.domain.instance import HeldInstance

EPILOG = """
Examples:

`vna get 1.2.840.113619.2.1 -o out/` writes canonical Part 10 files of a study, series or instance

`vna get 1.2.840.113619.2.1.99 --original -o -` writes one instance's octets as received to standard output

`vna get 1.2.840.113619.2.1 --profile old-workstation -o out/` writes what a receiver with this egress profile gets
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("get", epilog=EPILOG)(get)


def get(
    uid: Annotated[str, typer.Argument(help="Study, Series or SOP Instance UID.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder; - writes one instance to standard output.")] = Path(),
    original: Annotated[bool, typer.Option("--original", help="The octets as received instead of the canonical object.")] = False,
    all_versions: Annotated[bool, typer.Option("--all-versions", help="Every version, not only the current one.")] = False,
    profile: Annotated[str, typer.Option("--profile", help="Name of an egress profile of the configuration.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a study, series or instance as plain files. Every octet is verified on its way."""
    console = Console(stderr=True)
    if original and profile:
        raise InvalidRequest("The octets as received are never adapted: give --original or --profile, not both.")
    with archive_of(data, config) as archive:
        taken = _Taken(archive, original, profile)
        found = _found(archive, uid, all_versions)
        archive.gate.enter(operator(), Action.RETRIEVE).catalogue.notes.read(found)
        if str(output) == "-":
            if len(found) != 1:
                raise NotFound(f"{len(found)} instances answer to this UID; -o - takes exactly one.")
            for piece in taken.octets(found[0]):
                sys.stdout.buffer.write(piece)
            return
        output.mkdir(parents=True, exist_ok=True)
        for held in found:
            target = _target(output, held, original, all_versions)
            _write(target, taken.octets(held))
            if as_json:
                print_json({"path": str(target), "sop_instance_uid": held.sop_instance_uid, "version": held.version})
        console.print(f"{len(found)} written to {output}")


def _found(archive: Archive, uid: str, all_versions: bool) -> list[HeldInstance]:
    catalogue = archive.catalogue
    for found in (
        catalogue.instances(sop=uid, all_versions=all_versions),
        catalogue.instances(series=uid, all_versions=all_versions),
        catalogue.instances(study=uid, all_versions=all_versions),
    ):
        if found:
            return found
    raise NotFound("No study, series or instance has this UID. `vna find` lists what is held.")


class _Taken:
    """The form in which instances are taken out."""

    def __init__(self, archive: Archive, original: bool, profile: str) -> None:
        self._archive = archive
        self._original = original
        self._egress = Egress(archive.settings.egress, archive.retriever, archive.transcoder)
        self._profile: EgressProfile | None = self._egress.profiles.named(profile) if profile else None

    def octets(self, held: HeldInstance) -> Iterator[bytes]:
        """The file's octets. Raises NotAdaptable before the first where the profile cannot be fulfilled."""
        if self._original:
            return self._archive.retriever.original(held)
        syntaxes = self._egress.transfer_syntaxes(held, self._profile)
        return self._egress.outgoing(held, self._profile).part10(syntaxes[0] if syntaxes else held.transfer_syntax_uid)


def _target(folder: Path, held: HeldInstance, original: bool, all_versions: bool) -> Path:
    version = f".v{held.version}" if all_versions else ""
    return folder / f"{key_segment(held.sop_instance_uid)}{version}{'.original' if original else ''}.dcm"


def _write(target: Path, octets: Iterator[bytes]) -> None:
    """Write beside the target and rename, so that a file with the final name is whole."""
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("wb") as stream:
            for piece in octets:
                stream.write(piece)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
