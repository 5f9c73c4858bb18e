"""The Zarr codec ``vna.dicom_frame``: one DICOM frame, as DICOM stores it, to samples.

Readers find it through the entry point group ``zarr.codecs``; native frames of whole octets do not need it. Decoding runs in the reader's
own process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer

from vna_core.access.arrays.metadata import CODEC
from vna_core.access.decode_codecs import PixelDescription, decode
from vna_core.access.sample_bits import SampleBits, Samples
from vna_core.domain.errors import DecodeError

MAX_SAMPLES: Final = 1 << 30
"""Most samples of one frame: what a chunk of the declared shape cannot exceed in practice, whatever a codestream claims."""


@dataclass(frozen=True)
class DicomFrameCodec(ArrayBytesCodec):  # type: ignore[misc]
    """Decodes frames of one transfer syntax; arrays it makes are read-only.

    Parameters
    ----------
    transfer_syntax_uid
        How the frame is encoded (PS3.5 annex A).
    description
        The Image Pixel module of the frame (PS3.3 C.7.6.3).
    high_bit
        0-based number of a sample's highest bit; None for right-aligned samples.
    """

    transfer_syntax_uid: str
    description: PixelDescription
    high_bit: int | None = None

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """From the array's metadata. Raises ValueError for a configuration that is none of ours."""
        configuration = dict(data.get("configuration") or {})
        syntax, high_bit = configuration.pop("transfer_syntax_uid", ""), configuration.pop("high_bit", None)
        try:
            return cls(str(syntax), PixelDescription(**configuration), None if high_bit is None else int(high_bit))
        except TypeError as error:
            raise ValueError(f"The configuration of the codec {CODEC} is not complete: {error}.") from error

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the array's metadata."""
        more = {} if self.high_bit is None else {"high_bit": self.high_bit}
        return {
            "name": CODEC,
            "configuration": {"transfer_syntax_uid": self.transfer_syntax_uid, **asdict(self.description), **more},
        }

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known beforehand."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        dtype = chunk_spec.dtype.to_native_dtype()
        samples = await asyncio.to_thread(self.decoded, chunk_bytes.to_bytes(), chunk_spec.shape, dtype)
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(samples)

    def decoded(self, frame: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Samples:
        """Samples of one frame in the shape and type of its chunk. Raises DecodeError."""
        cells, _ = decode(self.transfer_syntax_uid, frame, self.description, MAX_SAMPLES)
        if cells.size != np.prod(shape):
            raise DecodeError("The frame has not as many samples as its chunk.")
        bits = SampleBits.of(self.description, self.high_bit)
        cells = cells.reshape(shape).astype(dtype, copy=False)
        return cells if bits is None else bits.of_cells(cells)

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError("Arrays of DICOM frames are read-only.")
