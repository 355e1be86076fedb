"""A synthetic short-axis cine of the heart, which is painted when it is first needed, so that nothing is downloaded.

Each subject is a 4D NIfTI file (x, y, slice, phase) with the contrast of bSSFP: blood is brighter than myocardium, fat
is bright, lungs are dark. It shows a contracting left ventricle with papillary muscles, the right ventricle, chest
wall, liver, stomach, spleen and aorta, with the shading of a surface coil and Rician noise. Subjects differ in shape,
ejection fraction, contrast and noise. It is a drawing, not a simulation: figures on it say nothing about patients.
"""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from custom.storage import whole_file

__all__ = [
    "SYNTHETIC_SUBJECTS",
    "contraction",
    "paint_synthetic_cine",
    "sample_scans",
    "synthetic_cine",
    "synthetic_cine_folder",
]

#: The subjects, in the order of their numbers.
SYNTHETIC_SUBJECTS = tuple(f"synthetic-{number}" for number in range(1, 7))

Image = NDArray[np.float32]

_SIZE, _SLICES, _PHASES = 128, 3, 12
_PIXEL_MM, _SLICE_MM = 1.6, 10.0
# Painted on a grid this many times finer and averaged, so that there is partial volume at every edge.
_FINE = 2
_EDGE_MM = 1.2
_SCALE = 1000.0
# The folder has the version of the drawing, so that files of an older version are not used.
_FOLDER = "synthetic_cine_v1"


@dataclass(frozen=True)
class _Heart:
    """The parameters of a subject; lengths in mm, signals on a scale where blood has about 0.8.

    Attributes:
        seed: the random seed of texture and noise.
        ed_radius: the radius of the left ventricle's cavity at end-diastole, in the middle slice.
        wall: the thickness of the myocardium at end-diastole.
        shortening: the fraction of the radius that is lost at end-systole; the ejection fraction of the area is
            1 - (1 - shortening)^2.
        right_size: the size of the right ventricle; 1 is usual.
        blood, muscle, fat: their signals.
        noise: the standard deviation of the noise in the real and in the imaginary part.
        shift: the displacement of the heart in the image, (x, y).
        infarct: the fraction of the shortening that is missing in one sector of the wall.
    """

    seed: int
    ed_radius: float
    wall: float
    shortening: float
    right_size: float
    blood: float
    muscle: float
    fat: float
    noise: float
    shift: tuple[float, float]
    infarct: float = 0.0


_HEARTS = (
    _Heart(1, 24.0, 8.5, 0.36, 1.00, 0.82, 0.27, 0.95, 0.018, (2.0, -3.0)),
    _Heart(2, 22.0, 14.5, 0.44, 0.90, 0.78, 0.30, 0.85, 0.022, (-3.0, 1.0)),
    _Heart(3, 32.0, 7.0, 0.14, 1.10, 0.76, 0.25, 0.80, 0.026, (0.0, 2.0), 0.7),
    _Heart(4, 26.0, 9.0, 0.31, 1.15, 0.85, 0.28, 1.00, 0.020, (4.0, -1.0)),
    _Heart(5, 23.0, 9.5, 0.38, 0.95, 0.80, 0.26, 0.90, 0.024, (-2.0, -4.0)),
    _Heart(6, 29.0, 8.0, 0.20, 1.05, 0.79, 0.29, 0.88, 0.020, (1.0, 3.0), 0.5),
)


def contraction(phase: float) -> float:
    """Return the contraction of the heart, 0 at end-diastole and 1 at end-systole.

    Systole takes 0.35 of the cycle. Then the ventricle fills quickly, rests, and is filled up by the atrium.

    Args:
        phase: the fraction of the cycle, 0 to 1.
    """
    times = (0.0, 0.1, 0.2, 0.35, 0.45, 0.55, 0.8, 0.9, 1.0)
    parts = (0.0, 0.25, 0.7, 1.0, 0.7, 0.25, 0.15, 0.05, 0.0)
    return float(np.interp(phase % 1.0, times, parts))


def synthetic_cine_folder() -> Path:
    """Return the folder of the synthetic cine; `sample_scans` paints its files.

    It is `mri-sr-bundles/synthetic_cine_v1` in the user's cache, `$XDG_CACHE_HOME` or `~/.cache`, because the installed
    package may be read-only. If that cannot be written, it lies in the folder of temporary files.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mri-sr-bundles" / _FOLDER
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if not _missing(cache) or (there.is_dir() and os.access(there, os.W_OK)):
        return cache
    return Path(tempfile.gettempdir()) / f"mri-sr-bundles-{_user()}" / _FOLDER


def sample_scans(folder: str | Path) -> str:
    """Return a folder of scans. If it is that of the synthetic cine, missing files are painted first.

    Painting takes some seconds and 4 MB. Processes that start together write the same files, each whole.

    Raises:
        InputError: if the files cannot be written.
    """
    if Path(folder) == synthetic_cine_folder():
        paint_synthetic_cine(folder)
    return str(folder)


def paint_synthetic_cine(folder: str | Path) -> None:
    """Paint the files of the synthetic cine that a folder lacks.

    Raises:
        InputError: if the files cannot be written.
    """
    for number, path in _missing(Path(folder)).items():
        image = synthetic_cine(number)
        with whole_file(path) as temporary:
            nib.save(image, temporary)


def synthetic_cine(number: int) -> nib.Nifti1Image:
    """Paint one subject.

    Args:
        number: 1 to 6.

    Returns:
        int16 (x, y, slice, phase), 128 x 128 x 3 x 12: x to the patient's left, y to the back, slices from apex to
        base, phases from end-diastole on. Voxels of 1.6 x 1.6 x 10 mm, oblique; the signal of blood is about 800.
    """
    heart = _HEARTS[number - 1]
    random = np.random.default_rng(heart.seed)
    frames = np.empty((_SIZE, _SIZE, _SLICES, _PHASES), dtype=np.int16)
    for k in range(_SLICES):
        torso = _Torso(heart, k / (_SLICES - 1), random)
        for t in range(_PHASES):
            signal = torso.paint(t / _PHASES)
            # Rician: the magnitude of a complex signal with noise in both channels.
            noise = random.normal(scale=heart.noise, size=(2, _SIZE, _SIZE))
            magnitude = np.hypot(signal + noise[0], noise[1])
            frames[:, :, k, t] = np.rint(_SCALE * magnitude).astype(np.int16).T
    image = nib.Nifti1Image(frames, _affine())
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = (0.80 + 0.04 * number) / _PHASES
    image.set_sform(_affine(), 1)
    image.set_qform(_affine(), 1)
    return image


class _Torso:
    """One slice through a chest; its parts that do not move are drawn once."""

    def __init__(self, heart: _Heart, level: float, random: np.random.Generator) -> None:
        """Draw the chest; `level` is 0 for the slice at the apex of the heart and 1 at its base."""
        self.heart = heart
        self.level = level
        self.random = random
        fine = _SIZE * _FINE
        axis = (np.arange(fine, dtype=np.float32) - (fine - 1) / 2) * np.float32(_PIXEL_MM / _FINE)
        self.y, self.x = np.meshgrid(axis, axis, indexing="ij")
        self.centre = (heart.shift[0] + 16.0, heart.shift[1] + 4.0)
        self.texture = 1 + 0.06 * self._smooth_noise(2.0) + 0.05 * self._smooth_noise(6.0)
        self.flow = self._smooth_noise(3.5)
        self.waves = random.uniform(-0.03, 0.03, size=(4, 2))
        self.beams = random.uniform(-0.012, 0.012, size=(8, 2))
        self.still = self._chest()
        # The coil lies on the front of the chest, at the upper left.
        self.shading = 0.5 + 0.85 * np.exp(-np.hypot(self.x + 65, self.y + 75) / 110)

    def paint(self, phase: float) -> NDArray[np.float64]:
        """Return the signal of the slice, (rows, columns), at a phase of 0 to 1."""
        image = self.still.copy()
        self._add_heart(image, contraction(phase))
        image *= self.texture * self.shading
        return image.reshape(_SIZE, _FINE, _SIZE, _FINE).mean(axis=(1, 3), dtype=np.float64)

    def _smooth_noise(self, width_mm: float) -> Image:
        """Return a random texture, (rows, columns), of standard deviation 1."""
        noise = self.random.normal(size=self.x.shape).astype(np.float32)
        smooth: Image = ndimage.gaussian_filter(noise, width_mm * _FINE / _PIXEL_MM, mode="wrap", truncate=3.0)
        return smooth / smooth.std()

    def _ellipse(self, x: float, y: float, a: float, b: float, degrees: float = 0.0) -> Image:
        """Return 1 inside an ellipse and 0 outside, with a soft edge; axes in mm."""
        turn = math.radians(degrees)
        u = ((self.x - x) * math.cos(turn) + (self.y - y) * math.sin(turn)) / a
        v = ((self.y - y) * math.cos(turn) - (self.x - x) * math.sin(turn)) / b
        return _soft((1 - np.sqrt(u * u + v * v)) * min(a, b))

    def _scattered(self, image: Image, within: Image, number: int, widths: tuple[float, float], signal: float) -> None:
        """Draw small vessels in a region, some cut across and some along."""
        places = np.argwhere(within > 0.99)
        for row, column in places[self.random.integers(len(places), size=number)]:
            width, length = self.random.uniform(*widths), self.random.uniform(1, 4)
            x, y = float(self.x[row, column]), float(self.y[row, column])
            vessel = self._ellipse(x, y, width * length, width, self.random.uniform(0, 180))
            _over(image, vessel * within, signal * self.random.uniform(0.6, 1.2))

    def _chest(self) -> Image:
        """Return the chest without the heart: its wall, lungs, liver, stomach, spleen and aorta."""
        heart = self.heart
        image = np.full_like(self.x, 0.01)
        _over(image, self._ellipse(55, 55, 178, 176), heart.fat)
        _over(image, self._ellipse(56, 56, 164, 160), 0.28 + 0.04 * self._smooth_noise(3.0))
        for degrees in (200, 216, 232, 248, 262):  # ribs and their cartilage, marrow within dark bone
            turn = math.radians(degrees)
            x, y = 56 + 157 * math.cos(turn), 56 + 154 * math.sin(turn)
            _over(image, self._ellipse(x, y, 14, 6, degrees + 90), 0.10)
            _over(image, self._ellipse(x, y, 12, 4, degrees + 90), 0.50)
        cavity = self._ellipse(58, 58, 152, 147)
        _over(image, cavity, 0.045)
        below = self._ellipse(0, 158, 175, 108 + 6 * self.level) * cavity
        self._scattered(image, cavity * (1 - below), 70, (0.7, 1.8), 0.4)
        # What lies under the diaphragm, in fat.
        _over(image, below, 0.58 * heart.fat + 0.03 * self._smooth_noise(4.0))
        liver = self._ellipse(-72, 106, 92, 58, 8) * below
        _over(image, liver, 0.34 + 0.02 * self._smooth_noise(3.0))
        self._scattered(image, liver, 9, (1.2, 2.4), 0.6)
        stomach = self._ellipse(42, 86, 30, 19, 10) * below
        _over(image, stomach, 0.33)
        _over(image, self._ellipse(42, 86, 25, 14, 10) * below, 0.22 + 0.12 * self._smooth_noise(3.0))
        _over(image, self._ellipse(92, 82, 22, 30, -20) * below, 0.44 + 0.02 * self._smooth_noise(3.0))
        _over(image, self._ellipse(84, 42, 11, 10.5), 0.14)
        _over(image, self._ellipse(84, 42, 9.5, 9), heart.blood)
        return image

    def _add_heart(self, image: Image, part: float) -> None:
        """Draw the heart over the chest; `part` is its contraction, 0 to 1."""
        heart = self.heart
        # Widest a little above the middle.
        size = 0.72 + 0.55 * self.level - 0.27 * self.level**2
        ed, wall = heart.ed_radius * size, heart.wall * (0.9 + 0.2 * self.level)
        whole = ed + wall
        # The heart moves and turns a little as it contracts.
        x, y = self.centre[0] - 1.5 * part, self.centre[1] + part
        angle = np.arctan2(self.y - y, self.x - x) - math.radians(8) * part
        radius = np.hypot(self.x - x, self.y - y)
        apart = np.angle(np.exp(1j * (angle - 0.6)))
        shortening = heart.shortening * part * (1 - heart.infarct * np.exp(-(apart**2) / 0.35))
        shape = _harmonics(self.waves, angle, 2)
        # The beams of muscle that line the cavity stand out more when it is small.
        inner = ed * (1 - shortening) * (1 + shape + (1 + 1.5 * part) * _harmonics(self.beams, angle, 7))
        # The wall keeps its area and gains from shortening along the long axis, so it thickens.
        outer = np.sqrt((ed * (1 - shortening)) ** 2 + (whole**2 - ed**2) * (1 + 0.12 * part)) * (1 + 0.4 * shape)

        # The right ventricle wraps around the left; fat fills the grooves, and the pericardium is a dark line.
        right_x, right_y = x - 0.62 * whole * heart.right_size, y - 0.16 * whole
        a, b = 1.22 * whole * heart.right_size, 0.98 * whole
        squeeze = 1 - 0.75 * heart.shortening * part
        follow = 0.25 + 0.75 * squeeze

        def right(margin: float, squeeze: float = 1.0) -> Image:
            return self._ellipse(right_x, right_y, a * squeeze + margin, b * squeeze**0.6 + margin, -14)

        _over(image, np.maximum(_soft(whole + 3.8 - radius), right(5.6, follow)), 0.08)
        _over(image, np.maximum(_soft(whole + 2.4 - radius), right(4.2, follow)), 0.62 * heart.fat)
        _over(image, right(2.8, squeeze), heart.muscle + 0.02)
        _over(image, right(0.0, squeeze), heart.blood * (0.93 + (0.03 + 0.05 * part) * self.flow))
        for degrees in (150, 175, 200, 228, 250):
            turn = math.radians(degrees)
            beam_x, beam_y = (
                right_x + 0.86 * squeeze * a * math.cos(turn),
                right_y + 0.86 * squeeze * b * math.sin(turn),
            )
            _over(image, self._ellipse(beam_x, beam_y, 5.0, 1.5, degrees + 25), heart.muscle + 0.1)

        _over(image, _soft(outer - radius), heart.muscle)
        _over(image, _soft(inner - radius), heart.blood * (1.0 + (0.02 + 0.05 * part) * self.flow))
        self._add_papillary_muscles(image, (x, y), ed * (1 - heart.shortening * part), part)

    def _add_papillary_muscles(self, image: Image, centre: tuple[float, float], radius: float, part: float) -> None:
        """Draw two muscles that touch the wall and move inwards with it; near the apex there are none."""
        if self.level < 0.25:
            return
        width = 0.17 * self.heart.ed_radius * (1.15 - 0.4 * self.level) * (1 + 0.15 * part)
        for degrees, scale in ((-28, 0.85), (78, 1.0)):
            turn = math.radians(degrees + 8 * part)
            distance = max(radius - 1.25 * width * scale, 0.35 * radius)
            x, y = centre[0] + distance * math.cos(turn), centre[1] + distance * math.sin(turn)
            muscle = self._ellipse(x, y, 1.25 * width * scale, width * scale, degrees)
            _over(image, 0.9 * muscle, self.heart.muscle + 0.03)


def _harmonics(amplitudes: NDArray[np.float64], angle: Image, first: int) -> Image:
    """Return a wavy outline: row n of the amplitudes has those of cosine and sine with `first` + n waves."""
    total = np.zeros_like(angle)
    for waves, (cosine, sine) in enumerate(amplitudes.tolist(), start=first):
        total += cosine * np.cos(waves * angle) + sine * np.sin(waves * angle)
    return total


def _soft(distance: Image) -> Image:
    """Return 0 outside of an edge and 1 inside, with a soft step; `distance` from the edge in mm, positive inside."""
    soft: Image = np.clip(0.5 + distance / (2 * _EDGE_MM), 0, 1)
    return soft


def _over(image: Image, cover: Image, signal: Image | float) -> None:
    """Paint a signal over an image; `cover` is 1 where only the signal is seen, and 0 where only the image is."""
    image += cover * (signal - image)


def _affine() -> NDArray[np.float64]:
    """Return the affine to RAS+ (mm), oblique: x to the left, y to the back, slices upwards, the middle at 0."""
    first, second = math.radians(25), math.radians(15)
    about_x = np.array([[1, 0, 0], [0, math.cos(first), -math.sin(first)], [0, math.sin(first), math.cos(first)]])
    about_y = np.array([[math.cos(second), 0, math.sin(second)], [0, 1, 0], [-math.sin(second), 0, math.cos(second)]])
    affine = np.eye(4)
    affine[:3, :3] = about_x @ about_y @ np.diag([-_PIXEL_MM, -_PIXEL_MM, _SLICE_MM])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array([_SIZE, _SIZE, _SLICES]) - 1) / 2)
    return affine


def _missing(folder: Path) -> dict[int, Path]:
    """Return the files that are missing in a folder, by the numbers of the subjects."""
    files = {number: folder / f"{subject}_sa.nii.gz" for number, subject in enumerate(SYNTHETIC_SUBJECTS, start=1)}
    return {number: path for number, path in files.items() if not path.is_file()}


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
