"""AE titles in the configuration: what no association can name is told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from vna_core.configuration import load_settings
from vna_core.domain.errors import ConfigurationError

NODE = {"host": "127.0.0.1", "port": 104}


@pytest.mark.parametrize("title", ["SEVENTEEN_LETTERS", "A\\B", "A ", " A", "", "MÜNCHEN", "A\tB"])
def test_a_title_that_cannot_be_one_is_named_with_its_line(title: str, tmp_path: Path) -> None:
    quoted = title.replace("\\", "\\\\").replace("\t", "\\t")
    path = tmp_path / "vna.yaml"
    path.write_text(f'dimse:\n  port: 104\n  peers:\n    GOOD: {NODE}\n    "{quoted}": {NODE}\n')
    with pytest.raises(ConfigurationError, match="an AE title has") as told:
        load_settings(path, environment={})
    assert str(told.value).startswith(f"{path}:5: ")
    for setting in ("dimse", "federation"):
        path.write_text(f'{setting}:\n  aet: "{quoted}"\n')
        with pytest.raises(ConfigurationError, match="an AE title has") as told:
            load_settings(path, environment={})
        assert str(told.value).startswith(f"{path}:2: ")


def test_a_title_with_a_dot_is_one_key(tmp_path: Path) -> None:
    settings = load_settings(None, {("dimse", "peers", "CT.2 b-c"): NODE}, environment={})
    assert settings.dimse.peers["CT.2 b-c"].port == 104
