"""``vna get``: take images out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from vna_core.access.choice import Choice
from vna_core.access.egress.outgoing import Egress
from vna_core.access.egress.profiles import EgressProfile
from vna_core.bootstrap import Archive
from vna_core.cli.console import Console
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.cli.output_folder import OutputFolder
from vna_core.domain.access import Action
from vna_core.domain.errors import InvalidRequest, NotFound, StorageError
from vna_core.domain.identifiers import key_segment
from vna_core.domain.instance import HeldInstance

EPILOG = """
A file is named by its SOP Instance UID. Where several have that name (one UID in two studies, of two patients), or a file of this name
with other octets lies in the folder, the first 16 digits of the file's own SHA-256 stand in its name as well: nothing is overwritten.
What lies there already is left, so a call that was interrupted is simply repeated.

Examples:

`vna get 1.2.840.113619.2.1 -o out/` writes canonical Part 10 files of a study, series or instance

`vna get 1.2.840.113619.2.1.99 --original -o -` writes one instance's octets as received to standard output

`vna get 1.2.840.113619.2.1.99 --sha256 6b86b273ff34fce1 -o -` writes one of several that have this UID; `vna explain` lists them

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
    study: Annotated[str | None, typer.Option("--study", help="Only what is in this study.", metavar="UID")] = None,
    sha256: Annotated[
        str | None,
        typer.Option(
            "--sha256",
            help="Only the version with this digest, of its canonical object or as received; 8 digits or more.",
            metavar="DIGEST",
        ),
    ] = None,
    profile: Annotated[str, typer.Option("--profile", help="Name of an egress profile of the configuration.")] = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Write a study, series or instance as plain files. Every octet is verified on its way.

    An instance without a copy that can be read costs that instance only: it is told, and the exit code is 3.
    """
    if original and profile:
        raise InvalidRequest("The octets as received are never adapted: give --original or --profile, not both.")
    choice = Choice.of(study=study, sha256=sha256)
    with archive_of(data, config, reading=True) as archive:
        taken = _Taken(archive, original, profile)
        found = _found(archive, uid, all_versions, choice)
        archive.gate.enter(operator(), Action.RETRIEVE).catalogue.notes.read(found)
        if str(output) != "-":
            return _write(taken, found, output, all_versions, as_json)
        if len(found) != 1:
            raise InvalidRequest(
                f"{len(found)} instances answer to this UID, and -o - takes exactly one: name it with --study or --sha256 "
                f"(`vna explain SOP_INSTANCE_UID` lists them), or write all of them into a folder."
            )
        for piece in taken.octets(found[0]):
            sys.stdout.buffer.write(piece)
    return 0


def _write(taken: _Taken, found: Sequence[HeldInstance], output: Path, all_versions: bool, as_json: bool) -> int:
    """Write each into a folder; the exit code."""
    console = Console(stderr=True)
    stems = [_stem(held, all_versions) for held in found]
    folder = OutputFolder(output, stems)
    counts: Counter[str] = Counter()
    for held, stem in zip(found, stems, strict=True):
        line: dict[str, object]
        try:
            file = folder.write(stem, taken.suffix, taken.octets(held))
            line = {"path": str(file.path), "outcome": "written" if file.is_new else "there-already", "sha256": file.sha256}
        except StorageError as error:
            if len(found) == 1:
                raise
            line = {"outcome": "failed", "error": error.as_dict()}
            console.print(f"{held.sop_instance_uid}: {error.message} [{error.code}]", highlight=False)
        counts[str(line["outcome"])] += 1
        if as_json:
            print_json(line | _identified(held))
    console.print(
        f"{counts['written']} written to {output}"
        + (f", {counts['there-already']} were there already" if counts["there-already"] else "")
        + (f", {counts['failed']} could not be read" if counts["failed"] else ""),
    )
    return 3 if counts["failed"] else 0


def _identified(held: HeldInstance) -> dict[str, object]:
    return {
        "study_instance_uid": held.study_instance_uid,
        "series_instance_uid": held.series_instance_uid,
        "sop_instance_uid": held.sop_instance_uid,
        "version": held.version,
    }


def _found(archive: Archive, uid: str, all_versions: bool, choice: Choice) -> list[HeldInstance]:
    catalogue = archive.catalogue
    every = all_versions or choice.is_of_any_version
    for found in (
        catalogue.instances(sop=uid, all_versions=every),
        catalogue.instances(series=uid, all_versions=every),
        catalogue.instances(study=uid, all_versions=every),
    ):
        if found:
            chosen = choice.among(found)
            if not chosen:
                raise NotFound("Something is held under this UID, but not in this study or with this SHA-256.")
            return chosen
    raise NotFound("No study, series or instance has this UID. `vna find` lists what is held.")


class _Taken:
    """The form in which instances are taken out."""

    def __init__(self, archive: Archive, original: bool, profile: str) -> None:
        self._archive = archive
        self._original = original
        self.suffix = ".original.dcm" if original else ".dcm"
        self._egress = Egress(archive.settings.egress, archive.retriever, archive.transcoder)
        self._profile: EgressProfile | None = self._egress.profiles.named(profile) if profile else None

    def octets(self, held: HeldInstance) -> Iterator[bytes]:
        """The file's octets. Raises NotAdaptable before the first where the profile cannot be fulfilled."""
        if self._original:
            return self._archive.retriever.original(held)
        syntaxes = self._egress.transfer_syntaxes(held, self._profile)
        return self._egress.outgoing(held, self._profile).part10(syntaxes[0] if syntaxes else held.transfer_syntax_uid)


def _stem(held: HeldInstance, all_versions: bool) -> str:
    return key_segment(held.sop_instance_uid) + (f".v{held.version}" if all_versions else "")
