"""Series and multi-frame instances as Zarr v3 arrays, without copying a pixel (decision D8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vna_core.access.arrays.series import SeriesArrays
from vna_core.access.retrieve import Retriever
from vna_core.catalogue import Catalogue
from vna_core.domain.identifiers import PatientKey

if TYPE_CHECKING:
    import zarr

__all__ = ["SeriesArrays", "open_instance", "open_series"]


def open_series(
    catalogue: Catalogue, retriever: Retriever, study: str, series: str, patient: PatientKey | None = None
) -> zarr.Group:
    """A series as a group of pictures: ``group["0/0"]`` is the largest stack of frames in full resolution.

    Axes, spacing in mm, orientation and rescale are in ``.attrs["dicom"]`` of each array and, as OME-Zarr, of each picture's group.
    Frames that do not fit into one array (localizers, other sizes) are pictures of their own. Values are stored values: apply
    ``rescale_slope`` and ``rescale_intercept`` where they are given. Bits that are no part of a sample are never in a value.

    Parameters
    ----------
    patient
        Whose series it is: needed where several patients have one under the same UIDs.

    Raises
    ------
    NotFound
        Nothing with pixels is held under these UIDs.
    LimitExceeded
        The series has too many frames.
    InvalidRequest
        Several patients have a series under these UIDs, and none is named.
    """
    return _opened(SeriesArrays.of_series(catalogue, retriever, study, series, patient=patient))


def open_instance(
    catalogue: Catalogue, retriever: Retriever, study: str, series: str, sop: str, patient: PatientKey | None = None
) -> zarr.Group:
    """One instance in the same way. Raises NotFound, LimitExceeded, InvalidRequest."""
    return _opened(SeriesArrays.of_instance(catalogue, retriever, study, series, sop, patient))


def _opened(arrays: SeriesArrays) -> zarr.Group:
    import zarr  # here: most of the archive needs no arrays, and this takes long to load

    from vna_core.access.arrays.whole_volumes import FrameGroup
    from vna_core.access.arrays.zarr_store import ArchiveZarrStore

    return FrameGroup(zarr.open_group(ArchiveZarrStore(arrays), mode="r")._async_group)
