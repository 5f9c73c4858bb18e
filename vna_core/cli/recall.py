"""``vna recall``: bring studies back from archive tiers before somebody asks for their images."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from vna_core.bootstrap import Archive
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import NotFound

app = typer.Typer(help="Bring studies back from archive tiers before somebody asks for their images.", no_args_is_help=True)

_LOOK_EVERY = 1.0


@app.command(
    "study", epilog="Examples:\n\n`vna recall study 1.2.840.1.2`\n\n`vna recall study 1.2.840.1.2 1.2.840.1.3 --wait 3600`"
)
def study(
    uids: Annotated[list[str], typer.Argument(help="Study Instance UIDs.")],
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait until everything can be read; the worker does the work.")] = 0.0,
) -> None:
    """Recall whole studies, each as one job of the workers. Ends with 3 when something cannot be read yet."""
    with archive_of(data, config) as archive:
        nearline = {uid: _nearline(archive, uid) for uid in uids}
        for uid, count in nearline.items():
            if count:
                archive.availability.recall(uid)
        give_up = time.monotonic() + wait
        while any(nearline.values()) and time.monotonic() < give_up:
            time.sleep(_LOOK_EVERY)
            nearline = {uid: _nearline(archive, uid) for uid in uids}
    for uid, count in nearline.items():
        if as_json:
            print_json({"study_instance_uid": uid, "nearline": count})
        else:
            waiting = f"{count} instances are being recalled by the workers (`vna serve`, or `vna jobs run`)"
            sys.stdout.write(f"{uid}: {waiting if count else 'everything can be read'}\n")
    if any(nearline.values()):
        raise typer.Exit(3)


def _nearline(archive: Archive, uid: str) -> int:
    """Instances of a study that cannot be read before they are recalled. Raises NotFound."""
    held = archive.catalogue.instances(study=uid)
    if not held:
        raise NotFound("Nothing is held under this UID.", study_instance_uid=uid)
    return sum(one.nearline for one in held)
