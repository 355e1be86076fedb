"""Small made-up DICOM files with closed-form content: voxel (i, j, k) of frame t holds i + 10 j + 100 k + 1000 t."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

__all__ = ["OBLIQUE", "Layout", "content", "rotated", "save", "write_classic", "write_enhanced", "write_source"]

CLASSIC = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"
# About 20 degrees about one axis and 30 about another.
OBLIQUE = (0.8660254, 0.5, 0.0, -0.4698463, 0.8137977, 0.3420201)


@dataclass(frozen=True)
class Layout:
    """Where the voxels of a made-up scan are and what is written of it.

    Attributes:
        shape: columns i, rows j, slices k.
        frames: frames at each place.
        axis: "time" (TriggerTime), "echo", "acquisition" (AcquisitionTime), "repeat" (InstanceNumber only).
        origin: ImagePositionPatient of the first slice, LPS mm.
        orientation: ImageOrientationPatient.
        spacing: mm between columns (i), between rows (j), between slices (k).
        tilt: mm that each slice is shifted along the row direction against the one before.
        slopes: RescaleSlope, one for each slice in turn; None writes none.
        intercept: RescaleIntercept.
        dtype: stored type.
    """

    shape: tuple[int, int, int] = (6, 5, 4)
    frames: int = 1
    axis: str = "time"
    origin: tuple[float, float, float] = (-20.5, 31.25, 7.0)
    orientation: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    spacing: tuple[float, float, float] = (0.75, 1.5, 4.0)
    tilt: float = 0.0
    slopes: tuple[float, ...] | None = (1.0,)
    intercept: float = 0.0
    dtype: str = "uint16"

    @property
    def row(self) -> np.ndarray:
        """Unit vector to higher columns, LPS."""
        return np.array(self.orientation[:3], dtype=float)

    @property
    def column(self) -> np.ndarray:
        """Unit vector to higher rows, LPS."""
        return np.array(self.orientation[3:], dtype=float)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector to higher slices, LPS."""
        return np.cross(self.row, self.column)

    def position(self, k: int) -> np.ndarray:
        """ImagePositionPatient of slice k."""
        return np.array(self.origin) + k * (self.spacing[2] * self.normal + self.tilt * self.row)

    def world(self, i: float, j: float, k: int) -> np.ndarray:
        """RAS mm of a voxel by PS3.3 C.7.6.2.1.1, without an affine."""
        lps = self.position(k) + self.row * self.spacing[0] * i + self.column * self.spacing[1] * j
        return lps * (-1, -1, 1)

    def slope(self, k: int) -> float:
        """RescaleSlope of slice k."""
        return self.slopes[k % len(self.slopes)] if self.slopes else 1.0

    def frame_value(self, t: int, k: int = 0) -> float:
        """What tells frame t from the others: ms of the trigger (a little later in higher slices) or of the echo."""
        return {"time": 25.0 + 40.0 * t + 0.5 * k, "echo": 4.6 + 9.2 * t, "acquisition": 2500.0 * t}.get(
            self.axis, float(t)
        )


def content(layout: Layout) -> np.ndarray:
    """Return what a reader has to give: float32 (i, j, k), or (i, j, k, t) for several frames."""
    stored = _stored(layout)
    slopes = np.array([layout.slope(k) for k in range(layout.shape[2])])
    values = (stored * slopes[:, None] + layout.intercept).astype(np.float32)
    return values[..., 0] if layout.frames == 1 else values


def _stored(layout: Layout) -> np.ndarray:
    i, j, k, t = np.indices((*layout.shape, layout.frames))
    values = i + 10 * j + 100 * k + 1000 * t
    return (values % 251 if np.dtype(layout.dtype).itemsize == 1 else values).astype(layout.dtype)


def rotated(rng_or_angles: Sequence[float]) -> tuple[float, ...]:
    """Return an ImageOrientationPatient turned by three angles (rad) about x, y and z."""
    a, b, c = rng_or_angles
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned = z @ y @ x
    return (*turned[:, 0].tolist(), *turned[:, 1].tolist())


def save(data: Dataset, path: Path) -> Path:
    """Write a data set with file meta, with pydicom 2 or 3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if int(pydicom.__version__.split(".")[0]) >= 3:
        data.save_as(path, enforce_file_format=True)
    else:
        syntax = data.file_meta.TransferSyntaxUID
        data.is_little_endian, data.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
        data.save_as(path, write_like_original=False)
    return path


def write_classic(
    folder: Path,
    layout: Layout | None = None,
    series_number: int = 3,
    description: str = "t2_tse_sag",
    image_type: Sequence[str] = ("ORIGINAL", "PRIMARY", "M", "NONE"),
    syntax: str = ExplicitVRLittleEndian,
    change: Callable[[Dataset, int, int], Dataset | None] | None = None,
    study: str = "1.2.826.0.1.3680043.8.498.1",
) -> list[Path]:
    """Write a file for each slice and frame; names and InstanceNumbers run against the order of slices.

    Args:
        folder: made if need be.
        layout: what to write.
        series_number: SeriesNumber; the SeriesInstanceUID follows from it and the study.
        description: SeriesDescription.
        image_type: ImageType.
        syntax: an uncompressed transfer syntax.
        change: called with (data set, slice, frame) before writing; changes it, or returns None to leave the file out.
        study: StudyInstanceUID.

    Returns:
        The files, slice by slice and frame by frame.
    """
    layout = layout or Layout()
    stored = _stored(layout)
    paths = []
    count = layout.shape[2] * layout.frames
    for k in range(layout.shape[2]):
        for t in range(layout.frames):
            number = count - (k * layout.frames + t)
            data = _common(CLASSIC, syntax, study, series_number, description, number)
            data.ImageType = list(image_type)
            _classic_fields(data, layout, k, t)
            _pixels(data, stored[:, :, k, t].T[None], syntax)
            written = change(data, k, t) if change else data
            if written is None:
                continue
            paths.append(save(written, folder / f"IM-{series_number:03d}-{number:04d}.dcm"))
    return paths


def write_enhanced(
    path: Path,
    layout: Layout | None = None,
    series_number: int = 4,
    description: str = "t2_tse_sag",
    frame_types: Sequence[Sequence[str]] = (("ORIGINAL", "PRIMARY", "M", "NONE"),),
    change: Callable[[Dataset], Dataset | None] | None = None,
    study: str = "1.2.826.0.1.3680043.8.498.1",
) -> Path:
    """Write an Enhanced MR file, its frames in an order of their own: frames at one place together, slices backwards.

    With several frame types each frame is written once for each; those after the first hold the values plus 7.
    """
    layout = layout or Layout()
    stored = _stored(layout)
    data = _common(ENHANCED, ExplicitVRLittleEndian, study, series_number, description, 1)
    data.ImageType = list(frame_types[0])
    for keyword, value in (
        ("PixelPresentation", "MONOCHROME"),
        ("VolumetricProperties", "VOLUME"),
        ("VolumeBasedCalculationTechnique", "NONE"),
        ("ComplexImageComponent", "MAGNITUDE"),
        ("AcquisitionContrast", "T2"),
        ("AcquisitionDateTime", "20240229120000"),
        ("AcquisitionDuration", 1000.0),
        ("ContentQualification", "RESEARCH"),
        ("ResonantNucleus", "1H"),
    ):
        setattr(data, keyword, value)
    planes, groups = [], []
    for k in reversed(range(layout.shape[2])):
        for t in range(layout.frames):
            for n, frame_type in enumerate(frame_types):
                planes.append(stored[:, :, k, t].T + (7 if n else 0))
                groups.append(_groups(layout, k, t, frame_type, n))
    data.SharedFunctionalGroupsSequence = Items([_groups_of_all(layout)])
    data.PerFrameFunctionalGroupsSequence = Items(groups)
    data.NumberOfFrames = len(planes)
    _pixels(data, np.stack(planes).astype(layout.dtype), ExplicitVRLittleEndian)
    written = change(data) if change else data
    return save(written if written is not None else data, path)


def _common(sop_class: str, syntax: str, study: str, series_number: int, description: str, number: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    series = f"{study}.{series_number}"
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    encoding = pydicom.uid.UID(syntax)
    data = FileDataset(
        "",
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=encoding.is_implicit_VR,
        is_little_endian=encoding.is_little_endian,
    )
    for keyword, value in {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": f"{series}.{number}",
        "StudyDate": "20240229",
        "SeriesDate": "20240229",
        "AcquisitionDate": "20240229",
        "ContentDate": "20240229",
        "StudyTime": "115500",
        "SeriesTime": "115800",
        "AcquisitionTime": "120000",
        "ContentTime": "120000",
        "AccessionNumber": "",
        "Modality": "MR",
        "Manufacturer": "Made up",
        "ManufacturerModelName": "None",
        "DeviceSerialNumber": "0",
        "SoftwareVersions": "0",
        "ReferringPhysicianName": "",
        "StudyDescription": "made up",
        "SeriesDescription": description,
        "PatientName": "Made^Up",
        "PatientID": "MADE-UP",
        "PatientBirthDate": "",
        "PatientSex": "O",
        "BodyPartExamined": "KNEE",
        "PatientPosition": "HFS",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": series,
        "StudyID": "1",
        "SeriesNumber": series_number,
        "AcquisitionNumber": 1,
        "InstanceNumber": number,
        "FrameOfReferenceUID": f"{study}.0",
        "PositionReferenceIndicator": "",
        "MagneticFieldStrength": "3",
        "SliceThickness": "4",
    }.items():
        setattr(data, keyword, value)
    return data


def _classic_fields(data: Dataset, layout: Layout, k: int, t: int) -> None:
    data.ImagePositionPatient = [_decimal(x) for x in layout.position(k)]
    data.ImageOrientationPatient = [_decimal(x) for x in layout.orientation]
    data.PixelSpacing = [_decimal(layout.spacing[1]), _decimal(layout.spacing[0])]
    data.SliceThickness = _decimal(layout.spacing[2])
    data.SpacingBetweenSlices = _decimal(layout.spacing[2])
    # As in many real files: no distance along the normal.
    data.SliceLocation = _decimal(-2.5 * k)
    data.ScanningSequence = "SE"
    data.SequenceVariant = "SK"
    data.ScanOptions = ""
    data.MRAcquisitionType = "2D"
    data.RepetitionTime = "2450"
    data.EchoTime = _decimal(layout.frame_value(t) if layout.axis == "echo" else 6.3)
    data.EchoNumbers = t + 1 if layout.axis == "echo" else 1
    data.EchoTrainLength = 1
    if layout.axis == "time":
        data.TriggerTime = _decimal(layout.frame_value(t, k))
    if layout.axis == "acquisition":
        seconds = layout.frame_value(t) / 1000 + 0.1 * k
        data.AcquisitionTime = f"1200{seconds:09.6f}"
    if layout.slopes is not None:
        data.RescaleSlope = _decimal(layout.slope(k))
        data.RescaleIntercept = _decimal(layout.intercept)
        data.RescaleType = "US"
    data.WindowCenter = "500"
    data.WindowWidth = "1000"


def _groups(layout: Layout, k: int, t: int, frame_type: Sequence[str], kind: int) -> Dataset:
    group = Dataset()
    place, plane, frame, echo, values, cycle, image = (Dataset() for _ in range(7))
    place.ImagePositionPatient = [_decimal(x) for x in layout.position(k)]
    group.PlanePositionSequence = Items([place])
    plane.ImageOrientationPatient = [_decimal(x) for x in layout.orientation]
    group.PlaneOrientationSequence = Items([plane])
    frame.StackID = "1"
    frame.InStackPositionNumber = k + 1
    frame.TemporalPositionIndex = t + 1 if layout.axis == "time" else 1
    frame.DimensionIndexValues = [k + 1, t + 1, kind + 1]
    frame.FrameAcquisitionDateTime = "20240229120000"
    frame.FrameReferenceDateTime = "20240229120000"
    if layout.axis == "acquisition":
        frame.FrameReferenceDateTime = f"202402291200{layout.frame_value(t) / 1000 + 0.1 * k:09.6f}"
    frame.FrameAcquisitionDuration = 10.0
    group.FrameContentSequence = Items([frame])
    echo.EffectiveEchoTime = layout.frame_value(t) if layout.axis == "echo" else 6.3
    group.MREchoSequence = Items([echo])
    values.RescaleSlope = _decimal(layout.slope(k))
    values.RescaleIntercept = _decimal(layout.intercept)
    values.RescaleType = "US"
    group.PixelValueTransformationSequence = Items([values])
    if layout.axis == "time":
        cycle.NominalCardiacTriggerDelayTime = layout.frame_value(t, k)
        group.CardiacSynchronizationSequence = Items([cycle])
    image.FrameType = list(frame_type)
    image.PixelPresentation = "MONOCHROME"
    image.VolumetricProperties = "VOLUME"
    image.VolumeBasedCalculationTechnique = "NONE"
    image.ComplexImageComponent = "MAGNITUDE" if kind == 0 else "PHASE"
    image.AcquisitionContrast = "T2"
    group.MRImageFrameTypeSequence = Items([image])
    return group


def _groups_of_all(layout: Layout) -> Dataset:
    groups, measures = Dataset(), Dataset()
    measures.PixelSpacing = [_decimal(layout.spacing[1]), _decimal(layout.spacing[0])]
    measures.SliceThickness = _decimal(layout.spacing[2])
    measures.SpacingBetweenSlices = _decimal(layout.spacing[2])
    groups.PixelMeasuresSequence = Items([measures])
    return groups


def _pixels(data: Dataset, planes: np.ndarray, syntax: str) -> None:
    kind = planes.dtype
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = planes.shape[1:]
    data.BitsAllocated = data.BitsStored = 8 * kind.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(kind.kind == "i")
    big = not pydicom.uid.UID(syntax).is_little_endian
    pixels = planes.astype(kind.newbyteorder(">" if big else "<")).tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    data["PixelData"].VR = "OB" if kind.itemsize == 1 else "OW"


def _decimal(value: float) -> str:
    """Write a number in the 16 characters of a DS."""
    return pydicom.valuerep.format_number_as_ds(float(value))


def write_source(folder: Path, layout: Layout, enhanced: bool = False) -> Path:
    """Write a made-up scan and return what is to be read: a folder of single images, or an Enhanced file."""
    if enhanced:
        return write_enhanced(folder / "in.dcm", layout)
    write_classic(folder / "in", layout)
    return folder / "in"
