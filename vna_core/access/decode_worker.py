"""The decoding subprocess: ``python -m vna_core.access.decode_worker MEMORY MAX_PIXELS``, jobs on standard input.

Each job is one message as `vna_core.access.decode.pack` makes it; each answer likewise. An image that cannot be decoded is
answered with an error, and no other is decoded behind one at which a codec broke off; whatever goes beyond that (a crash inside a codec, endless work) ends this process alone.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

from vna_core.access import decode_codecs, render_pixels, transcode_header
from vna_core.access.codec_names import ENCODABLE
from vna_core.access.decode_codecs import PixelDescription
from vna_core.access.render_request import Rendering
from vna_core.access.sample_bits import high_bit_of
from vna_core.domain.errors import DecodeError, VnaError

Answer = tuple[dict[str, Any], list[bytes]]


def _render(job: dict[str, Any], blobs: Sequence[bytes], max_pixels: int) -> Answer:
    """An image file of one frame: header octets and codestream in, PNG or JPEG out."""
    data_set = transcode_header.read_shared(blobs[0])
    description = transcode_header.describe(data_set)
    syntax = str(job["transfer_syntax_uid"])
    frame, description = decode_codecs.decode(syntax, blobs[1], description, max_pixels)
    told = data_set.get("HighBit")
    high_bit = high_bit_of(syntax, told if isinstance(told, int) else None)
    return {}, [render_pixels.render(data_set, frame, description, Rendering(**job["rendering"]), high_bit)]


def _header(job: dict[str, Any], blobs: Sequence[bytes], max_pixels: int) -> Answer:
    """The data set before its pixel data as it must read once the pixels are in the target transfer syntax.

    The first frame is decoded to learn what decoding changes (colour space, sample width).
    """
    data_set = transcode_header.read(blobs[0])
    description = transcode_header.describe(data_set)
    after = decode_codecs.decode(str(job["source"]), blobs[1], description, max_pixels)[1]
    if job["target"] in ENCODABLE:
        after = decode_codecs.encoded_label(str(job["target"]), decode_codecs.interleaved(after))
    transcode_header.adjust(data_set, after)
    return {"before": asdict(description), "after": asdict(after)}, [transcode_header.encode(data_set)]


def _frame(job: dict[str, Any], blobs: Sequence[bytes], max_pixels: int) -> Answer:
    """One frame's codestream (or native octets) in another transfer syntax."""
    description = PixelDescription(**job["description"])
    frame, after = decode_codecs.decode(str(job["source"]), blobs[0], description, max_pixels)
    if job["target"] in ENCODABLE:
        return {}, [decode_codecs.encode(str(job["target"]), frame, decode_codecs.interleaved(after))]
    return {"bits_allocated": after.bits_allocated}, [frame.tobytes()]


_JOBS: dict[str, Callable[[dict[str, Any], Sequence[bytes], int], Answer]] = {
    "render": _render,
    "header": _header,
    "frame": _frame,
}


def _exactly(stream: BinaryIO, length: int) -> bytes:
    octets = stream.read(length)
    if len(octets) != length:
        raise EOFError
    return octets


def _answer(job: dict[str, Any], blobs: Sequence[bytes], max_pixels: int) -> Answer:
    try:
        return _JOBS[str(job["job"])](job, blobs, max_pixels)
    except VnaError as error:
        return {"error": {"code": error.code, "message": error.message}}, []
    except MemoryError:
        return {
            "error": {"code": DecodeError.code, "message": "Decoding needs more memory than the limit `decode.memory` allows."}
        }, []
    except ImportError as error:
        return {
            "error": {"code": DecodeError.code, "message": f"The codec needs the extra `codecs` ({error.name} is not installed)."}
        }, []
    except Exception as error:  # noqa: BLE001 - codecs raise types of their own; the image is at fault
        return {"error": {"code": DecodeError.code, "message": _reason(error)}, "spoilt": True}, []


def _reason(error: Exception) -> str:
    """Names the failure without repeating values of the data set."""
    return f"The image cannot be decoded ({type(error).__name__})."


def main() -> None:
    """Serve jobs until standard input ends."""
    memory, max_pixels = int(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            head = json.loads(_exactly(stdin, struct.unpack("<I", _exactly(stdin, 4))[0]))
            blobs = [_exactly(stdin, int(length)) for length in head.pop("blobs")]
        except EOFError:
            return
        answer, results = _answer(head, blobs, max_pixels)
        text = json.dumps({**answer, "blobs": [len(result) for result in results]}).encode()
        stdout.write(struct.pack("<I", len(text)) + text)
        for result in results:
            stdout.write(result)
        stdout.flush()


if __name__ == "__main__":
    main()
