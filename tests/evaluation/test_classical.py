from __future__ import annotations

import pytest
import torch

from custom.degradations import UPSAMPLING_METHODS, AreaMean, SliceBySlice, WienerUpsampler, wiener_statistics
from custom.evaluation.classical import CLASSICAL_METHODS, best_classical, classical_methods

HALF = AreaMean(2, 2)


def test_every_method_enlarges_a_volume_to_a_size_that_the_scale_does_not_divide() -> None:
    hr = torch.rand(1, 2, 11, 8, 3)
    degradation = SliceBySlice(HALF)
    images = hr.movedim(-1, 0)[:, 0, :1]
    wiener = WienerUpsampler(wiener_statistics([(HALF(images), images)], (2, 2), 3), (2, 2))
    methods = classical_methods(degradation, wiener)
    assert tuple(methods) == CLASSICAL_METHODS
    lr = degradation(hr)
    for name, enlarge in methods.items():
        assert enlarge(lr, hr.shape[2:]).shape == hr.shape, name
    slice_lr = lr[:, 1:, :, :, 2]  # each frame and slice by itself
    torch.testing.assert_close(methods["wiener"](lr, hr.shape[2:])[:, 1:, :, :, 2], wiener(slice_lr)[:, :, :11, :8])
    assert tuple(classical_methods(degradation)) == UPSAMPLING_METHODS


def test_the_best_has_the_highest_mean_over_subjects_not_over_scans() -> None:
    truth = torch.zeros(1, 1, 2, 2)
    # Errors of 0.1 and 0.01 (20 and 40 dB): "a" is better on three scans of one subject, "b" on one of each of two.
    methods = {
        "a": lambda lr, size: truth + torch.where(lr.mean() > 0, 0.1, 0.01),
        "b": lambda lr, size: truth + torch.where(lr.mean() > 0, 0.01, 0.1),
    }
    scans = [("one", -torch.ones(1, 1, 1, 1), truth)] * 3 + [
        (s, torch.ones(1, 1, 1, 1), truth) for s in ("two", "three")
    ]
    found = best_classical(scans, methods)
    assert found is not None
    assert (found.method, found.subjects) == ("b", 3)
    assert found.validation_psnr == pytest.approx({"a": (40 + 2 * 20) / 3, "b": (20 + 2 * 40) / 3}, abs=1e-4)
    assert best_classical([], methods) is None
