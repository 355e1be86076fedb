from __future__ import annotations

import errno
from typing import Any

import pytest
import torch
from monai.data import Dataset, MetaTensor
from monai.transforms import Lambdad
from torch import Tensor, nn
from torch.utils.data import DataLoader

from custom.degradations import AreaMean, SliceBySlice
from custom.engines import ScanEvaluator, VolumePair
from custom.errors import InputError, UsageError, input_error_in
from custom.inferers import Frames, VolumeSlices

IN_PLANE = SliceBySlice(AreaMean(4, spatial_dims=2))


class _Repeat(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image.repeat_interleave(4, -1).repeat_interleave(4, -2)


def _evaluator(scans: list[dict[str, Any]], **options: Any) -> ScanEvaluator:
    return ScanEvaluator(device="cpu", val_data_loader=scans, network=_Repeat(), inferer=VolumeSlices(), **options)


def test_prediction_is_cropped_to_a_target_that_the_scale_does_not_divide() -> None:
    evaluator = _evaluator([{"label": torch.rand(1, 18, 21, 3)}], prepare_batch=VolumePair(IN_PLANE))
    evaluator.run()
    (output,) = evaluator.state.output
    assert output["pred"].shape == output["label"].shape == (1, 18, 21, 3)
    assert output["image"].shape == (1, 5, 6, 3)
    assert evaluator.state.seconds > 0


def test_scans_of_any_size_keep_their_metadata() -> None:
    scans = [
        {"image": MetaTensor(torch.rand(frames, 4, 5, 2), meta={"number": frames}), "subject": f"s{frames}"}
        for frames in (1, 3)
    ]
    seen = []

    def see(data: dict[str, Any]) -> dict[str, Any]:
        seen.append((data["subject"], data["image"].meta["number"], data["image"].shape, data["pred"].shape))
        return data

    network = AreaMean(2, spatial_dims=2).upsampler("linear")
    evaluator = ScanEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(scans), batch_size=None),
        network=network,
        inferer=Frames(inferer=VolumeSlices()),
        postprocessing=see,
    )
    evaluator.run()
    assert seen == [("s1", 1, (1, 4, 5, 2), (1, 8, 10, 2)), ("s3", 3, (3, 4, 5, 2), (3, 8, 10, 2))]


def test_failures_are_collected_and_the_others_go_on() -> None:
    done: list[float] = []

    def write(image: Tensor) -> Tensor:
        if image.mean() == 2:
            raise InputError("two.nii: the disk is full")
        done.append(image.mean().item())
        return image

    scans: list[dict[str, Any]] = [{"image": torch.full((1, 2, 2, 1), float(i))} for i in (1, 2, 3)]
    evaluator = _evaluator(
        [*scans, {"error": "four.nii: truncated"}], skip_failures=True, postprocessing=Lambdad("pred", write)
    )
    with pytest.raises(InputError, match="2 of 4 inputs failed") as caught:
        evaluator.run()
    assert "two.nii: the disk is full" in str(caught.value)
    assert "four.nii: truncated" in str(caught.value)
    assert done == [1, 3]


def test_whatever_is_raised_for_a_scan_is_its_failure() -> None:
    scan = MetaTensor(torch.zeros(1, 2, 2, 1), meta={"filename_or_obj": "one.nii"})
    evaluator = _evaluator([{"image": scan}, {"error": "two.nii: truncated"}], skip_failures=True)
    evaluator.network = nn.Conv2d(3, 1, 1)
    with pytest.raises(
        InputError, match=r"2 of 2 inputs failed.*\n  one.nii: cannot be used \(RuntimeError: .*channels"
    ):
        evaluator.run()


@pytest.mark.parametrize(
    ("error", "raised"),
    [(UsageError("output_dtype is 'x'"), UsageError), (OSError(errno.ENOSPC, "No space left"), InputError)],
)
def test_what_would_fail_for_every_scan_ends_the_command(error: Exception, raised: type[Exception]) -> None:
    def write(_: Tensor) -> Tensor:
        raise error

    scans = [{"image": torch.rand(1, 2, 2, 1)} for _ in range(2)]
    evaluator = _evaluator(scans, skip_failures=True, postprocessing=Lambdad("pred", write))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        evaluator.run()
    found = input_error_in(caught.value)
    assert type(found) is raised
    assert evaluator.state.iteration == 1
    assert evaluator.failures == []
