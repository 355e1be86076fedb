"""What every separable degradation promises, whatever it does."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from degradation_cases import centre_of_mass, gaussian_blob, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from torch import Tensor

from custom.degradations import (
    AreaMean,
    BicubicGaussian,
    Degradation,
    GaussianBlur,
    GaussianDecimation,
    KSpaceCrop,
)
from custom.errors import InputError, UsageError

Factory = Callable[[tuple[int, ...]], Degradation]
Scales = st.SearchStrategy[tuple[int, ...]]
Shapes = Callable[[int], st.SearchStrategy[tuple[int, ...]]]

few = settings(max_examples=12)


@few
@given(data=st.data())
def test_linear(factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject) -> None:
    degradation = factory(data.draw(scales))
    shape = data.draw(shapes(degradation.spatial_dims))
    x, y = noise(1, 1, *shape, seed=1), noise(1, 1, *shape, seed=2)
    torch.testing.assert_close(degradation(2.0 * x - 3.0 * y), 2.0 * degradation(x) - 3.0 * degradation(y))


@few
@given(data=st.data())
def test_adjoint_passes_the_dot_product_test(
    factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    shape = data.draw(shapes(degradation.spatial_dims))
    x = noise(2, 3, *shape, seed=1)
    forward = degradation(x)
    assert forward.shape == (2, 3, *degradation.grid.shape_lr(shape))
    y = noise(*forward.shape, seed=2)
    adjoint = degradation.adjoint(y, size=shape)
    assert adjoint.shape == x.shape
    assert torch.vdot(forward.flatten(), y.flatten()).item() == pytest.approx(
        torch.vdot(x.flatten(), adjoint.flatten()).item(), rel=1e-10, abs=1e-10
    )


@few
@given(data=st.data())
def test_constants_are_kept(factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject) -> None:
    degradation = factory(data.draw(scales))
    x = torch.full((1, 1, *data.draw(shapes(degradation.spatial_dims))), 7.0, dtype=torch.float64)
    y = degradation(x)
    torch.testing.assert_close(y, torch.full_like(y, 7.0), rtol=0, atol=1e-12)


@few
@given(data=st.data())
def test_sizes_that_the_scale_does_not_divide_are_continued_at_their_end(
    factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    shape = data.draw(shapes(degradation.spatial_dims))
    x = noise(1, 1, *shape)
    missing = [-n % s for n, s in zip(shape, degradation.scale_factor, strict=True)]
    longer = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), *[(0, m) for m in missing]], mode="edge"))
    torch.testing.assert_close(degradation(x), degradation(longer), rtol=0, atol=1e-12)


@few
@given(data=st.data())
def test_flipped_images_give_flipped_results(
    factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    scale = degradation.scale_factor
    x = noise(1, 1, *degradation.grid.shape_hr(data.draw(shapes(degradation.spatial_dims))[: len(scale)]))
    for axis in range(len(scale)):
        if degradation.grid.offset[axis] == (scale[axis] - 1) / 2:  # a corner grid has no such symmetry
            torch.testing.assert_close(degradation(x.flip(axis + 2)), degradation(x).flip(axis + 2))


@few
@given(data=st.data())
def test_batches_equal_single_images_one_after_the_other(
    some_factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject
) -> None:
    degradation = some_factory(data.draw(scales))
    x = noise(2, 2, *data.draw(shapes(degradation.spatial_dims)))
    single = [[degradation(x[b : b + 1, c : c + 1])[0, 0] for c in range(2)] for b in range(2)]
    torch.testing.assert_close(degradation(x), torch.stack([torch.stack(row) for row in single]))


@few
@given(data=st.data())
def test_complex_images_are_degraded_as_real_and_imaginary_parts(
    factory: Factory, scales: Scales, shapes: Shapes, data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    shape = data.draw(shapes(degradation.spatial_dims))
    x = torch.complex(noise(2, 1, *shape, seed=1), noise(2, 1, *shape, seed=2)).conj()
    y = degradation(x)
    assert y.dtype == x.dtype
    torch.testing.assert_close(y, torch.complex(degradation(x.real), degradation(x.imag)))
    back = degradation.adjoint(y, size=shape)
    torch.testing.assert_close(torch.vdot(x.flatten(), back.flatten()), torch.vdot(y.flatten(), y.flatten()))


@pytest.mark.parametrize("scale", [(2, 3), (1, 4), (1, 2, 3)])
def test_gradients(some_factory: Factory, scale: tuple[int, ...]) -> None:
    degradation = some_factory(scale)
    shape = (5, 4, 3)[: len(scale)]
    x = noise(1, 1, *shape).requires_grad_()
    assert torch.autograd.gradcheck(degradation, x)
    y = degradation(x).detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda lr: degradation.adjoint(lr, size=shape), y)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.complex64])
def test_type_is_kept_and_computed_in_float32(some_factory: Factory, dtype: torch.dtype) -> None:
    degradation = some_factory((2, 3))
    x = noise(1, 1, 12, 11).to(dtype)
    y = degradation(x)
    assert y.dtype == dtype
    exact = degradation(x.to(torch.complex128 if dtype.is_complex else torch.float64))
    # Rounded once at the end, not at every step.
    torch.testing.assert_close(y.to(exact.dtype), exact, rtol=2 * torch.finfo(dtype).eps, atol=3e-6)
    # Float64 after float32 is float64.
    torch.testing.assert_close(exact, some_factory((2, 3))(x.to(exact.dtype)), rtol=0, atol=1e-14)


def test_autocast_changes_nothing(some_factory: Factory) -> None:
    degradation = some_factory((2, 3))
    x = noise(1, 1, 12, 11, dtype=torch.float32)
    y = degradation(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(degradation(x), y)
        assert torch.equal(degradation.adjoint(y), degradation.adjoint(y.clone()))
    torch.testing.assert_close(degradation(x.to(torch.bfloat16)).float(), y, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dims", [2, 3])
def test_identity_is_exact_where_nothing_is_to_be_done(dims: int) -> None:
    x = noise(1, 1, *(7,) * dims, dtype=torch.float32)
    for degradation in (
        AreaMean(1, dims),
        BicubicGaussian(1, dims),
        GaussianBlur(0.0, dims),
        GaussianDecimation(1, dims),
        KSpaceCrop(1, dims),
    ):
        assert torch.equal(degradation(x), x), degradation
        assert torch.equal(degradation.adjoint(x), x), degradation
        assert torch.equal(degradation.upsample(x, "zero_filled"), x), degradation


def test_a_matrix_made_in_inference_mode_serves_training_too(some_factory: Factory) -> None:
    degradation = some_factory((2, 2))
    x = noise(1, 1, 8, 8)
    with torch.inference_mode():
        y = degradation(x)
        degradation.upsample(y, "cubic")
    x.requires_grad_()
    z = degradation(x)
    (degradation.upsample(z, "cubic").sum() + z.sum()).backward()
    assert x.grad is not None
    assert torch.equal(z, y)


def test_sizes_may_change_for_ever() -> None:
    degradation = AreaMean(2, 2)
    for n in range(1, 150):
        assert degradation(torch.ones(1, 1, n, 1)).shape == (1, 1, (n + 1) // 2, 1)
    assert len(degradation._matrices) < 100


def test_metatensor_gives_a_plain_tensor_without_a_stale_affine(some_factory: Factory) -> None:
    degradation = some_factory((2, 2))
    x = noise(1, 1, 8, 8)
    for call in (degradation, degradation.adjoint, lambda t: degradation.upsample(t, "linear")):
        y = call(MetaTensor(x))
        assert type(y) is Tensor
        torch.testing.assert_close(y, call(x))


def test_copies_and_pickles_work_and_carry_no_matrices(some_factory: Factory) -> None:
    degradation = some_factory((2, 3))
    x = noise(1, 1, 8, 8)
    y = degradation(x)
    assert not degradation.state_dict()
    assert torch.equal(copy.deepcopy(degradation)(x), y)
    clone = pickle.loads(pickle.dumps(degradation))
    assert not clone._matrices
    assert torch.equal(clone(x), y)


def test_wrong_tensors_are_refused_with_the_shape_or_type_received(some_factory: Factory) -> None:
    degradation = some_factory((2, 2))
    with pytest.raises(InputError, match=r"1 spatial axes.*batch, channel, 2 spatial axes"):
        degradation(torch.ones(1, 8, 8))
    with pytest.raises(TypeError, match=r"torch.uint8.*\.float\(\)"):
        degradation(torch.ones(1, 1, 8, 8, dtype=torch.uint8))
    lr = torch.ones(1, 1, 4, 4)
    if degradation.scale_factor == (2, 2):
        with pytest.raises(ValueError, match=r"size=\(9, 8\).*7 to 8, 7 to 8"):
            degradation.adjoint(lr, size=(9, 8))
        with pytest.raises(ValueError, match=r"size=\(8,\)"):
            degradation.upsample(lr, "cubic", size=(8,))
    with pytest.raises(UsageError, match=r"method='lanczos'.*nearest"):
        degradation.upsample(lr, "lanczos")


@settings(max_examples=10)
@given(data=st.data())
def test_blob_lies_where_the_grid_says(
    factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    scale, offset = np.array(degradation.scale_factor), np.array(degradation.grid.offset)
    sigma = 1.6 * scale  # narrow enough to move by a fraction of a voxel, wide enough not to alias
    border = degradation.border or (0,) * len(scale)
    shape = tuple(int(20 * s + b + data.draw(st.integers(0, s - 1))) for s, b in zip(scale, border, strict=True))
    centre = np.array([n / 2 + data.draw(st.floats(-1.0, 1.0)) for n in shape])
    blob = gaussian_blob(shape, centre, sigma)
    at = scale * centre_of_mass(degradation(blob)) + offset
    np.testing.assert_allclose(at, centre, atol=0.01)


@settings(max_examples=6)
@given(data=st.data())
def test_blob_comes_back_to_its_place(
    factory: Factory, scales: st.SearchStrategy[tuple[int, ...]], data: st.DataObject
) -> None:
    degradation = factory(data.draw(scales))
    scale = np.array(degradation.scale_factor)
    border = degradation.border or (0,) * len(scale)
    shape = tuple(int(20 * s + b + data.draw(st.integers(0, s - 1))) for s, b in zip(scale, border, strict=True))
    centre = np.array([n / 2 + data.draw(st.floats(-1.0, 1.0)) for n in shape])
    lr = degradation(gaussian_blob(shape, centre, 1.6 * scale))
    for method in ("linear", "cubic", "zero_filled"):
        hr = degradation.upsample(lr, method, size=shape)
        assert hr.shape == (1, 1, *shape)
        np.testing.assert_allclose(centre_of_mass(hr), centre, atol=0.02, err_msg=method)
