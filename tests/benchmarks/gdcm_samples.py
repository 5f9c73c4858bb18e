"""What GDCM reads in one file: ``python gdcm_samples.py FILE`` prints shape, type and Bits Stored, then the samples.

A program of its own, run by a Python that has the package python-gdcm: it may crash on odd files without harm.
"""

from __future__ import annotations

import json
import sys

import gdcm  # type: ignore[import-not-found]


def main() -> int:
    """Exit code 1 when GDCM gives no image."""
    reader = gdcm.ImageReader()
    reader.SetFileName(sys.argv[1])
    if not reader.Read():
        return 1
    image = reader.GetImage()
    pixel = image.GetPixelFormat()
    columns, rows = image.GetDimension(0), image.GetDimension(1)
    frames = image.GetDimension(2) if image.GetNumberOfDimensions() > 2 else 1
    octets = image.GetBuffer().encode("utf-8", "surrogateescape")
    kind = (
        "f"
        if pixel.GetScalarType() in (gdcm.PixelFormat.FLOAT32, gdcm.PixelFormat.FLOAT64)
        else "iu"[1 - pixel.GetPixelRepresentation()]
    )
    told = {
        "shape": [frames, rows, columns, pixel.GetSamplesPerPixel()],
        "type": f"<{kind}{max(pixel.GetBitsAllocated() // 8, 1)}",
        "stored": pixel.GetBitsStored(),
        "planar": image.GetPlanarConfiguration(),
    }
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n" + octets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
