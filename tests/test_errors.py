from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from custom.arrays import RandomPatches, intensity_scale, slab_bounds
from custom.degradations import AreaMean, BicubicGaussian, GaussianBlur, Grid, SliceBySlice
from custom.errors import InputError, MissingFileError, UsageError, input_error_in
from custom.evaluation import comparison_picture
from custom.evaluation.summary import summarise
from custom.handlers.comparison import ComparisonTable
from custom.inferers import Precision, Tiles, VolumeSlices
from custom.kspace import crop_centre, pad_centre
from custom.manifests import expand_ranges, load_manifest
from custom.metrics import LPIPS
from custom.metrics.image import crop
from custom.options import switch
from custom.scans import ResultOptions, ScanReference, list_scans, result_path
from custom.storage import sha256
from custom.transforms import CheckConsistencyd, EnsureMagnituded, SetGridAffined


def test_wrapped_input_error_is_found() -> None:
    wrapper = RuntimeError("applying transform")
    wrapper.__cause__ = InputError("brain.nii: holds NaN")
    assert str(input_error_in(wrapper)) == "brain.nii: holds NaN"


def test_foreign_error_is_not_an_input_error() -> None:
    assert input_error_in(RuntimeError("out of memory")) is None


def test_exit_codes_and_kinds() -> None:
    missing = MissingFileError("a.nii: no such file")
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "a.nii: no such file"
    assert (missing.exit_code, UsageError("").exit_code) == (1, 2)


NIFTI = ScanReference(Path("a.nii"), "nifti", "a", Path())
PICTURE, VOLUME = torch.ones(1, 1, 8, 8), torch.ones(1, 1, 8, 8, 8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: AreaMean(0, spatial_dims=2), "scale_factor=0"),
        (lambda: AreaMean(4, spatial_dims=4), "spatial_dims=4"),
        (lambda: GaussianBlur(-1.0, spatial_dims=2), r"sigma=-1\.0"),
        (lambda: BicubicGaussian(4, spatial_dims=2, sigma_grid="mm"), "sigma_grid='mm'"),  # type: ignore[arg-type]
        (lambda: AreaMean(2, spatial_dims=2).upsample(PICTURE, "lanczos"), "method='lanczos'"),
        (lambda: AreaMean(2, spatial_dims=2).upsampler("lanczos"), "method='lanczos'"),
        (lambda: SliceBySlice(AreaMean(2, spatial_dims=2), slice_axis=3), "slice_axis: 3"),
        (lambda: VolumeSlices(context_slices=4), "context_slices: 4"),
        (lambda: Tiles(tile_size=0), "tile_size is 0"),
        (lambda: Precision("sometimes").name, "amp is 'sometimes'"),
        (lambda: switch("overwrite", "perhaps"), "overwrite is 'perhaps'; give true or false"),
        (lambda: RandomPatches([], dict, [10, 8], (4, 4), (0, 0)), "patch_size"),
        (lambda: crop(PICTURE, -1), "crop_border is -1"),
        (lambda: crop(PICTURE, (1, 1, 1)), r"crop_border is \(1, 1, 1\); give one number, or 2"),
        (lambda: load_manifest("ixy", "."), "did you mean 'ixi'"),
        (lambda: comparison_picture("a.png", PICTURE, {}, {}, zoom="corner"), "zoom is 'corner'"),  # type: ignore[arg-type]
        (lambda: ComparisonTable("folder", AreaMean(4, spatial_dims=2), networks={"cubic": None}), "'cubic'"),
        (lambda: ResultOptions("out", output_format="png"), "output_format 'png'"),  # type: ignore[arg-type]
        (lambda: ResultOptions("out", dicom_form="new"), "dicom_form 'new'"),  # type: ignore[arg-type]
        (lambda: ResultOptions("out", dtype="uint8"), "output_dtype 'uint8'"),  # type: ignore[arg-type]
        (lambda: EnsureMagnituded("image", "abs"), "negative_values is 'abs'"),  # type: ignore[arg-type]
        (lambda: CheckConsistencyd(degradation=AreaMean(4, 2), limit=0), "consistency_limit is 0"),
        # A network and a degradation of different scales
        (lambda: SetGridAffined(degradation=AreaMean(2, 2))({"image": PICTURE[0], "pred": PICTURE[0]}), "scale_factor"),
    ],
)
def test_a_wrong_value_of_a_key_is_the_fault_of_the_command(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: intensity_scale(torch.zeros(8, 8)), "no positive values"),
        (lambda: AreaMean(2, spatial_dims=2)(VOLUME), "3 spatial axes"),
        (
            lambda: SetGridAffined(degradation=AreaMean(2, 3))({"image": PICTURE[0], "pred": PICTURE[0]}),
            "2 spatial axes",
        ),
        (
            lambda: RandomPatches([{}], lambda item: {"label": torch.zeros(1, 16, 16)}, [8, 8], (4, 4), (0, 0)),
            "foreground",
        ),
        (lambda: EnsureMagnituded("image")({"image": -PICTURE[0]}), "image: not a magnitude image"),
        (lambda: slab_bounds(10, 0.5, 0.5), "holds none"),
        (lambda: crop(PICTURE, (1, 4)), r"nothing of an image of \(8, 8\) voxels remains"),
        (lambda: expand_ranges(["sub-[9-3]"]), "not a range"),
        (lambda: load_manifest("gone.json", "."), r"gone\.json: no such file"),
        (lambda: load_manifest("ixi", "gone"), "dataset_dir gone: no such folder"),
        (lambda: LPIPS.from_file("gone.safetensors"), r"gone\.safetensors"),
        (lambda: summarise([]), "no scan was evaluated"),
        (lambda: sha256("gone.pt"), r"gone\.pt: no such file"),
        (lambda: list_scans("gone"), "gone: no such file"),
        (lambda: list_scans([]), "no scan found"),
        (lambda: result_path(NIFTI, ResultOptions("out", output_format="dicom")), "is not DICOM"),
    ],
)
def test_a_scan_that_does_not_fit_is_the_fault_of_the_input(call: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: crop_centre(PICTURE, [0], [-1]), "at least 1"),
        (lambda: pad_centre(PICTURE, [4], [-1]), "crop_centre makes it shorter"),
        (lambda: Grid.pixel_centre((2, 2)).shape_lr((4, 4, 4)), r"shape \(4, 4, 4\)"),
        (lambda: AreaMean(2, spatial_dims=2).upsample(PICTURE, "cubic", size=(8, 8)), r"size=\(8, 8\) does not belong"),
        (lambda: Grid.pixel_centre((2, 2)).affine_lr(torch.eye(3).numpy()), r"affine of shape \(3, 3\)"),
    ],
)
def test_sizes_that_only_code_gives_are_the_fault_of_the_code(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert not isinstance(caught.value, InputError)
