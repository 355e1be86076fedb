from __future__ import annotations

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from tiny_cine import frame

from custom.degradations import AreaMean, SliceBySlice
from custom.evaluation.no_truth import flat_regions, no_truth_rows, pool_region, write_no_truth

OF_SCANS = SliceBySlice(AreaMean(2, 2))


def cubic(lr: torch.Tensor) -> torch.Tensor:
    return OF_SCANS.upsample(lr, "cubic")


def rough(lr: torch.Tensor) -> torch.Tensor:
    """Twice the deviation of cubic from the mean."""
    image = cubic(lr)
    return 2 * image - image.mean()


def scan(subject: str, brightness: float) -> dict[str, object]:
    """A heart in three slices, in units of its own."""
    image = torch.stack([frame(16.0), frame(14.0), frame(12.0)], -1)[None]
    noise = 0.01 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return {"subject": subject, "label": brightness * (image + noise).abs()}


def test_flat_parts_and_the_blood_pool_are_measured_by_each_method(tmp_path: Path) -> None:
    seen = []

    def model(lr):
        seen.append(tuple(lr.shape))
        return rough(lr)

    rows, panels = no_truth_rows([scan("a", 70), scan("a", 80), scan("b", 9)], OF_SCANS, {"rough": model}, cine=True)
    assert seen.count((1, 1, 64, 64, 1)) == 2 * 2  # one slice of each subject, and the same shifted
    inputs = list(dict.fromkeys(row["input"] for row in rows))
    assert inputs[:6] == ["flat", "flat, 1 % noise", "flat, 3 % noise", "flat, 5 % noise", "edge", "ramp"]
    assert inputs[6:] == ["a, flat parts", "a, blood pool", "b, flat parts", "b, blood pool"]
    by_place = {(row["input"], row["method"]): row for row in rows}
    for place in (*inputs[1:4], *inputs[6:]):
        assert by_place[place, "rough"]["sd_over_cubic"] == pytest.approx(2, rel=1e-3)
        assert by_place[place, "cubic"]["sd_over_cubic"] == 1
    # The scale of intensities is 1000 whatever the units were.
    assert by_place["a, blood pool", "cubic"]["mean"] == pytest.approx(by_place["b, blood pool", "cubic"]["mean"])
    assert by_place["a, flat parts", "cubic"]["shift_error_percent"] == pytest.approx(0, abs=1e-3)
    assert list(panels) == ["flat, 3 % noise", "edge", "a", "b"]
    write_no_truth(rows, panels, tmp_path, centre=True)
    with (tmp_path / "no_truth.csv").open(newline="") as file:
        assert [row["input"] for row in csv.DictReader(file)] == [row["input"] for row in rows]
    assert "| a, blood pool | rough |" in (tmp_path / "no_truth.md").read_text()
    assert matplotlib.image.imread(tmp_path / "no_truth.png").shape[2] == 4


def test_pictures_have_no_neighbours_and_volumes_do() -> None:
    seen = []
    flat = {"subject": "p", "label": frame(16.0)[None]}
    no_truth_rows(
        [flat, scan("v", 1.0)], OF_SCANS, {"m": lambda lr: seen.append(tuple(lr.shape)) or cubic(lr)}, neighbours=1
    )
    assert {shape for shape in seen if shape[2:4] == (64, 64)} == {(1, 1, 64, 64), (1, 1, 64, 64, 3), (1, 1, 64, 64, 5)}


def test_flat_regions_are_the_flattest_windows_in_the_foreground() -> None:
    generator = np.random.default_rng(0)
    image = np.zeros((60, 66), np.float32)
    image[6:54, 6:60] = 100 + 20 * generator.standard_normal((48, 54))
    quiet = [(12, 18), (30, 42)]
    for row, column in quiet:
        image[row : row + 6, column : column + 6] = 100 + generator.standard_normal((6, 6))
    regions = flat_regions(image)
    assert [tuple(np.argwhere(region)[0]) for region in regions[:2]] in (quiet, quiet[::-1])
    assert {int(region.sum()) for region in regions} == {36}
    assert len(regions) == 20
    assert not any((region & (image == 0)).any() for region in regions)


def test_the_pool_is_found_inside_its_edge() -> None:
    pool = pool_region(frame(16.0).numpy())
    assert pool is not None
    rows, columns = np.indices(pool.shape)
    distance = np.hypot(rows - 32, columns - 34)
    assert pool[distance < 12].all()
    assert not pool[distance > 14].any()  # the radius is 16
    assert pool_region(np.ones((64, 64), np.float32)) is None
