"""What lies in folders that are offered: nothing is passed over without a word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vna_core.dicom.offered_files import offered_files


@pytest.mark.parametrize("closed", ["", "a", "c"])
def test_a_folder_that_cannot_be_listed_is_an_item_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.dcm").write_bytes(b"x")
    list_folder, refused = os.scandir, str(tmp_path / closed)

    def refusing(path: str) -> Any:
        if str(path) == refused:
            raise PermissionError(13, "Permission denied", refused)  # what other accounts than the administrator's get
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = list(offered_files([tmp_path]))
    [told] = [one for one in found if one.error is not None]
    assert told.path == refused
    assert told.error is not None
    assert "Permission denied" in told.error.message
    assert len(found) == (3 if closed else 1)


def test_links_to_folders_are_told_and_never_followed(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    for one in (folder, other):
        one.mkdir()
        (one / "1.dcm").write_bytes(b"x")
    (folder / "all").symlink_to(folder)
    (folder / "other").symlink_to(other)
    assert [one.path for one in offered_files([folder, other])] == [str(folder / "1.dcm"), str(other / "1.dcm")]
    told = [one for one in offered_files([folder]) if one.error is not None]
    assert [one.path for one in told] == [str(folder / "other")]


def test_folders_left_out_are_not_entered_but_may_be_offered(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "1.dcm").write_bytes(b"x")
    assert list(offered_files([tmp_path], but=[own])) == []
    assert [one.path for one in offered_files([own], but=[own])] == [str(own / "1.dcm")]
