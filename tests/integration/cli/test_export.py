"""``vna export zarr`` where two patients have the same UIDs: nobody's images are mixed, and one is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.unit.arrays.array_samples import SERIES, image
from vna_core.cli.application import run


def test_one_patient_is_named_where_two_have_the_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, source = tmp_path / "data", tmp_path / "in"
    source.mkdir()
    for number, patient in enumerate(("P1", "P2"), 1):
        (source / f"{number}.dcm").write_bytes(image(1, np.full((4, 4), number, "<u2"), PatientID=patient))
    assert run(["ingest", str(source), "--data", str(data), "--json"]) == 0
    capsys.readouterr()
    assert run(["export", "zarr", SERIES, "-o", str(tmp_path / "mixed.zarr"), "--data", str(data)]) != 0
    assert "--patient" in capsys.readouterr().err
    assert not (tmp_path / "mixed.zarr").exists()
    target = tmp_path / "one.zarr"
    assert run(["export", "zarr", SERIES, "-o", str(target), "--patient", "P2", "--data", str(data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 1
    assert np.array_equal(zarr.open_group(target, mode="r")["0/0"][...], np.full((1, 4, 4), 2))  # type: ignore[index]


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, source, taken = tmp_path / "data", tmp_path / "one.dcm", tmp_path / "a file"
    source.write_bytes(image(1, np.zeros((4, 4), "<u2")))
    taken.write_text("no folder")
    assert run(["ingest", str(source), "--data", str(data)]) == 0
    capsys.readouterr()
    below = taken / "below"
    for command in (["export", "zarr", SERIES], ["export", "index"], ["get", SERIES]):
        assert run([*command, "-o", str(below), "--data", str(data)]) == 1
        told = capsys.readouterr()
        last = told.err.splitlines()[-1]
        assert last.startswith("vna: ") and str(taken) in last, told.err
        assert "Traceback" not in told.err
