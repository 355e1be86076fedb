from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from custom.arrays.intensity import intensity_scale
from custom.errors import InputError
from custom.transforms import RestoreIntensityd, ScaleIntensityByPercentiled


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
