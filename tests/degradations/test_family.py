from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from custom.degradations import AreaMean, GaussianProfile, KSpaceCrop
from custom.degradations.family import Member, RandomFamily
from custom.errors import UsageError

STILL: dict[str, Any] = {"noise": 0.0, "contrast": 0.0, "bias": 0.0, "sharpened": 0.0, "phase": 0.0}


def family(*members: Member, scale: int = 4, size: int = 32, **options: Any) -> RandomFamily:
    named = {f"member {number}": member for number, member in enumerate(members)}
    return RandomFamily(AreaMean(scale, 2), named, [size, size], **{**STILL, "pool": 8, **options})


def area(scale: int = 4, **options: Any) -> Member:
    return Member(partial(AreaMean, scale, 2), **options)


def image(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def test_a_pair_is_the_region_of_the_degraded_whole_image() -> None:
    whole = image(1, 1, 160, 160)
    profile = GaussianProfile(4, 2, sigma=0.5)
    pairs = family(Member(partial(GaussianProfile, 4, 2), sigma=0.5))
    border = pairs.border[0]
    lr, hr = pairs(whole[:, :, 64 - border : 96 + border, 60 - border : 92 + border])
    torch.testing.assert_close(hr, whole[:, :, 64:96, 60:92])
    torch.testing.assert_close(lr, profile(whole)[:, :, 16:24, 15:23])


def test_a_crop_of_k_space_in_a_patch_is_close_to_that_of_the_whole_image() -> None:
    smooth = GaussianProfile(1, 2, sigma=0.425)  # leaves an image alone; the scene is made of low frequencies below
    x = torch.linspace(0, 1, 256)
    whole = smooth((1 + torch.sin(40 * x)[:, None] * torch.cos(31 * x + 1))[None, None] / 2)
    options = {"window": "hamming", "window_strength": 0.8}
    pairs = family(Member(partial(KSpaceCrop, 4, 2, mirrored=True, **options)))
    border = pairs.border[0]
    lr, _ = pairs(whole[:, :, 112 - border : 144 + border, 112 - border : 144 + border])
    expected = KSpaceCrop(4, 2, **options)(whole)[:, :, 28:36, 28:36]
    assert (lr - expected).abs().max() < 0.01


def test_noise_of_a_magnitude_image_is_rician() -> None:
    torch.manual_seed(0)
    pairs = family(area(magnitude=1.0), noise=0.04, noise_free=0.0, phase=2.0, size=64)
    size = 64 + 2 * pairs.border[0]
    dark, _ = pairs(torch.zeros(64, 1, size, size))
    # Of complex Gaussian noise alone the magnitude is Rayleigh distributed.
    assert float(dark.mean()) == pytest.approx(0.04 * math.sqrt(math.pi / 2), rel=0.02)
    bright, _ = pairs(torch.ones(64, 1, size, size))
    assert float(bright.std()) == pytest.approx(0.04, rel=0.15)  # the phase takes a little of the mean here and there
    assert float(dark.min()) >= 0


def test_noise_of_a_real_image_has_its_deviation_whatever_the_window() -> None:
    torch.manual_seed(0)
    window = partial(KSpaceCrop, 4, 2, mirrored=True, window="hamming", zero_filling=2.0)
    pairs = family(Member(window), noise=0.03, noise_free=0.0, size=64)
    size = 64 + 2 * pairs.border[0]
    lr, _ = pairs(torch.full((128, 1, size, size), 0.5))
    assert float(lr.mean()) == pytest.approx(0.5, abs=0.002)
    assert float(lr.std()) == pytest.approx(0.03, rel=0.05)
    # Zero filling by two leaves neighbours alike.
    assert float(((lr[..., 1:] - 0.5) * (lr[..., :-1] - 0.5)).mean()) > 0.5 * 0.03**2


def test_what_is_made_smoother_is_so_in_both_images_of_a_pair() -> None:
    pairs = family(area(), blur=3.0, blurred=1.0)
    border = pairs.border[0]
    whole = image(2, 1, 32 + 2 * border, 32 + 2 * border)
    lr, hr = pairs(whole)
    smooth = torch.from_numpy(gaussian_filter(whole.numpy(), (0, 0, 3, 3), truncate=8))
    torch.testing.assert_close(hr, smooth[..., border:-border, border:-border], rtol=0, atol=1e-4)
    torch.testing.assert_close(lr, AreaMean(4, 2)(hr))


def test_partial_fourier_leaves_magnitudes_also_beside_real_members() -> None:
    torch.manual_seed(0)
    options = {"mirrored": True, "partial_fourier": 0.75, "phase_encoding": "j"}
    pairs = family(Member(partial(KSpaceCrop, 4, 2, **options)))
    border = pairs.border[0]
    whole = image(3, 1, 32 + 2 * border, 32 + 2 * border)
    lr, hr = pairs(whole)
    expected = KSpaceCrop(4, 2, **options)(whole.to(torch.complex64)).abs()
    torch.testing.assert_close(lr, expected[..., border // 4 : -border // 4, border // 4 : -border // 4])
    assert torch.equal(hr, whole[..., border:-border, border:-border])
    noisy = {"sharpened": 0.5, "noise": 0.02, "noise_free": 0.0, "phase": 1.0}
    both = family(Member(partial(KSpaceCrop, 4, 2, **options)), area(share=3), **noisy)
    lr, _ = both(torch.zeros_like(whole).repeat(20, 1, 1, 1))
    assert 4 < int((lr.flatten(1).amin(1) >= 0).sum()) < 28  # binomial: 15, standard deviation 3.4
    drawn = Member(partial(KSpaceCrop, 4, 2), partial_fourier=[0.6, 1.0], phase_encoding=["i", "j"])
    found = family(drawn, pool=40).degradations
    assert {d.phase_encoding for d in found} == {"i", "j"}
    assert all(0.6 <= d.partial_fourier <= 1 for d in found)


def test_part_of_the_images_is_free_of_noise() -> None:
    torch.manual_seed(0)
    pairs = family(area(), noise=0.05, noise_free=0.5)
    size = 32 + 2 * pairs.border[0]
    lr, _ = pairs(torch.full((200, 1, size, size), 0.5))
    assert 70 < int((lr.std(dim=(1, 2, 3)) < 1e-6).sum()) < 130


def test_each_image_gets_its_own_degradation() -> None:
    torch.manual_seed(0)
    pairs = family(Member(partial(GaussianProfile, 4, 2), sigma=[0.2, 1.0]), pool=64)
    size = 32 + 2 * pairs.border[0]
    lr, _ = pairs(image(1, 1, size, size).expand(32, -1, -1, -1))
    assert len({round(float(deviation), 6) for deviation in lr.std(dim=(1, 2, 3))}) > 16


def test_shares_and_names_are_drawn_as_asked() -> None:
    torch.manual_seed(0)
    crop = partial(KSpaceCrop, 4, 2, mirrored=True)
    pairs = family(area(share=3), Member(crop, share=1, window=["hamming", "tukey"], zero_filling=[1.2, 1.6]), pool=80)
    crops = [d for d in pairs.degradations if isinstance(d, KSpaceCrop)]
    assert len(crops) == 20
    assert {d.window for d in crops} == {"hamming", "tukey"}
    assert all(1.2 <= d.zero_filling <= 1.6 for d in crops)


def test_an_offset_moves_both_images_alike() -> None:
    torch.manual_seed(0)
    pairs = family(area(), offset=[-0.05, 0.05])
    size = 32 + 2 * pairs.border[0]
    lr, hr = pairs(torch.zeros(50, 1, size, size))
    torch.testing.assert_close(lr.amax((1, 2, 3)), hr.amin((1, 2, 3)))
    assert 0.03 < float(hr.abs().max()) <= 0.05
    assert float(hr.min()) < 0 < float(hr.max())


def test_a_part_of_the_images_is_replaced_by_phantoms_in_all_channels() -> None:
    torch.manual_seed(0)
    pairs = family(area(), phantoms=0.5)
    size = 32 + 2 * pairs.border[0]
    anatomy = 2 + torch.rand(200, 3, size, size)
    lr, hr = pairs(anatomy)
    replaced = hr.flatten(1).amax(1) <= 1
    assert 70 < int(replaced.sum()) < 130  # binomial: 100, standard deviation 7
    assert torch.equal(hr[replaced][:, 0], hr[replaced][:, 2])
    torch.testing.assert_close(lr[replaced], AreaMean(4, 2)(hr[replaced]))
    border = pairs.border[0]
    assert torch.equal(hr[~replaced], anatomy[~replaced][..., border:-border, border:-border])


def test_rounding_leaves_whole_steps_in_a_part_of_the_images() -> None:
    torch.manual_seed(0)
    pairs = family(area(), rounding=[0.25, 0.25], rounded=0.5)
    size = 32 + 2 * pairs.border[0]
    hr = torch.rand(200, 1, size, size)
    lr, _ = pairs(hr)
    exact = AreaMean(4, 2)(hr[..., pairs.border[0] : -pairs.border[0], pairs.border[0] : -pairs.border[0]])
    steps = (4 * lr).round() / 4
    is_rounded = (lr == steps).flatten(1).all(1)
    assert 70 < int(is_rounded.sum()) < 130  # binomial: 100, standard deviation 7
    torch.testing.assert_close(lr[~is_rounded], exact[~is_rounded])
    assert (lr - exact).abs().max() <= 0.1251


def test_smaller_anatomy_has_the_same_pairs() -> None:
    torch.manual_seed(0)
    pairs = family(area(), shrink=2.0, shrunk=1.0)
    assert pairs.border[0] > family(area()).border[0]
    size = 32 + 2 * pairs.border[0]
    ramp = (torch.arange(float(size)) - (size - 1) / 2).expand(1, 1, size, size)
    lr, hr = pairs(ramp)
    assert hr.shape[2:] == (32, 32)
    torch.testing.assert_close(hr[0, 0, 0], 2 * (torch.arange(32.0) - 15.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(lr, AreaMean(4, 2)(hr), rtol=0, atol=1e-3)


def test_the_generator_of_torch_decides() -> None:
    pairs = family(area(magnitude=0.5), noise=[0, 0.05], contrast=1.0, bias=0.3, shrink=[1, 1.5], phase=1.0)
    size = 32 + 2 * pairs.border[0]
    results = []
    for number in (1, 1, 2):
        torch.manual_seed(number)
        results.append(pairs(image(4, 1, size, size))[0])
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert not torch.equal(results[0], results[2])


def test_the_pool_is_that_of_the_seed_and_costs_no_random_number() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = family(area(share=1), Member(partial(GaussianProfile, 4, 2), sigma=[0.2, 0.6]), seed=1)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(4)
    again = family(area(share=1), Member(partial(GaussianProfile, 4, 2), sigma=[0.2, 0.6]), seed=1)
    other = family(area(share=1), Member(partial(GaussianProfile, 4, 2), sigma=[0.2, 0.6]), seed=2)
    assert torch.equal(first.get_buffer("image_0"), again.get_buffer("image_0"))
    assert not torch.equal(first.get_buffer("image_0"), other.get_buffer("image_0"))


def test_three_axes() -> None:
    torch.manual_seed(0)
    pairs = RandomFamily(
        AreaMean(2, 3), {"area": Member(partial(AreaMean, 2, 3), magnitude=1.0)}, [8, 8, 8], noise=0.01
    )
    size = 8 + 2 * pairs.border[0]
    lr, hr = pairs(image(2, 1, size, size, size))
    assert lr.shape == (2, 1, 4, 4, 4)
    assert hr.shape == (2, 1, 8, 8, 8)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: family(area(scale=2)), "another grid"),
        (lambda: family(), "there are none"),
        (lambda: family(area(), noise=[0.05, 0.0]), "noise"),
        (lambda: family(area(), noise_free=1.5), "noise_free"),
        (lambda: family(area(), shrink=0.5), "shrink"),
        (lambda: family(area(), blur=[0, 2]), "blur"),
        (lambda: family(area(), blurred=1.5), "blurred"),
        (lambda: family(area(), offset="little"), "offset"),
        (lambda: family(area(), size=30), "patch_size"),
        (lambda: family(area(), seed=None), "seed is None"),
        (lambda: family(area(), rounded=2.0), "rounded"),
        (lambda: family(area(), phantoms=-1.0), "phantoms"),
        (lambda: area(share=0.0), "share"),
        (lambda: area(magnitude=2.0), "magnitude"),
        (lambda: Member(partial(GaussianProfile, 4, 2), sigma=[1.0, 0.5]), "sigma"),
        (lambda: family(area(width=[1.0, 2.0])), "width"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
