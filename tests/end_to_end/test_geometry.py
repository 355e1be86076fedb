"""A point source stays where it was: degraded, stored as NIfTI or DICOM, read, enlarged, written, and read again."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from degradation_cases import DEGRADATIONS
from dicom_files import Layout, rotated, write_classic, write_enhanced
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from custom.arrays import field_of_view_corners
from custom.degradations import BicubicGaussian
from custom.scans import ResultOptions, read_scan
from custom.transforms import SaveScand, SetGridAffined

KINDS = {
    "area_mean": DEGRADATIONS["area_mean"],
    "bilinear": DEGRADATIONS["bilinear"],
    # Narrower than in the table: blurred by a voxel, the point source would reach the borders, which mirror it.
    "bicubic_gaussian": lambda scale: BicubicGaussian(scale, sigma=0.5),
    "gaussian_decimation": DEGRADATIONS["gaussian_decimation"],
    "gaussian_blur": DEGRADATIONS["gaussian_blur"],
    "kspace_crop": DEGRADATIONS["kspace_crop"],
    "kspace_crop_plain": DEGRADATIONS["kspace_crop_plain"],
}
#: Their first voxels lie on the first voxels of the high-resolution image; the others share its field of view.
CORNER_GRIDS = ("gaussian_decimation", "kspace_crop_plain")
STORED = ("nifti", "classic", "enhanced", "classic from enhanced")

SLOPE, INTERCEPT = 0.5, -20.0
BACKGROUND, HEIGHT = 300.0, 20_000.0  # in the units of a scan; what rings below zero has to stay storable
WIDTH = 1.0  # standard deviation of the point source in low-resolution voxels: aliasing is then below 1e-6


@dataclass(frozen=True)
class Case:
    """A low-resolution scan and what lies in it.

    Attributes:
        degradation: of `KINDS`.
        stored: of `STORED`.
        axes: unit vectors of i, j, k in RAS, as columns; right-handed in LPS for DICOM.
        spacing: mm along i, j, k.
        origin: RAS mm of the first voxel.
        shape: voxels along i, j, k.
        scale: by which each axis is enlarged.
        points: where the point source of each frame lies, in low-resolution voxels off the centre of the scan.
        method: of interpolation.
        short: high-resolution voxels by which each axis is shorter than scale times shape.
    """

    degradation: str
    stored: str
    axes: np.ndarray
    spacing: tuple[float, float, float] = (0.7, 1.1, 3.0)
    origin: tuple[float, float, float] = (-61.3, 20.7, 104.9)
    shape: tuple[int, int, int] = (13, 11, 12)
    scale: tuple[int, int, int] = (2, 3, 1)
    points: tuple[tuple[float, float, float], ...] = ((0.3, -0.45, 0.2),)
    method: str = "cubic"
    short: tuple[int, int, int] = (0, 0, 0)

    @property
    def affine(self) -> np.ndarray:
        """Low-resolution voxel index to RAS mm."""
        affine = np.eye(4)
        affine[:3, :3] = self.axes * self.spacing
        affine[:3, 3] = self.origin
        return affine

    @property
    def affine_hr(self) -> np.ndarray:
        """High-resolution voxel index to RAS mm: voxel x lies at (x - offset) / scale of the low-resolution image."""
        scale = np.array(self.scale_used, dtype=float)
        offset = 0.0 * scale if self.degradation in CORNER_GRIDS else (scale - 1) / 2
        affine = np.eye(4)
        affine[:3, :3] = self.affine[:3, :3] / scale
        affine[:3, 3] = self.affine[:3, 3] - self.affine[:3, :3] @ (offset / scale)
        return affine

    @property
    def scale_used(self) -> tuple[int, int, int]:
        """A blur enlarges nothing."""
        return (1, 1, 1) if self.degradation == "gaussian_blur" else self.scale

    @property
    def shape_hr(self) -> tuple[int, ...]:
        """Each axis may end before its last low-resolution voxel does, but not before that voxel begins."""
        return tuple(
            n * s - min(less, s - 1) for n, s, less in zip(self.shape, self.scale_used, self.short, strict=True)
        )

    @property
    def world(self) -> np.ndarray:
        """RAS mm of the point sources, (frames, 3)."""
        index = (np.array(self.shape) - 1) / 2 + np.array(self.points)
        return index @ self.affine[:3, :3].T + self.affine[:3, 3]


def _point_sources(case: Case) -> torch.Tensor:
    """Draw Gaussians at their place in the world, (frames, *shape_hr)."""
    affine = case.affine_hr
    frames = []
    for place in case.world:
        centre = np.linalg.solve(affine[:3, :3], place - affine[:3, 3])
        profiles = [
            np.exp(-0.5 * ((np.arange(n) - c) / (WIDTH * s)) ** 2)
            for n, c, s in zip(case.shape_hr, centre, case.scale_used, strict=True)
        ]
        frames.append(BACKGROUND + HEIGHT * np.einsum("i,j,k->ijk", *profiles))
    return torch.from_numpy(np.stack(frames))


def _store(folder: Path, case: Case, image: np.ndarray) -> Path:
    """Write (frames, i, j, k) as 16-bit integers with a slope and an intercept, and return what to read."""
    stored = np.rint((image - INTERCEPT) / SLOPE)
    if case.stored == "nifti":
        frames_last = np.moveaxis(stored, 0, -1) if len(stored) > 1 else stored[0]
        header = nib.Nifti1Image(frames_last.astype(np.uint16), case.affine)
        header.header.set_slope_inter(SLOPE, INTERCEPT)
        if len(stored) > 1:
            header.header.set_zooms((*case.spacing, 40.0))
            header.header.set_xyzt_units("mm", "msec")
        nib.save(header, folder / "scan.nii")
        return folder / "scan.nii"
    lps = np.diag((-1.0, -1.0, 1.0))
    layout = Layout(
        shape=case.shape,
        frames=len(image),
        origin=tuple(lps @ case.origin),
        orientation=(lps @ case.axes[:, :2]).T.ravel().tolist(),
        spacing=case.spacing,
        slopes=(SLOPE,),
        intercept=INTERCEPT,
    )
    planes = stored.astype("<u2")

    def classic(data: Dataset, k: int, t: int) -> Dataset:
        data.PixelData = planes[t, :, :, k].T.tobytes() + b"\0" * (2 * planes[t, :, :, k].size % 2)
        return data

    def enhanced(data: Dataset) -> None:
        # the builder's own order: slices backwards, frames of one place together
        data.PixelData = planes.transpose(3, 0, 2, 1)[::-1].tobytes()

    if case.stored == "classic":
        write_classic(folder / "scan", layout, change=classic)
        return folder / "scan"
    return write_enhanced(folder / "scan.dcm", layout, change=enhanced)


def _centre_of_mass(image: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return where the light of an image (i, j, k) over the background lies, in mm."""
    light = image.astype(np.float64) - BACKGROUND
    index = [
        (light.sum(axis=tuple(a for a in range(3) if a != axis)) * np.arange(n)).sum() / light.sum()
        for axis, n in enumerate(light.shape)
    ]
    return affine[:3, :3] @ np.array(index) + affine[:3, 3]


def _check(folder: Path, case: Case) -> None:
    """Take a scan all the way and see where its corners, its light and its values are."""
    degradation = KINDS[case.degradation](case.scale_used)
    point_sources = _point_sources(case)
    source = _store(folder, case, degradation(point_sources[None])[0].numpy())
    scan = read_scan(source)
    assert tuple(scan.shape) == (len(case.points), *case.shape)
    enlarged = degradation.upsample(scan.as_tensor()[None], case.method, size=case.shape_hr)[0]
    # what a network gives: a tensor with the metadata of its input
    item = SetGridAffined(degradation=degradation)({"image": scan, "pred": MetaTensor(enlarged, meta=scan.meta)})
    form = "classic" if case.stored == "classic from enhanced" else "as_input"
    item = SaveScand("pred", ResultOptions(folder / "out", dtype="source", dicom_form=form))(item)  # type: ignore[arg-type]
    back = read_scan(item["pred_path"])

    affine = back.affine.numpy()
    corners = field_of_view_corners(back.shape[1:], affine)
    np.testing.assert_allclose(corners, field_of_view_corners(case.shape_hr, case.affine_hr), rtol=0, atol=1e-3)
    if case.degradation not in CORNER_GRIDS and case.short == (0, 0, 0):
        np.testing.assert_allclose(corners, field_of_view_corners(case.shape, case.affine), rtol=0, atol=1e-3)

    assert tuple(back.shape) == (len(case.points), *case.shape_hr)
    assert float((back.as_tensor() - enlarged).abs().max()) <= 0.5 * SLOPE * (1 + 1e-5) + 1e-3  # float32 of 20 000
    assert back.meta["header"].frame_axis == scan.meta["header"].frame_axis
    # means over the slices, of which the result may have one less; each is 0.5 ms later than the one below
    np.testing.assert_allclose(*(s.meta["header"].frame_values for s in (back, scan)), rtol=1e-6, atol=0.25)

    voxel = np.array(case.spacing) / case.scale_used
    for frame, place in zip(back.numpy(), case.world, strict=True):
        off = case.axes.T @ (_centre_of_mass(frame, affine) - place) / voxel
        assert np.abs(off).max() <= 0.05, f"{off} voxels off"


def _axis_codes() -> list[np.ndarray]:
    return [
        np.eye(3)[:, order] * np.array(signs)
        for order in map(list, permutations(range(3)))
        for signs in product((1.0, -1.0), repeat=3)
    ]


def _code(axes: np.ndarray) -> str:
    return "".join(nib.aff2axcodes(np.block([[axes, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])))


@pytest.mark.parametrize("axes", _axis_codes(), ids=_code)
def test_every_axis_code_as_nifti(tmp_path: Path, axes: np.ndarray) -> None:
    number = [_code(a) for a in _axis_codes()].index(_code(axes))
    _check(tmp_path, Case(list(KINDS)[number % 7], "nifti", axes, method=("linear", "cubic")[number % 2]))


@pytest.mark.parametrize("axes", [a for a in _axis_codes() if np.linalg.det(a) > 0], ids=_code)
def test_every_axis_code_of_dicom(tmp_path: Path, axes: np.ndarray) -> None:
    number = [_code(a) for a in _axis_codes()].index(_code(axes))
    # right-handed, since k runs along row x column; LPS is RAS with two signs turned, which keeps the handedness
    _check(
        tmp_path,
        Case(list(KINDS)[number % 7], STORED[1 + number % 3], axes, shape=(11, 10, 9), scale=(3, 2, 1)),
    )


angles = st.tuples(*[st.floats(-3.1, 3.1)] * 3)
offs = st.tuples(*[st.floats(-0.5, 0.5)] * 3)


# Each degradation in two of the forms, so that each form has both kinds of grid.
@pytest.mark.parametrize(
    ("degradation", "stored"), [(name, STORED[(i + step) % 4]) for i, name in enumerate(KINDS) for step in (0, 2)]
)
# without shrinking: a scan of many files takes a second
@settings(max_examples=2, phases=[Phase.explicit, Phase.generate])
@given(
    angles=angles,
    mirrored=st.booleans(),
    spacing=st.tuples(*[st.floats(0.3, 5.0)] * 3),
    origin=st.tuples(*[st.floats(-200.0, 200.0)] * 3),
    shape=st.tuples(*[st.sampled_from([9, 10, 11])] * 3),
    scale=st.sampled_from([(2, 2, 2), (3, 3, 1), (1, 2, 2), (4, 1, 2), (2, 3, 1)]),
    points=st.lists(offs, min_size=1, max_size=2),
    method=st.sampled_from(["linear", "cubic"]),
    short=st.sampled_from([(0, 0, 0), (1, 0, 1), (1, 2, 0)]),
)
def test_oblique_scans_of_any_spacing_size_and_scale(
    tmp_path_factory: pytest.TempPathFactory,
    degradation: str,
    stored: str,
    angles: tuple[float, float, float],
    mirrored: bool,
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    shape: tuple[int, int, int],
    scale: tuple[int, int, int],
    points: list[tuple[float, float, float]],
    method: str,
    short: tuple[int, int, int],
) -> None:
    if stored == "nifti":
        axes = Rotation.from_euler("xyz", angles).as_matrix() * (-1.0 if mirrored else 1.0)
    else:
        lps = np.array(rotated(angles)).reshape(2, 3)
        axes = np.diag((-1.0, -1.0, 1.0)) @ np.stack([*lps, np.cross(*lps)], axis=1)
    folder = tmp_path_factory.mktemp("scan")
    case = Case(degradation, stored, axes, spacing, origin, shape, scale, tuple(points), method, short)
    _check(folder, case)
    shutil.rmtree(folder)
