from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_files import Layout, write_classic
from monai.data import MetaTensor

from custom.arrays.intensity import intensity_scale
from custom.errors import InputError, UsageError
from custom.scans import ScanHeader, read_scan
from custom.transforms import EnsureMagnituded, RestoreIntensityd, ScaleIntensityByPercentiled


def _image() -> torch.Tensor:
    return 700.0 * torch.rand(1, 12, 13, 14, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("with_meta", [False, True])
def test_scaling_brings_the_percentile_to_one_and_keeps_what_is_known(with_meta: bool) -> None:
    affine = torch.diag(torch.tensor([1.0, 2.0, 3.0, 1.0], dtype=torch.float64))
    image = MetaTensor(_image(), affine=affine, meta={"filename_or_obj": "a.nii"}) if with_meta else _image()
    data = {"image": image}
    result = ScaleIntensityByPercentiled("image")(data)
    assert intensity_scale(result["image"]) == pytest.approx(1.0)
    assert result["image_scale"] == pytest.approx(intensity_scale(image))
    assert float(image.max()) > 600  # the input is as it was
    assert isinstance(result["image"], MetaTensor) == with_meta
    if with_meta:
        assert result["image"].meta["filename_or_obj"] == "a.nii"
        np.testing.assert_array_equal(result["image"].affine, affine)


def test_values_above_the_percentile_are_not_clipped() -> None:
    image = _image()
    image[0, 0, 0, 0] = 5000.0
    assert float(ScaleIntensityByPercentiled("image")({"image": image})["image"].max()) > 5.0


@pytest.mark.parametrize("factor", [1.0, 250.0])
def test_restoring_gives_the_units_back(factor: float) -> None:
    item = ScaleIntensityByPercentiled("image")({"image": factor * _image()})
    restored = RestoreIntensityd("pred", scale_from="image")(item | {"pred": item["image"] * 1.0})
    torch.testing.assert_close(restored["pred"], factor * _image())


def test_image_without_scale_is_named() -> None:
    image = MetaTensor(-_image(), meta={"filename_or_obj": "/data/odd.nii"})
    with pytest.raises(InputError, match=r"/data/odd\.nii: no intensity scale .* no positive values"):
        ScaleIntensityByPercentiled("image")({"image": image})


def test_restoring_in_place_spares_the_copy_but_no_neighbour() -> None:
    image, pred = torch.rand(1, 3, 4), torch.rand(1, 3, 4)
    expected = 5.0 * pred
    restore = RestoreIntensityd("pred")
    restored = restore({"image": image, "pred": pred, "image_scale": 5.0})["pred"]
    assert restored.data_ptr() == pred.data_ptr()
    torch.testing.assert_close(restored, expected)
    before = image.clone()
    # A network that does nothing gives its input back.
    restored = restore({"image": image, "pred": image[:, 1:], "image_scale": 5.0})["pred"]
    torch.testing.assert_close(restored, 5.0 * before[:, 1:])
    assert torch.equal(image, before)


def _with_undershoot() -> MetaTensor:
    image = MetaTensor(_image(), meta={"filename_or_obj": "/data/odd.nii", "header": ScanHeader()})
    image[0, 0, :3, :3] = -30.0
    return image


def test_undershoot_passes_as_it_is_and_has_a_scale() -> None:
    image = _with_undershoot()
    passed = EnsureMagnituded("image")({"image": image})["image"]
    assert passed is image
    scaled = ScaleIntensityByPercentiled("image")({"image": passed})
    assert scaled["image_scale"] == pytest.approx(intensity_scale(_image()), rel=1e-3)
    assert float(scaled["image"].min()) == pytest.approx(-30 / scaled["image_scale"])


def test_a_signed_image_is_refused_with_what_was_found_and_what_to_do() -> None:
    image = _with_undershoot() - 350
    with pytest.raises(InputError, match=r"/data/odd\.nii: .*1\d\d\d of 2184 voxels are below 0.*--negative_values"):
        EnsureMagnituded("image", "refuse")({"image": image})


def test_magnitudes_are_made_where_it_is_asked_for() -> None:
    image = _with_undershoot() - 350
    clipped = EnsureMagnituded("image", "clip")({"image": image})["image"]
    magnitude = EnsureMagnituded("image", "magnitude")({"image": image})["image"]
    np.testing.assert_array_equal(clipped, np.maximum(image, 0))
    np.testing.assert_array_equal(magnitude, np.abs(image))
    assert clipped.meta["filename_or_obj"] == "/data/odd.nii"
    assert float(image.min()) < 0  # the input is as it was


@pytest.mark.parametrize("value", ["Clip", "", None, True, 0])
def test_other_words_for_negative_values_are_wrong_use(value: object) -> None:
    with pytest.raises(UsageError, match=r"negative_values is .*refuse, clip, magnitude"):
        EnsureMagnituded("image", value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "words"), [("P", "phase"), ("PHASE", "phase"), ("VELOCITY", "phase"), ("R", "real"), ("M", ""), ("T1", "")]
)
def test_a_header_may_say_that_an_image_is_no_magnitude(tmp_path: Path, kind: str, words: str) -> None:
    """Phase may be stored as 0 to 4095, so its values do not always tell."""
    write_classic(tmp_path / "in", Layout(), image_type=("ORIGINAL", "PRIMARY", kind, "ND"))
    scan = read_scan(tmp_path / "in")
    if not words:
        assert EnsureMagnituded("image")({"image": scan})["image"] is scan
        return
    with pytest.raises(InputError, match=rf"ImageType ORIGINAL\\PRIMARY\\{kind}\\ND says {words}"):
        EnsureMagnituded("image")({"image": scan})
    assert torch.equal(EnsureMagnituded("image", "magnitude")({"image": scan})["image"], scan)
