from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from custom.degradations import AreaMean, SliceBySlice
from custom.errors import InputError, UsageError
from custom.transforms import CheckConsistencyd

IN_PLANE = SliceBySlice(AreaMean(4, spatial_dims=2))


def _item(off: float) -> dict[str, Any]:
    """A scan of two frames and a result of which one voxel block is off."""
    image = torch.rand(2, 5, 6, 3, generator=torch.Generator().manual_seed(0))
    changed = image.clone()
    changed[1, 2, 3, 1] += off
    pred = IN_PLANE.upsample(changed[None], "nearest")[0]
    return {"image": MetaTensor(image, meta={"filename_or_obj": "/data/cine.nii"}), "pred": pred}


def test_a_result_within_the_limit_passes_as_it_is() -> None:
    item = _item(0.2)
    pred = item["pred"].clone()
    checked = CheckConsistencyd("pred", degradation=IN_PLANE, limit=0.21)(item)
    assert checked["pred"] is item["pred"]
    assert torch.equal(checked["pred"], pred)


def test_a_result_beyond_the_limit_names_the_file_and_both_numbers() -> None:
    with pytest.raises(
        InputError, match=r"/data/cine\.nii: the result contradicts .* up to 0\.2 .*this model is 0\.19"
    ):
        CheckConsistencyd("pred", degradation=IN_PLANE, limit=0.19)(_item(0.2))
    with pytest.raises(InputError, match="up to nan"):
        CheckConsistencyd("pred", degradation=IN_PLANE, limit="inf")(_item(float("nan")))


@pytest.mark.parametrize("limit", [0, -1, "nan", "much", None])
def test_a_limit_is_a_number_above_0(limit: Any) -> None:
    with pytest.raises(UsageError, match=f"consistency_limit is {limit!r}; give a number above 0"):
        CheckConsistencyd("pred", degradation=IN_PLANE, limit=limit)
