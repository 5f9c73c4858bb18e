"""``vna reject``: instances that must not be used any more."""

from __future__ import annotations

from typing import Annotated

import typer

from vna_core.bootstrap import Archive
from vna_core.cli.console import Console
from vna_core.cli.delete import By, Reason, Uid, deleting_of, whoever
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.corrections import Rejection
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.stewardship import Extent

app = typer.Typer(
    help="Reject instances (IHE IOCM): hidden here and in the members that are told, never purged, taken back with `vna undelete`.",
    no_args_is_help=True,
)

Title = Annotated[str, typer.Option("--title", "-t", help=f"Why: {', '.join(one.word for one in Rejection)} (PS3.16 CID 7011).")]


def _reject(level: Extent, uid: str, title: str, reason: str, by: str, archive: Archive, as_json: bool) -> None:
    with archive:
        chosen = Rejection.of_word(title)
        if chosen is None:
            raise InvalidRequest(f"--title {title!r}: {', '.join(one.word for one in Rejection)}.")
        done = deleting_of(archive).delete(level, uid, reason, whoever(by), rejection=chosen)
    if as_json:
        print_json(done.as_dict())
        return
    Console().print(f"{done.id}: {done.versions} versions rejected. `vna undelete {done.id}` takes it back.")


@app.command("study", epilog="Example:\n\n`vna reject study 1.2.3 --title worklist --reason 'other patient on the table'`")
def study(
    uid: Uid, title: Title, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Reject a study."""
    _reject(Extent.STUDY, uid, title, reason, by, archive_of(data, config), as_json)


@app.command("series", epilog="Example:\n\n`vna reject series 1.2.3.4 --title quality --reason 'moved'`")
def series(
    uid: Uid, title: Title, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Reject a series."""
    _reject(Extent.SERIES, uid, title, reason, by, archive_of(data, config), as_json)


@app.command("instance", epilog="Example:\n\n`vna reject instance 1.2.3.4.5 --title patient-safety --reason 'wrong side marked'`")
def instance(
    uid: Uid, title: Title, reason: Reason, by: By = "", data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Reject an instance with all its versions."""
    _reject(Extent.INSTANCE, uid, title, reason, by, archive_of(data, config), as_json)
