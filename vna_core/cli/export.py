"""``vna export``: what is held, as arrays and tables for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from vna_core.bootstrap import Archive
from vna_core.cli.console import Console
from vna_core.cli.find import conditions_of
from vna_core.cli.options import AsJson, Config, Data, archive_of, print_json
from vna_core.domain.errors import NotFound
from vna_core.domain.identifiers import key_segment
from vna_core.stewardship.patient_identity import parse_key

app = typer.Typer(help="Write what is held as arrays and tables for other tools.", no_args_is_help=True)


def _series_of(archive: Archive, uid: str) -> list[tuple[str, str, str | None]]:
    """Study, series and SOP Instance UID (None: the whole series) of what a UID names."""
    found = archive.catalogue.instances(sop=uid)
    if found:
        return [(found[0].study_instance_uid, found[0].series_instance_uid, uid)]
    for held in (archive.catalogue.instances(series=uid), archive.catalogue.instances(study=uid)):
        if held:
            return [(*one, None) for one in dict.fromkeys((one.study_instance_uid, one.series_instance_uid) for one in held)]
    raise NotFound("No study, series or instance has this UID. `vna find` lists what is held.")


@app.command(
    "zarr",
    epilog="Examples:\n\n`vna export zarr 1.2.840.113619.2.7 -o volume.zarr`\n\n"
    "`vna export zarr 1.2.840.113619.2.1 -o study/` writes one folder for each series of a study\n\n"
    "`vna export zarr 1.2.840.113619.2.7 -o volume.zarr --patient 0042^^^HOSPITAL_A`",
)
def zarr_(
    uid: Annotated[str, typer.Argument(help="Study, Series or SOP Instance UID.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; for a study, a folder of folders.")],
    patient: Annotated[
        str | None, typer.Option("--patient", help="ID^^^ISSUER of the patient that is meant, where several have the UID.")
    ] = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the pixels of a series as OME-Zarr 0.5: stored values, decoded, compressed without loss, with axes and spacing."""
    owner = None if patient is None else parse_key(patient)
    from vna_core.access.arrays import SeriesArrays  # here: zarr takes long to load
    from vna_core.access.arrays.export import export_zarr

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        archive_of(data, config, reading=True) as archive,
        Progress(*columns, console=Console(stderr=True), disable=as_json) as bar,
    ):
        wanted = _series_of(archive, uid)
        whole_study = len(wanted) > 1 or (wanted[0][2] is None and wanted[0][0] == uid)
        for study, series, sop in wanted:
            target = output / key_segment(series) if whole_study else output
            try:
                if sop is None:
                    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, study, series, patient=owner)
                else:
                    arrays = SeriesArrays.of_instance(archive.catalogue, archive.retriever, study, series, sop, owner)
            except NotFound:
                if len(wanted) == 1:
                    raise
                continue  # a series of documents beside the images
            task = bar.add_task(series[-24:], total=arrays.octets)
            octets = export_zarr(arrays, target, lambda more, task=task: bar.advance(task, more))  # type: ignore[misc]
            if as_json:
                print_json(
                    {"path": str(target), "series_instance_uid": series, "pictures": len(arrays.pictures), "octets": octets}
                )


@app.command(
    "index",
    epilog="Examples:\n\n`vna export index -o index.parquet`\n\n`vna export index -o ct.parquet --without-persons Modality=CT`",
)
def index(
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    keys: Annotated[list[str] | None, typer.Argument(help="KEYWORD=VALUE, as `vna find` takes them.")] = None,
    without_persons: Annotated[
        bool, typer.Option("--without-persons", help="Leave out attributes that name or describe patients and other persons.")
    ] = False,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write all indexed attributes as Parquet, one row per instance. Without `--without-persons` it holds patient data."""
    from vna_core.access.index_export import export_index  # here: an extra that nothing else needs

    conditions = conditions_of(keys or ())
    columns = (TextColumn("{task.completed} rows"), BarColumn())
    with (
        archive_of(data, config, reading=True) as archive,
        Progress(*columns, console=Console(stderr=True), disable=as_json) as bar,
    ):
        task = bar.add_task("rows", total=None if conditions else archive.catalogue.statistics().instances)
        progress = lambda more: bar.advance(task, more)  # noqa: E731 - the bar wants its task, the export knows none
        rows = export_index(archive.catalogue, output, conditions, persons=not without_persons, progress=progress)
    if as_json:
        print_json({"path": str(output), "rows": rows})
