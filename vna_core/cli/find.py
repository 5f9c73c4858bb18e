"""``vna find``: query the archive."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from vna_core.cli.console import Console, Table
from vna_core.cli.options import AsJson, Config, Data, archive_of, operator, print_json
from vna_core.dicom.dictionary import keyword_of, vr_of
from vna_core.dicom.json_header import encode_attributes
from vna_core.dicom.matching_keys import Manner, condition, goes_through_sequences, in_sequences, path_of
from vna_core.domain.access import Action
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Condition, Level, OfValues, Query

_SHOWN: Final = {
    Level.PATIENT: (0x00100020, 0x00100021, 0x00100010, 0x00100030, 0x00201200),
    Level.STUDY: (0x00100020, 0x00100010, 0x00080020, 0x00080061, 0x00081030, 0x00201208, 0x0020000D),
    Level.SERIES: (0x00080060, 0x00200011, 0x0008103E, 0x00201209, 0x0020000E),
    Level.IMAGE: (0x00080016, 0x00200013, 0x00280008, 0x00080018),
}
_MANNER: Final = Manner(empty=True)
EPILOG = """
Examples:

`vna find PatientID=4711`

`vna find --level series StudyInstanceUID=1.2.3 --json`

`vna find PatientName='DOE^*' StudyDate=20260101-20261231`

`vna find AccessionNumber='""'` (studies without one)

`vna find --level series RequestAttributesSequence.ScheduledProcedureStepID=SPS17`
"""


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("find", epilog=EPILOG)(find)


def find(
    keys: Annotated[
        list[str] | None, typer.Argument(help="KEYWORD=VALUE or GGGGEEEE=VALUE, wildcards and ranges allowed.")
    ] = None,
    level: Annotated[str, typer.Option(help="patient, study, series or image.")] = "study",
    limit: Annotated[int, typer.Option(help="Most rows.", min=1)] = 1000,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Find patients, studies, series or instances."""
    try:
        wanted = Level(level.upper().replace("INSTANCE", "IMAGE"))
    except ValueError as error:
        raise InvalidRequest(f"--level {level!r}: patient, study, series or image.") from error
    conditions = conditions_of(keys or ())
    console = Console()
    with archive_of(data, config, reading=True) as archive:
        view = archive.gate.enter(operator(), Action.QUERY).catalogue
        answer = view.search(Query(wanted, conditions, limit=limit))
        matches: list[dict[str, Any]] = [encode_attributes(match.attributes) for match in answer.matches]
    if answer.unmatched:
        names = ", ".join(f"{tag:08X}" for tag in answer.unmatched)
        sys.stderr.write(f"Not searchable, so ignored: {names}\n")
    if as_json:
        for match in matches:
            print_json(match)
        return
    table = Table(*(_heading(tag) for tag in _SHOWN[wanted]))
    for match in matches:
        table.add_row(*(_cell(match.get(f"{tag:08X}", {})) for tag in _SHOWN[wanted]))
    console.print(table)
    console.print(f"{len(matches)} found" + (f" (the first {limit})" if len(matches) == limit else ""))


def conditions_of(keys: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of every ``KEYWORD=VALUE``; one without a value matches everything. Raises InvalidRequest."""
    made: list[tuple[tuple[int, ...], OfValues]] = []
    for text in keys:
        name, separator, value = text.partition("=")
        try:
            path = path_of(name)
        except InvalidRequest:
            path = ()
        if not separator or not path or not goes_through_sequences(path) or (value and vr_of(path[-1]) == "SQ"):
            raise InvalidRequest(f"{text!r}: expected KEYWORD=VALUE with a keyword of PS3.6, or GGGGEEEE=VALUE.")
        found = condition(path[-1], value, _MANNER)
        if found is not None:
            made.append((path[:-1], found))
    return in_sequences(made)


def _heading(tag: int) -> str:
    return keyword_of(tag) or f"{tag:08X}"


def _cell(element: dict[str, Any]) -> str:
    values = element.get("Value") or ()
    return "\\".join(
        str(v.get("Alphabetic", next(iter(v.values()), ""))) if isinstance(v, dict) else str(v) for v in values if v is not None
    )
