"""Real DICOM files that come with a dependency, so that examples and tests have some everywhere."""

from __future__ import annotations

from pathlib import Path

import pydicom.data


def wheel_files() -> list[bytes]:
    """The Part 10 files in the pydicom wheel, small ones first."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    files = sorted((path for path in folder.glob("*.dcm") if path.is_file()), key=lambda path: (path.stat().st_size, path.name))
    return [octets for octets in (path.read_bytes() for path in files) if octets[128:132] == b"DICM"]
