"""Dictionary transforms that read scans, cut slabs out of them, and write results."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from custom.arrays.geometry import affine_distance, slab_bounds
from custom.errors import InputError
from custom.scans.dicom.provenance import Provenance
from custom.scans.find import find_scan
from custom.scans.readers import read_scan
from custom.scans.reference import ScanReference
from custom.scans.result_names import ResultOptions
from custom.scans.sizes import checked_limit
from custom.scans.writers import write_result
from custom.transforms.meta import affine_of, header_of, meta_of, name_of, with_affine, without_meta

__all__ = ["CropSlabd", "LoadScand", "SaveScand"]

# A mask whose corners are further from those of the scan than this part of a voxel belongs to another scan.
_LARGEST_MASK_SHIFT_VOXELS = 0.05


class LoadScand(MapTransform):
    """Read scans with `read_scan`: paths and references become MetaTensors (frames, *spatial), float32.

    Args:
        keys: keys of the scans. Of an HDF5 file the dataset is read that the item names under "dataset", if it names
            one. The scan under "mask" may hold one value only, and has to lie on the grid of the first
            key, with one frame or as many as that.
        memory_limit: MB that this process may take when it reads; None for the memory that is free.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        UsageError: for a memory_limit that is not above 0.
    """

    def __init__(
        self, keys: KeysCollection, memory_limit: float | None = None, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.memory_limit = checked_limit(memory_limit)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read every key.

        Raises:
            InputError: naming the file, what is wrong and what to do.
        """
        result = dict(data)
        first: MetaTensor | None = None
        for key in self.key_iterator(result):
            source = result[key]
            if "dataset" in result and key != "mask" and not isinstance(source, ScanReference):
                source = find_scan(source, dataset=result["dataset"])
            scan = read_scan(source, allow_constant=key == "mask", memory_limit=self.memory_limit)
            if key == "mask" and first is not None:
                _check_same_grid(scan, first)
            first = scan if first is None else first
            result[key] = scan
        return result


class CropSlabd(MapTransform):
    """Cut the slab that an item names out of its volume, and move the affine along; items without a slab pass.

    Under "slab" an item has {"axis", "start", "stop"}: a spatial axis, and fractions of it.

    Args:
        keys: keys of tensors (frames, *spatial).
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut every key.

        Raises:
            InputError: for a slab that holds no slice.
        """
        result = dict(data)
        slab = result.get("slab")
        if slab is None:
            return result
        axis = int(slab["axis"])
        for key in self.key_iterator(result):
            whole: torch.Tensor = result[key]
            first, last = slab_bounds(whole.shape[axis + 1], float(slab["start"]), float(slab["stop"]))
            # A copy, so that the rest of the volume can be forgotten.
            part = torch.narrow(without_meta(whole), axis + 1, first, last - first).clone()
            if isinstance(whole, MetaTensor):
                affine = affine_of(whole)
                affine[:3, 3] += affine[:3, axis] * first
                part = with_affine(part, affine, meta_of(whole))
            result[key] = part
        return result


class SaveScand(MapTransform):
    """Write results with `write_result`, `<name>_sr.nii.gz` for `<name>.nii.gz`, and put the paths under `<key>_path`.

    Args:
        keys: keys of MetaTensors (frames, *spatial) that carry the affine they are to be written with, and the header
            of the scan that they were made from.
        options: folder and form of the results.
        provenance: of model and software, for DICOM.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self,
        keys: KeysCollection,
        options: ResultOptions,
        provenance: Provenance | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.options = options
        self.provenance = provenance

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write every key.

        Raises:
            InputError: as `write_result`.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            tensor: torch.Tensor = result[key]
            written = write_result(tensor, affine_of(tensor), header_of(tensor), self.options, self.provenance)
            result[f"{key}_path"] = str(written)
        return result


def _check_same_grid(mask: MetaTensor, scan: MetaTensor) -> None:
    shape, expected = tuple(mask.shape[1:]), tuple(scan.shape[1:])
    if shape != expected:
        raise InputError(f"{name_of(mask)}: the mask has the size {shape} and its scan {name_of(scan)} {expected}")
    if len(mask) not in (1, len(scan)):
        raise InputError(
            f"{name_of(mask)}: the mask has {len(mask)} frames and its scan {name_of(scan)} {len(scan)}; give one "
            "frame for all, or one for each"
        )
    affine = affine_of(scan)
    shift = affine_distance(expected, affine_of(mask), affine)
    spacing = float(torch.linalg.norm(torch.from_numpy(affine[:3, :3]), dim=0).min())
    if shift > _LARGEST_MASK_SHIFT_VOXELS * spacing:
        raise InputError(
            f"{name_of(mask)}: the mask lies up to {shift:.3g} mm off its scan {name_of(scan)}; resample it to the scan"
        )
