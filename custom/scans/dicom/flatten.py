"""The header of one frame of an Enhanced MR image as that of a classic MR image."""

from __future__ import annotations

import copy
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

__all__ = ["flat_header", "sequence_items"]

# Element of a functional group -> the classic element of the same meaning and unit.
_RENAMED = {
    "EffectiveEchoTime": "EchoTime",
    "InversionTimes": "InversionTime",
    "TransmitterFrequency": "ImagingFrequency",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "RRIntervalTimeNominal": "NominalInterval",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameType": "ImageType",
    "ResonantNucleus": "ImagedNucleus",
}
_SAME = (
    "AnatomicRegionSequence",
    "EchoTrainLength",
    "FlipAngle",
    "NumberOfAverages",
    "PercentPhaseFieldOfView",
    "PercentSampling",
    "PixelBandwidth",
    "ReceiveCoilName",
    "RepetitionTime",
    "RescaleType",
    "TransmitCoilName",
    "WindowCenter",
    "WindowCenterWidthExplanation",
    "WindowWidth",
)
_INTEGERS = ("AcquisitionNumber", "EchoTrainLength", "NominalInterval", "TemporalPositionIdentifier")
_FIRST_ENHANCED_ACQUISITION = 0x9000
_CODE_GROUP = 0x0008
_LONGEST_LO = 64
# Elements of each agent in an Enhanced image; a classic image has room for those of one agent.
_OF_ONE_AGENT = (
    "ContrastBolusAdministrationRouteSequence",
    "ContrastBolusIngredientConcentration",
    "ContrastBolusVolume",
)
# Groups of the header that are the same in both forms of image: identity, patient, trial, study, procedure.
_KEPT_GROUPS = (0x0008, 0x0010, 0x0012, 0x0032, 0x0038, 0x0040)
_KEPT = (
    "AcquisitionNumber",
    "BurnedInAnnotation",
    "FrameOfReferenceUID",
    "ImageComments",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
    "LossyImageCompressionRatio",
    "PhotometricInterpretation",
    "PositionReferenceIndicator",
    "PresentationLUTShape",
    "SeriesInstanceUID",
    "SeriesNumber",
    "StudyID",
    "StudyInstanceUID",
)
_ENHANCED_ONLY = (
    "AcquisitionContextSequence",
    "AcquisitionContrast",
    "ComplexImageComponent",
    "PixelPresentation",
    "ReferencedImageEvidenceSequence",
    "SourceImageEvidenceSequence",
    "VolumeBasedCalculationTechnique",
    "VolumetricProperties",
)


def sequence_items(data: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where there is no such sequence."""
    return list(data[keyword].value) if keyword in data and data[keyword].VR == "SQ" else []


def _groups(header: Dataset, number: int) -> list[Dataset]:
    return [
        *header.get("PerFrameFunctionalGroupsSequence", [])[number : number + 1],
        *header.get("SharedFunctionalGroupsSequence", [])[:1],
    ]


def flat_header(header: Dataset, number: int) -> Dataset:
    """Return a classic MR header for one frame of an Enhanced one.

    Args:
        header: of the Enhanced file, cleaned; not changed.
        number: 0-based frame.
    """
    flat = Dataset()
    flat.file_meta = header.file_meta
    for element in header:
        tag = element.tag
        acquisition = tag.group == 0x0018 and tag.element < _FIRST_ENHANCED_ACQUISITION
        kept = tag.group in _KEPT_GROUPS or acquisition or element.keyword in _KEPT
        if kept and element.keyword not in _ENHANCED_ONLY:
            flat.add(copy.deepcopy(element))
    groups = _groups(header, number)
    # Those of the frame, then those of all frames, then the header itself: the first that has an element counts.
    items = [element.value[0] for group in groups for element in group if element.VR == "SQ" and element.value]
    items.append(header)
    for theirs, ours in (*_RENAMED.items(), *((name, name) for name in _SAME)):
        value = _first(items, theirs)
        if value is not None:
            setattr(flat, ours, _classic_value(ours, value))
    _set_acquisition_time(flat, items)
    _set_sequence_type(flat, items)
    direction = str(_first(items, "InPlanePhaseEncodingDirection") or "")
    if direction in ("ROW", "COLUMN"):
        flat.InPlanePhaseEncodingDirection = direction[:3]
    _set_contrast(flat, header, number)
    # Elements of type 2 are required, and empty where the value is not known.
    inversion = ["InversionTime"] if "IR" in str(flat.ScanningSequence) else []
    for keyword in ("RepetitionTime", "EchoTime", "EchoTrainLength", *inversion):
        if keyword not in flat:
            setattr(flat, keyword, None)
    return flat


def _classic_value(keyword: str, value: Any) -> Any:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return round(float(value)) if keyword in _INTEGERS else value
    if keyword == "ImageType" or keyword.startswith("Window") or keyword.endswith("Sequence"):
        return copy.deepcopy(value)
    return next(iter(value), None)


def _first(items: list[Dataset], keyword: str) -> Any:
    for item in items:
        value = item.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _set_acquisition_time(flat: Dataset, items: list[Dataset]) -> None:
    """Set AcquisitionDate and AcquisitionTime from the one element that an Enhanced image has for both."""
    date_time = str(_first(items, "FrameAcquisitionDateTime") or _first(items, "AcquisitionDateTime") or "")
    if len(date_time) >= 14 and date_time[:14].isdigit():
        flat.AcquisitionDate = date_time[:8]
        flat.AcquisitionTime = date_time[8:].split("+")[0].split("-")[0].strip()[:13]


def _set_contrast(flat: Dataset, header: Dataset, number: int) -> None:
    """Name the contrast agents that were given before a frame in the elements of a classic image (PS3.3 C.7.6.4)."""
    agents = sequence_items(flat, "ContrastBolusAgentSequence")
    if "ContrastBolusAgentSequence" in flat:
        del flat.ContrastBolusAgentSequence
    absent = [
        use.get("ContrastBolusAgentNumber")
        for group in _groups(header, number)
        for use in sequence_items(group, "ContrastBolusUsageSequence")
        if use.get("ContrastBolusAgentAdministered") == "NO"
    ]
    agents = [agent for agent in agents if agent.get("ContrastBolusAgentNumber") not in absent]
    if not agents:
        return
    if len(agents) == 1:
        for keyword in _OF_ONE_AGENT:
            value = agents[0].get(keyword)
            if value:
                setattr(flat, keyword, value)
    flat.ContrastBolusAgent = ", ".join(str(agent.get("CodeMeaning") or "") for agent in agents)[:_LONGEST_LO] or None
    flat.ContrastBolusAgentSequence = DicomSequence([_code_alone(agent) for agent in agents])


def _code_alone(item: Dataset) -> Dataset:
    """Return the code in an item (PS3.3 8.8), without the other elements of the item."""
    alone = Dataset()
    for element in item:
        if element.tag.group == _CODE_GROUP:
            alone.add(element)
    return alone


def _set_sequence_type(flat: Dataset, items: list[Dataset]) -> None:
    """Describe the pulse sequence as a classic image does: ScanningSequence, SequenceVariant and ScanOptions."""

    def has(keyword: str, *values: str) -> bool:
        return str(_first(items, keyword) or "") in values

    scanning = [
        word
        for word, true in (
            ("SE", has("EchoPulseSequence", "SPIN", "BOTH")),
            ("GR", has("EchoPulseSequence", "GRADIENT", "BOTH")),
            ("EP", has("EchoPlanarPulseSequence", "YES")),
            ("IR", has("InversionRecovery", "YES")),
        )
        if true
    ]
    variant = [
        word
        for word, true in (
            ("SK", has("SegmentedKSpaceTraversal", "PARTIAL", "FULL")),
            ("MTC", has("MagnetizationTransfer", "ON_RESONANCE", "OFF_RESONANCE")),
            (
                "SS",
                has("SteadyStatePulseSequence", "FREE_PRECESSION", "TRANSVERSE", "TIME_REVERSED", "LONGITUDINAL"),
            ),
            ("SP", has("Spoiling", "RF", "GRADIENT", "RF_AND_GRADIENT")),
            ("OSP", has("OversamplingPhase", "2D", "3D", "2D_3D")),
        )
        if true
    ]
    options = [
        word
        for word, true in (
            ("FS", has("SpectrallySelectedSuppression", "FAT", "FAT_AND_WATER")),
            ("FC", has("FlowCompensation", "ACCELERATION", "VELOCITY", "OTHER")),
            ("PFP", has("PartialFourierDirection", "PHASE")),
            ("PFF", has("PartialFourierDirection", "FREQUENCY")),
            ("SP", has("SpatialPresaturation", "SLAB")),
        )
        if true
    ]
    flat.ScanningSequence = flat.get("ScanningSequence") or scanning or "RM"
    flat.SequenceVariant = flat.get("SequenceVariant") or variant or "NONE"
    flat.ScanOptions = flat.get("ScanOptions") or options or None
    if "MRAcquisitionType" not in flat:
        flat.MRAcquisitionType = None
