"""``vna plugin new pacs`` writes a project that passes the kit as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vna_core.testing.plugin_projects import write_project


def test_a_generated_adapter_passes_the_kit(tmp_path: Path) -> None:
    project = tmp_path / "project"
    write_project("pacs", "site-vendor", project)
    metadata = project / "vna_pacs_site_vendor-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vna-pacs-site-vendor\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text("[vna.plugins]\nsite-vendor = vna_pacs_site_vendor\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={project}", "tests"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
