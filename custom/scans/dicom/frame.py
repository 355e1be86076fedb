"""What the headers of a DICOM stack say: its frames, where they lie, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["DicomStack", "Frame"]


@dataclass(frozen=True)
class Frame:
    """One image plane: a classic file, or one frame of a multi-frame file.

    Attributes:
        path: the file.
        number: 0-based frame within the file.
        position: ImagePositionPatient, centre of the first voxel, LPS mm.
        orientation: ImageOrientationPatient: unit vectors along a row (to higher columns) and along a column.
        pixel_spacing: mm between rows, mm between columns (PixelSpacing's order).
        slope: units per stored value.
        intercept: units of the stored value 0.
        value: on the axis of frames: trigger, acquisition or echo time (ms), or an index; None for a single frame.
        sop_uid: SOPInstanceUID of the file.
        slice_thickness: mm, 0 where it is not given.
        spacing_between_slices: mm, 0 where it is not given.
        image_type: ImageType or FrameType, which tells magnitude from phase.
        labels: numbers that may tell the frames of a slice apart ("echo_time", "trigger_time", ...), as far as given.
    """

    path: Path
    number: int
    position: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float]
    pixel_spacing: tuple[float, float]
    slope: float = 1.0
    intercept: float = 0.0
    value: float | None = None
    sop_uid: str = ""
    slice_thickness: float = 0.0
    spacing_between_slices: float = 0.0
    image_type: tuple[str, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class DicomStack:
    """Frames that make up one scan, in order; read from headers, without the pixels.

    Attributes:
        frames: [slice k][frame t]; k ascends along the normal (row direction x column direction), every slice has the
            same number of frames.
        enhanced: one Enhanced multi-frame file, rather than a classic file for each frame.
        series_uid: SeriesInstanceUID.
        rows: size of the axis j.
        columns: size of the axis i.
        affine: 4x4 float64, voxel index (column i, row j, slice k) to RAS+ mm.
        frame_axis: "" for one frame, else "time", "echo" or "frame".
        frame_values: one number for each frame, the mean of `Frame.value` over the slices.
        slice_thickness: mm, 0 where it is not given.
        photometric: "MONOCHROME1" (low values are shown bright) or "MONOCHROME2".
        stored_dtype: numpy name of the stored type, such as "int16".
        frames_per_file: how many frames each file holds, those of other kinds of image included.
        notes: what is odd, in words; logged as warnings when the voxels are read.
    """

    frames: tuple[tuple[Frame, ...], ...]
    enhanced: bool
    series_uid: str
    rows: int
    columns: int
    affine: np.ndarray
    frame_axis: str = ""
    frame_values: tuple[float, ...] = (0.0,)
    slice_thickness: float = 0.0
    photometric: str = "MONOCHROME2"
    stored_dtype: str = "uint16"
    frames_per_file: int = 1
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, each once, in the order of slices and then frames."""
        return tuple(dict.fromkeys(frame.path for row in self.frames for frame in row))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Sizes of the axes i, j, k."""
        return self.columns, self.rows, len(self.frames)
