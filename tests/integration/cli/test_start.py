"""What a command loads before it does anything: users wait for it each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.peers.archive import vna
from vna_core.cli.application import COMMANDS, MIGRATE, app, run

SERVERS = {"starlette", "uvicorn", "uvloop", "pynetdicom"}
CLOUDS = {"fsspec", "aiohttp", "s3fs", "adlfs", "botocore", "requests", "httpx", "httpx2"}
PIXELS = {"numpy", "pydicom", "PIL", "zarr", "imagecodecs"}
OTHER_DATABASES = {"alembic", "psycopg", "sqlalchemy.dialects.postgresql"}
WITHOUT_A_FILE = {"yaml"}
NEEDED_BY_FEW = SERVERS | CLOUDS | PIXELS | OTHER_DATABASES | WITHOUT_A_FILE
NEEDED_WITH_AN_ARCHIVE = {"sqlalchemy", "structlog", "vna_core.bootstrap", "vna_core.ingest", "vna_core.catalogue"}


def loaded(*arguments: str) -> set[str]:
    """Modules that one command leaves in memory."""
    code = (
        "import sys\nfrom vna_core.cli.application import run\n"
        "ended = run(sys.argv[1:])\nsys.stderr.write('\\n'.join(sys.modules))\nsys.exit(ended)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stderr.splitlines())


SERVE = ("serve", "--http", "127.0.0.1:0", "--dimse", "127.0.0.1:0")


@pytest.mark.parametrize("command", [("stats",), ("ingest", "."), SERVE, ("place", "status")], ids=lambda words: words[0])
@pytest.mark.parametrize("below", ["", "x"])
def test_a_data_folder_that_is_none_is_told_in_one_line(
    command: tuple[str, ...], below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    folder = taken / below
    assert run([*command, "--data", str(folder)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"{folder} cannot be the data folder" in line


def test_a_command_that_opens_no_archive_loads_none_of_it() -> None:
    assert not loaded("--version") & (NEEDED_BY_FEW | NEEDED_WITH_AN_ARCHIVE)


@pytest.mark.parametrize("group", [("--help",), ("migrate", "--help")], ids=lambda words: words[0])
def test_a_list_of_commands_loads_none_of_them(group: tuple[str, ...]) -> None:
    assert not loaded(*group) & (NEEDED_BY_FEW | NEEDED_WITH_AN_ARCHIVE)


@pytest.mark.parametrize("command", [("stats",), ("find", "PatientID=1"), ("migrate", "status")], ids=lambda words: words[0])
def test_a_command_that_asks_the_catalogue_loads_neither_servers_nor_clouds_nor_pixels(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    modules = loaded(*command, "--json", "--data", str(tmp_path))
    assert modules >= NEEDED_WITH_AN_ARCHIVE, "the names that this looks for are those of modules"
    assert not modules & NEEDED_BY_FEW


@pytest.mark.parametrize("source", ["bogus://OLDPACS@127.0.0.1:104", "dimse://127.0.0.1:104", "no/such/folder"])
def test_a_source_that_cannot_be_one_is_told_before_anything_is_made(source: str, tmp_path: Path) -> None:
    code, lines, error = vna("migrate", "run", source, data=tmp_path / "data")
    assert (code, lines) == (2, [])
    assert error.startswith("vna: ") and "Traceback" not in error
    assert not (tmp_path / "data").exists()


def test_every_command_is_where_the_table_says_and_says_of_itself_what_the_table_does() -> None:
    every: Any = typer.main.get_command(app)
    for group, places in ((every, COMMANDS), (every.commands["migrate"], MIGRATE)):
        for name, place in places.items():
            assert group.commands[name].help.split("\n\n")[0] == place.summary, name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fnd",), "Did you mean 'find'?"),
        (("find", "--bogus"), "No such option: --bogus"),
        (("find", "--limit", "many"), "--limit"),
        (("migrate", "rum"), "Did you mean 'run'"),
    ],
)
def test_a_mistyped_command_is_one_line_and_code_2(arguments: tuple[str, ...], says: str) -> None:
    code, _, error = vna(*arguments)
    assert code == 2
    assert says in error and "Traceback" not in error


def test_the_audit_trail_names_the_command(tmp_path: Path) -> None:
    assert vna("quarantine", "list", data=tmp_path)[0] == 0
    _, events, _ = vna("audit", "list", data=tmp_path)
    assert any("vna quarantine list" in str(event) for event in events)
