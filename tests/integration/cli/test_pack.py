"""``vna pack``, from a folder of slices to a pack that tar lists."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ingest.ct_samples import ct
from vna_core.cli.application import run

Answer = tuple[int, list[dict[str, Any]], str]


@pytest.fixture
def vna(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs a command with --json: exit code, lines of standard output, standard error."""

    def call(*arguments: str, data: Path) -> Answer:
        code = run([*arguments, "--data", str(data), "--json"])
        said = capsys.readouterr()
        return code, [json.loads(line) for line in said.out.splitlines()], said.err

    return call


def test_series_are_sealed_listed_verified_and_compacted(tmp_path: Path, vna: Callable[..., Answer]) -> None:
    data, source = tmp_path / "data", tmp_path / "in"
    source.mkdir()
    for number in (1, 2, 3):
        (source / f"{number}.dcm").write_bytes(ct(number))
    assert vna("ingest", str(source), data=data)[0] == 0
    code, documents, _ = vna("pack", "seal", "--all-settled", data=data)
    assert code == 0 and documents[-1]["summary"] == {"series": 0, "packs": 0, "members": 0, "damaged": 0, "removed": 0}
    series = "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322"
    code, [report, summary], _ = vna("pack", "seal", "--series", series, data=data)
    assert code == 0 and report["members"] == 3 and summary["summary"]["packs"] == 1
    code, [listed], _ = vna("pack", "list", data=data)
    assert (listed["members"], listed["live"], listed["frames"], listed["stores"]) == (3, 3, 3, ["landing"])
    path = data / "store" / listed["key"]
    names = subprocess.run(["tar", "tf", str(path)], capture_output=True, text=True, check=True).stdout.split()
    assert sum(name.endswith(".dcm") for name in names) == 3
    (path.parent / "zarr.json").unlink()
    code, [proof], _ = vna("pack", "verify", data=data)
    assert (code, proof["good"]) == (0, True) and (path.parent / "zarr.json").exists()
    path.chmod(0o600)
    octets = bytearray(path.read_bytes())
    octets[3000] ^= 1
    path.write_bytes(octets)
    code, [proof], _ = vna("pack", "verify", "--series", series, data=data)
    assert (code, proof["good"], len(proof["damaged"])) == (3, False, 1)
    code, [report, _], _ = vna("pack", "compact", "--series", series, data=data)
    assert code == 3 and report["packs"] == [] and len(report["damaged"]) == 1, "there is no other copy to make it anew of"


def test_what_to_seal_must_be_said(tmp_path: Path, vna: Callable[..., Answer]) -> None:
    for arguments in (["seal"], ["seal", "--all-settled", "--study", "1.2"], ["compact"]):
        code, _, error = vna("pack", *arguments, data=tmp_path)
        assert code == 2 and "Say what to" in error
    code, _, error = vna("pack", "seal", "--study", "1.2", data=tmp_path)
    assert code == 1 and "holds no such series" in error
