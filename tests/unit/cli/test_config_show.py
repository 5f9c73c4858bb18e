"""``vna config show``: what opens something is not shown, wherever it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vna_core.cli.application import run

CONFIGURATION = """
data: {data}
http: {{tokens: {{rad: '{digest}'}}}}
catalogue: {{url: 'postgresql+psycopg://vna:SECRET@db/vna?sslpassword=SECRET&sslmode=require'}}
stores:
  landing: {{options: {{path: {data}/store}}}}
  cloud: {{type: s3, options: {{bucket: images, access_key: SECRET, secret_key: SECRET, kms_key: alias/images}}}}
  other:
    type: fsspec
    options:
      url: sftp://vna:SEC@RET@host/images
      options: {{key: SECRET, passwd: SECRET, auth: [vna, SECRET], client_kwargs: [{{headers: {{Authorization: SECRET}}}}]}}
sources:
  old: {{url: 'orthanc+http://vna:SECRET@old/', options: {{token: SECRET}}}}
federation:
  members:
    heart:
      url: dicomweb+http://vna:SECRET@heart/dicom-web
      options: {{password: SECRET}}
      corrections: {{all: 'vna+http://vna:SECRET@heart'}}
      corrections_token: SECRET
jobs: {{engine: celery, options: {{broker: 'amqp://vna:SECRET@broker//'}}}}
"""


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["yaml", "json"])
def test_no_secret_is_shown_and_nothing_else_is_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    digest = 64 * "a"
    path = tmp_path / "vna.yaml"
    path.write_text(CONFIGURATION.format(data=tmp_path, digest=digest))
    assert run(["config", "show", "--config", str(path), *form]) == 0
    shown = capsys.readouterr().out
    assert "SEC" not in shown
    assert "RET" not in shown
    assert digest in shown, "a digest opens nothing"
    for rest in ("sslmode=require", "@db/vna", "alias/images", "images", "orthanc+http://vna:", "@heart", "@broker//"):
        assert rest in shown
    if form:
        assert json.loads(shown)["federation"]["members"]["heart"]["corrections_token"] == "(hidden)"
