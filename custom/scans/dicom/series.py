"""What all images of a derived series share: identity, description, provenance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import generate_uid

from custom.scans.dicom.frame import Frame
from custom.scans.dicom.provenance import Provenance, ascii_text

__all__ = ["SERIES_NUMBER_STEP", "DerivedSeries", "code", "derived_type", "source_reference"]

# Added to the source's SeriesNumber, so that the derived series stands behind the acquired ones.
SERIES_NUMBER_STEP = 1000

_LARGEST_IS = 2**31 - 1
_LONGEST_LO = 64
_LABEL = "super-resolution, not for diagnosis"
_LOSSY_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")


@dataclass(frozen=True)
class DerivedSeries:
    """A derived series: made once, and written into each of its images.

    Attributes:
        provenance: of the model and the software.
        uid: SeriesInstanceUID.
        now: when it is made.
    """

    provenance: Provenance
    uid: str = field(default_factory=generate_uid)
    now: datetime = field(default_factory=lambda: datetime.now(timezone.utc).astimezone())

    def describe(self, image: Dataset) -> None:
        """Turn a copy of a source's header into that of a derived image: its own identity and series."""
        now = self._local_time(image)
        image.SOPInstanceUID = generate_uid()
        image.SeriesInstanceUID = self.uid
        image.SeriesNumber = _series_number(image)
        image.SeriesDescription = _series_description(image)
        for entity in ("Series", "Content", "InstanceCreation"):
            setattr(image, f"{entity}Date", now.strftime("%Y%m%d"))
            setattr(image, f"{entity}Time", now.strftime("%H%M%S"))
        self.describe_derivation(image)
        image.ContributingEquipmentSequence = DicomSequence(
            [*image.get("ContributingEquipmentSequence", []), self._equipment(now)]
        )
        if str(image.file_meta.get("TransferSyntaxUID", "")) in _LOSSY_SYNTAXES:
            image.LossyImageCompression = "01"
        image.BurnedInAnnotation = image.get("BurnedInAnnotation") or "NO"

    def describe_derivation(self, item: Dataset) -> None:
        """Set the elements that say how an image or frame was derived."""
        item.DerivationDescription = self.provenance.description
        item.DerivationCodeSequence = DicomSequence([code("113085", "Spatial resampling")])

    def _equipment(self, now: datetime) -> Dataset:
        made = self.provenance
        item = Dataset()
        item.PurposeOfReferenceCodeSequence = DicomSequence([code("109102", "Processing Equipment")])
        item.Manufacturer = "mri-sr-bundles"
        item.ManufacturerModelName = ascii_text(made.model_name)[:_LONGEST_LO]
        versions = [f"mri-sr-bundles {made.software_version}"]
        versions += [f"model {made.model_version}"] if made.model_version else []
        item.SoftwareVersions = [ascii_text(version)[:_LONGEST_LO] for version in versions]
        item.ContributionDateTime = now.strftime("%Y%m%d%H%M%S%z")
        item.ContributionDescription = made.description
        return item

    def _local_time(self, image: Dataset) -> datetime:
        """Return the time in the time zone of the other times in the header."""
        text = str(image.get("TimezoneOffsetFromUTC", "") or "").strip()
        try:
            minutes = int(text[0] + "1") * (60 * int(text[1:3]) + int(text[3:5]))
            return self.now.astimezone(timezone(timedelta(minutes=minutes)))
        except (ValueError, IndexError):
            return self.now


def code(value: str, meaning: str) -> Dataset:
    """Return a code of the DICOM standard's own scheme, DCM."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item


def source_reference(frame: Frame, sop_class: str, multiframe: bool) -> Dataset:
    """Refer to the image, or frame of an image, that a result was made from."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = frame.sop_uid
    if multiframe:
        item.ReferencedFrameNumber = frame.number + 1
    item.PurposeOfReferenceCodeSequence = DicomSequence([code("121322", "Source image for image processing operation")])
    return item


def derived_type(values: Any, second: str = "SECONDARY") -> list[str]:
    """Return ImageType or FrameType of a derived image: that of the source with its first two values replaced."""
    old = [values] if isinstance(values, str) else list(values or [])
    return ["DERIVED", second, *(str(value) for value in old[2:])]


def _series_number(image: Dataset) -> int:
    try:
        number = int(image.get("SeriesNumber") or 0)
    except (TypeError, ValueError):
        number = 0
    return number + SERIES_NUMBER_STEP if number + SERIES_NUMBER_STEP <= _LARGEST_IS else number % SERIES_NUMBER_STEP


def _series_description(image: Dataset) -> str:
    value = image.get("SeriesDescription") or ""
    words: Iterable[str] = [value] if isinstance(value, str) else map(str, value)
    source = "_".join(words).strip()
    room = _LONGEST_LO - len(_LABEL) - len(": ")
    return f"{source[:room].strip()}: {_LABEL}" if source else _LABEL
