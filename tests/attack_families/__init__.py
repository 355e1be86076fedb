"""Families of attacks, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from attack_families.acquisitions import acquisitions
from attack_families.attack import Family
from attack_families.bombs import bombs
from attack_families.dicom_headers import other_types, pixel_values
from attack_families.manifests import manifests
from attack_families.names import command_names, file_names
from attack_families.nifti_headers import nifti_headers
from attack_families.special_files import special_files
from attack_families.trainings import stopped_trainings
from attack_families.values import pictures, unusual_values
from attack_families.weights import damaged_weights

__all__ = ["FAMILIES"]

#: The quick ones first; those of commands take a second or two for each attack.
FAMILIES: Mapping[str, Family] = {
    "other types": other_types,
    "pixel values": pixel_values,
    "nifti headers": nifti_headers,
    "acquisitions": acquisitions,
    "file names": file_names,
    "pictures": pictures,
    "bombs": bombs,
    "special files": special_files,
    "weights": damaged_weights,
    "manifests": manifests,
    "command names": command_names,
    "unusual values": unusual_values,
    "trainings": stopped_trainings,
}
