"""``vna keep``: which of several versions is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from vna_core.access.choice import Choice
from vna_core.bootstrap import Archive
from vna_core.cli.console import Console
from vna_core.cli.delete import By, Reason, Uid, deleting_of, whoever
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.instance import HeldInstance
from vna_core.domain.stewardship import Extent
from vna_core.stewardship.settling import all_but, others

app = typer.Typer(
    help="Say which of several versions under one SOP Instance UID is right: the others are set aside, and taken back with `vna undelete`.",
    no_args_is_help=True,
)


def _keep(archive: Archive, uid: str, away: Sequence[HeldInstance], reason: str, by: str, as_json: bool) -> None:
    done = deleting_of(archive).delete(Extent.VERSION, uid, reason, whoever(by), versions=[one.pk for one in away])
    if as_json:
        print_json(done.as_dict())
        return
    one = len({(held.place, held.sop_instance_uid) for held in away})
    instances = f"{one} instances have" if one > 1 else "the instance has"
    console = Console()
    console.print(f"{done.id}: {instances} the version that is right; {done.versions} set aside, {done.size:,} octets")
    console.print(f"`vna undelete {done.id}` takes it back.")


@app.command(
    "instance",
    epilog="Examples:\n\n`vna keep instance 1.2.3.4.5 --version 2 --reason 'corrected at the source'`\n\n"
    "`vna keep instance 1.2.3.4.5 --sha256 3f2a90c1 --reason 'seen by J. Doe'`",
)
def instance(
    uid: Uid,
    reason: Reason,
    version: Annotated[
        str | None, typer.Option("--version", help="Its number, as `vna conflicts` and `vna explain` show it.")
    ] = None,
    study: Annotated[str | None, typer.Option("--study", help="Study Instance UID, where several studies have the UID.")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="SHA-256 of it, the first 8 digits or more.")] = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep one version of an instance, and set the others in its series aside."""
    chosen = Choice.of(version, study, sha256)
    if not chosen.is_of_any_version:
        raise InvalidRequest("Say which version is right, with --version or --sha256.")
    with archive_of(data, config) as archive:
        versions = archive.catalogue.versions(uid)
        _keep(archive, uid, others(versions, chosen.among(versions)), reason, by, as_json)


@app.command(
    "study",
    epilog="Example:\n\n`vna keep study 1.2.3 --latest --reason 'corrected at the source, fetched again by the migration'`",
)
def study(
    uid: Uid,
    reason: Reason,
    latest: Annotated[
        bool | None,
        typer.Option("--latest/--first", help="Of each instance with several versions, the one that came last, or first."),
    ] = None,
    by: By = "",
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Keep, of every instance of a study that has several versions, the one that came last or first."""
    if latest is None:
        raise InvalidRequest("Say which versions are right, with --latest or --first.")
    with archive_of(data, config) as archive:
        held = archive.catalogue.instances(study=uid, all_versions=True)
        if not held:
            raise NotFound("No study is held under this UID.")
        _keep(archive, uid, all_but(held, latest=latest), reason, by, as_json)
