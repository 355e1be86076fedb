"""Thin MONAI dictionary transforms over the rooms below, on items as `custom.scans` reads them."""

from custom.transforms.consistency import CheckConsistencyd
from custom.transforms.geometry import SetGridAffined
from custom.transforms.intensity import EnsureMagnituded, RestoreIntensityd, ScaleIntensityByPercentiled
from custom.transforms.scans import CropSlabd, LoadScand, SaveScand

__all__ = [
    "CheckConsistencyd",
    "CropSlabd",
    "EnsureMagnituded",
    "LoadScand",
    "RestoreIntensityd",
    "SaveScand",
    "ScaleIntensityByPercentiled",
    "SetGridAffined",
]
