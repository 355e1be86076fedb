"""Thin MONAI dictionary transforms over `custom.scans` and `custom.degradations`."""

from custom.transforms.geometry import SetGridAffined
from custom.transforms.intensity import RestoreIntensityd, ScaleIntensityByPercentiled
from custom.transforms.scans import CropSlabd, LoadScand, SaveScand

__all__ = [
    "CropSlabd",
    "LoadScand",
    "RestoreIntensityd",
    "SaveScand",
    "ScaleIntensityByPercentiled",
    "SetGridAffined",
]
