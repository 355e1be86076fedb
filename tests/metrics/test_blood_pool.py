from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu

from custom.metrics import agreement, ejection, find_blood_pool
from custom.metrics.blood_pool import otsu_threshold

SIZE = 96
RADII = (16.0, 14.0, 11.0, 10.0, 12.0, 15.0)


def heart(radii=RADII, centre=(50.0, 45.0), blur=0.6, right=True, wall=6.0):
    """Discs of blood in muscle of a fixed area, beside a crescent and a bright chest wall, in dark lung: (T, n, n)."""
    rows, columns = np.indices((SIZE, SIZE), dtype=float)
    distance = np.hypot(rows - centre[0], columns - centre[1])
    frames = []
    for radius in radii:
        frame = np.full((SIZE, SIZE), 0.05)
        frame[:, :9] = 1.0
        outer = math.sqrt(radius**2 + (max(radii) + wall) ** 2 - max(radii) ** 2)
        if right:
            frame[np.hypot(rows - centre[0], columns - centre[1] + 13) < 20] = 0.75
        frame[distance < outer] = 0.25
        frame[distance < radius] = 0.8
        frames.append(ndimage.gaussian_filter(frame, blur))
    return torch.from_numpy(np.stack(frames)).float()


def test_the_area_is_that_of_the_disc():
    frames = heart()
    pool = find_blood_pool(frames)
    assert pool is not None
    assert pool.threshold == pytest.approx((0.25 + 0.8) / 2, abs=0.08)
    for radius, area in zip(RADII, pool.areas(frames), strict=True):
        assert area == pytest.approx(math.pi * radius**2, rel=0.04)
    assert ejection(pool.areas(frames)) == pytest.approx(1 - (10 / 16) ** 2, abs=0.02)


@pytest.mark.parametrize("centre", [(50.0, 45.0), (40.0, 52.0), (58.0, 58.0)])
@pytest.mark.parametrize("right", [True, False])
def test_the_heart_is_found_where_it_is(centre, right):
    frames = heart(centre=centre, right=right)
    pool = find_blood_pool(frames)
    assert pool is not None
    assert ndimage.center_of_mass(pool.region) == pytest.approx(centre, abs=1.0)
    assert math.pi * 16**2 < pool.region.sum() < math.pi * 20**2


def test_the_scale_of_the_intensities_does_not_matter():
    frames = heart()
    pool, scaled = find_blood_pool(frames), find_blood_pool(300 * frames)
    assert np.array_equal(pool.region, scaled.region)
    assert scaled.threshold == pytest.approx(300 * pool.threshold, rel=1e-4)


def test_a_sharper_method_has_less_error_than_a_blurred_one():
    """With a wall that is thin against the blur the mid-level moves: what the figure is to show."""
    frames = heart()
    pool = find_blood_pool(frames)
    truth = np.array(pool.areas(frames))
    errors = [np.abs(np.array(pool.areas(heart(blur=blur))) - truth).mean() for blur in (1.0, 3.0, 5.0)]
    assert errors[0] < errors[1] < errors[2]


def test_papillary_muscles_are_not_blood():
    frames = heart()
    whole = find_blood_pool(frames).areas(frames)
    frames[:, 53:57, 46:50] = 0.25
    pool = find_blood_pool(frames)
    assert pool.areas(frames) == pytest.approx([area - 16 for area in whole], abs=4)


def test_a_single_frame_is_searched_in_its_middle():
    frames = heart(radii=(14.0,), right=False)
    pool = find_blood_pool(frames)
    assert pool.areas(frames) == pytest.approx([math.pi * 14**2], rel=0.03)


def test_nothing_is_found_where_there_is_nothing():
    assert find_blood_pool(torch.zeros(3, 40, 40)) is None
    speck = torch.zeros(3, 96, 96)
    speck[:, 48, 48] = 1
    assert find_blood_pool(speck) is None


def test_ejection_is_the_relative_change():
    assert ejection([100.0, 60.0, 40.0, 90.0]) == pytest.approx(0.6)
    assert ejection([5.0, 5.0]) == 0
    assert math.isnan(ejection([5.0]))
    assert math.isnan(ejection([0.0, 0.0]))
    assert math.isnan(ejection([]))


def test_agreement_by_hand():
    """Differences 1, 3, -1, 5: mean 2, variance (1 + 1 + 9 + 9) / 3."""
    found = agreement([11.0, 23.0, 29.0, 45.0, math.nan], [10.0, 20.0, 30.0, 40.0, 1.0])
    assert found.bias == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((2 - 1.96 * math.sqrt(20 / 3), 2 + 1.96 * math.sqrt(20 / 3)))
    assert found.count == 4


def test_agreement_of_too_few():
    single = agreement([3.0], [1.0])
    assert (single.bias, single.count) == (2, 1)
    assert math.isnan(single.low)
    assert math.isnan(single.high)
    nothing = agreement([], [])
    assert math.isnan(nothing.bias)
    assert nothing.count == 0
    with pytest.raises(ValueError, match="2 numbers and reference 1"):
        agreement([1.0, 2.0], [1.0])


def test_otsu_equals_scikit_image():
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(2, 1, 4000), random.normal(8, 1.5, 1000)])
    assert otsu_threshold(values) == pytest.approx(threshold_otsu(values))
    assert otsu_threshold(np.full(5, 3.0)) == 3
