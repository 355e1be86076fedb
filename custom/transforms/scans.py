"""Dictionary transforms that read scans, cut slabs out of them, and write results."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple

from custom.arrays.geometry import affine_distance, slab_bounds
from custom.errors import InputError
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.writer import DicomForm
from custom.scans.readers import read_scan
from custom.scans.writers import WRITABLE_DTYPES, result_path, write_dicom_scan, write_scan
from custom.transforms.meta import affine_of, meta_of, name_of, with_affine, without_meta

__all__ = ["CropSlabd", "LoadScand", "SaveScand"]

logger = logging.getLogger(__name__)

# A mask whose corners are further than this part of a voxel from the scan's belongs to another scan.
_LARGEST_MASK_SHIFT_VOXELS = 0.05


class LoadScand(MapTransform):
    """Read scans with `read_scan`: the path under each key becomes a MetaTensor (frames, *spatial), float32.

    Args:
        keys: keys of the paths.
        mask_keys: those of `keys` that are masks: they may hold one value only, and have to lie on the grid of the
            first key, with one frame or as many as it.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(
        self, keys: KeysCollection, mask_keys: KeysCollection = ("mask",), allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.mask_keys = ensure_tuple(mask_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read every key.

        Raises:
            InputError: naming the file, what is wrong and what to do.
        """
        result = dict(data)
        reference: MetaTensor | None = None
        for key in self.key_iterator(result):
            is_mask = key in self.mask_keys
            scan = read_scan(result[key], allow_constant=is_mask)
            if is_mask and reference is not None:
                _check_same_grid(scan, reference)
            reference = scan if reference is None else reference
            result[key] = scan
        return result


class CropSlabd(MapTransform):
    """Cut the slab of a sample's split out of its volume, and move the affine along; items without a slab pass.

    Args:
        keys: keys of tensors (C, *spatial).
        slab_key: key of {"axis", "start", "stop"}: a spatial axis, and fractions of it.
        allow_missing_keys: pass over keys that an item lacks.
    """

    def __init__(self, keys: KeysCollection, slab_key: str = "slab", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slab_key = slab_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Cut every key.

        Raises:
            InputError: for a slab that holds no slice.
        """
        result = dict(data)
        slab = result.get(self.slab_key)
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
    """Write results in place beside each other, `<name>_sr.nii.gz` for `<name>.nii.gz`, as `write_scan` does.

    DICOM becomes a derived DICOM series, as `write_dicom_scan` does it, unless NIfTI is asked for. The file's name
    comes from the tensor's "filename_or_obj"; the path written is put under `<key>_path`.

    Args:
        keys: keys of MetaTensors (frames, *spatial) that carry the affine they are to be written with.
        output_dir: folder of the results.
        suffix: what is added to a name.
        dtype: "float32", or "source" for the type (and slope) of the NIfTI that was read. Pictures always keep theirs,
            DICOM has its own way.
        overwrite: replace results that are there.
        root: folder that the scans were found in; its folders are made anew in `output_dir`.
        allow_missing_keys: pass over keys that an item lacks.
        output_format: "nifti" or "dicom"; None for the source's own. DICOM is written for DICOM sources only.
        dicom_form: see `DicomForm`.
        provenance: of model and software, for DICOM.
    """

    def __init__(
        self,
        keys: KeysCollection = "pred",
        output_dir: str | os.PathLike[str] = ".",
        suffix: str = "_sr",
        dtype: Literal["float32", "source"] = "float32",
        overwrite: bool = False,
        root: str | os.PathLike[str] | None = None,
        allow_missing_keys: bool = False,
        output_format: Literal["nifti", "dicom"] | None = None,
        dicom_form: DicomForm = "as_input",
        provenance: Provenance | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if dtype not in ("float32", "source"):
            raise InputError(f"dtype {dtype!r} of results is not known; use 'float32' or 'source'")
        self.output_dir = output_dir
        self.suffix = suffix
        self.dtype = dtype
        self.overwrite = overwrite
        self.root = root
        self.output_format = output_format
        self.dicom_form = dicom_form
        self.provenance = provenance

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write every key.

        Raises:
            InputError: for a tensor of unknown source, and as `write_scan`.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            tensor: torch.Tensor = result[key]
            source = name_of(tensor)
            if not source:
                raise InputError(f"{key}: the result does not know the file that it was made from; it cannot be named")
            path = result_path(
                source,
                self.output_dir,
                suffix=self.suffix,
                overwrite=self.overwrite,
                root=self.root,
                output_format=self.output_format,
                dicom_form=self.dicom_form,
            )
            if meta_of(tensor).get("kind") == "dicom" and self.output_format != "nifti":
                written = write_dicom_scan(
                    tensor, affine_of(tensor), path, source, self.dicom_form, self.provenance, self.overwrite
                )
            else:
                written = self._write(tensor, path, source)
            result[f"{key}_path"] = str(written)
        return result

    def _write(self, tensor: torch.Tensor, path: Path, source: str) -> Path:
        meta = meta_of(tensor)
        stored_dtype = "float32"
        kind = meta.get("kind")
        # What DICOM stores means something with its slopes alone, which may differ from plane to plane.
        if kind == "image" or (self.dtype == "source" and kind != "dicom"):
            stored_dtype = str(meta.get("stored_dtype", "float32"))
        if stored_dtype not in WRITABLE_DTYPES:
            logger.warning("%s: results cannot be written as %s; float32 is used", source, stored_dtype)
            stored_dtype = "float32"
        return write_scan(
            tensor,
            affine_of(tensor),
            path,
            stored_dtype=stored_dtype,
            scl_slope=float(meta.get("scl_slope", 1.0)),
            scl_inter=float(meta.get("scl_inter", 0.0)),
            xform_code=int(meta.get("xform_code", 1)),
            xyz_unit=str(meta.get("xyz_unit", "mm")),
            overwrite=self.overwrite,
            frame_axis=str(meta.get("frame_axis", "")),
            frame_values=str(meta.get("frame_values", "[]")),
            time_unit=str(meta.get("time_unit", "sec")),
        )


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
