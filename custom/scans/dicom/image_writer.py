"""A MONAI image writer for derived DICOM series."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import ImageWriter

from custom.arrays.geometry import affine_array
from custom.errors import InputError
from custom.scans.dicom.provenance import Provenance
from custom.scans.dicom.stack import stack_of
from custom.scans.dicom.writer import DicomForm, write_dicom, writes_one_file

__all__ = ["DicomSeriesWriter"]


class DicomSeriesWriter(ImageWriter):
    """Writes a derived series with `write_dicom`, for `SaveImage(output_ext=".dcm", writer=DicomSeriesWriter)`.

    The image's meta has to name the DICOM scan it derives from ("filename_or_obj") and hold its affine. A classic
    series becomes a folder of the file's name without ".dcm". Values keep the source's units: types and scales that
    MONAI asks for are those of pictures, and not used; neither is anything resampled.

    Args:
        provenance: of model and software; `SaveImage.set_options(init_kwargs={"provenance": ...})` passes it.
        dicom_form: see `DicomForm`.
        overwrite: replace a result that is there.
        **kwargs: MONAI's output_dtype and scale.
    """

    def __init__(
        self,
        provenance: Provenance | None = None,
        dicom_form: DicomForm = "as_input",
        overwrite: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provenance = provenance
        self.dicom_form: DicomForm = dicom_form
        self.overwrite = overwrite
        self.source = ""
        self.affine = np.eye(4)

    def set_data_array(self, data_array: torch.Tensor | np.ndarray, channel_dim: int | None = 0, **kwargs: Any) -> None:
        """Take the image.

        Args:
            data_array: real numbers in the source's units, spatial axes i, j, k and one of frames.
            channel_dim: axis of the frames; None for an image without.
            **kwargs: MONAI's `squeeze_end_dims`.
        """
        array = torch.as_tensor(data_array).detach().cpu().float().numpy()
        array = array[..., None] if channel_dim is None else np.moveaxis(array, channel_dim, -1)
        self.data_obj = array[:, :, None, :] if array.ndim == 3 else array

    def set_metadata(self, meta_dict: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Take the affine, and the name of the scan that the image derives from.

        Raises:
            InputError: for an image that says neither, which cannot become DICOM: there is no patient to copy.
        """
        meta = meta_dict or {}
        if not meta.get("filename_or_obj") or meta.get("affine") is None:
            raise InputError(
                "the image does not know the DICOM scan that it derives from (filename_or_obj and affine of its meta)"
            )
        self.source = str(meta["filename_or_obj"])
        self.affine = affine_array(meta["affine"])

    def write(self, filename: str | os.PathLike[str], verbose: bool = False, **kwargs: Any) -> None:
        """Write the series; see `write_dicom`.

        Raises:
            InputError: as `stack_of` and `write_dicom`.
        """
        super().write(filename, verbose=verbose)
        source = stack_of(Path(self.source))
        target = Path(filename)
        if not writes_one_file(source.enhanced, self.dicom_form, source.files[0]) and target.suffix.lower() == ".dcm":
            target = target.with_suffix("")
        write_dicom(
            self.data_obj,
            self.affine,
            source,
            target,
            form=self.dicom_form,
            provenance=self.provenance,
            overwrite=self.overwrite,
        )
