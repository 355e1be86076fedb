"""Values that scans have and networks have never seen, and pictures that are more than one grey picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
from dicom_files import Layout, save, write_classic
from PIL import Image
from scipy import ndimage
from tiny_scans import tiny_volume

from attack_families.attack import AFFINE, Attack, MakeFiles, Outcome, WrongError, command, convert

__all__ = ["pictures", "unusual_values"]

_SHAPE = (48, 40, 4)


def _phase(rng: np.random.Generator) -> np.ndarray:
    """A field that wraps at -pi and pi, in the units of a scanner."""
    field = ndimage.gaussian_filter(rng.normal(size=_SHAPE), 6)
    return np.asarray((field / field.std() * 4 + np.pi) % (2 * np.pi) - np.pi) * 4096 / np.pi


def unusual_values(rng: np.random.Generator) -> Iterator[Attack]:
    """Sharpen slabs with values below 0: a result stays in the range of its input, or there is none."""
    head = tiny_volume(int(rng.integers(100)), _SHAPE).astype(np.float64)
    turned = ndimage.rotate(head, float(rng.uniform(5, 40)), reshape=False, order=3, mode="constant")
    resized = ndimage.zoom(head, (0.8, 0.8, 1), order=3)
    padded = np.where(head > 0, head, -2000.0)
    cases: dict[str, tuple[np.ndarray, Outcome]] = {
        "as it is": (head, "result"),
        "turned with a spline": (turned, "result"),
        "resized with a spline": (resized, "result"),
        "mean 0": ((head - head.mean()) / head.std(), ""),
        "mean 0 inside": (np.where(head > 0, (head - head[head > 0].mean()) / head[head > 0].std(), 0), ""),
        "negated": (-head, ""),
        "phase": (_phase(rng), ""),
        "velocity": (_phase(rng) * (head > 0), ""),
        "padded with -2000": (padded, ""),
        "noise about 0": (rng.normal(0, 100, _SHAPE), ""),
        "one voxel of -30000": (np.where(np.arange(head.size).reshape(_SHAPE) == 4321, -30000, head), ""),
        "flat": (np.full(_SHAPE, 1000.0) + rng.normal(0, 10, _SHAPE), ""),
        "tiny": (head * 1e-30, ""),
        "huge": (head * 1e30, ""),
        "far above 0": (head + 1e6, ""),
    }
    for name, (values, must) in cases.items():
        for bundle in ("brain_mri_espcn", "cardiac_mri_srresnet"):
            yield Attack(f"{name}, {bundle}", _sharpen, (values, bundle), must=must, seconds=240)
    for value, limit in ((-2000, None), (-2000, -1500), (63536, None)):
        yield Attack(f"PixelPaddingValue {value} to {limit}", _padding, (value, limit), seconds=240)


def _sharpen(folder: Path, values: np.ndarray, bundle: str) -> None:
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), folder / "a.nii.gz")
    command(folder, "--input", "a.nii.gz", "--output_dir", "out", bundle=bundle)
    result = nib.load(folder / "out" / "a_sr.nii.gz").get_fdata()
    low, high = values.min(), values.max()
    room = 0.251 * (high - low)  # a quarter, and rounding
    if result.min() < low - room or result.max() > high + room:
        raise WrongError(f"{low:.4g} to {high:.4g} became {result.min():.4g} to {result.max():.4g}")
    if abs(result.mean() - values.mean()) > 0.03 * (high - low):
        raise WrongError(f"the mean {values.mean():.4g} became {result.mean():.4g}")


def _padding(folder: Path, value: int, limit: int | None) -> None:
    """Sharpen DICOM whose air is padding, which is no value of the image."""
    layout = Layout(shape=(40, 48, 3), dtype="int16" if value < 0 else "uint16")
    head = tiny_volume(1, (40, 48, 3))
    for number, file in enumerate(write_classic(folder / "in", layout)):
        data = pydicom.dcmread(file)
        plane = np.where(head[:, :, number] > 0, head[:, :, number], value).T
        data.PixelData = plane.astype(layout.dtype).tobytes()
        representation = "SS" if value < 0 else "US"
        data.add_new("PixelPaddingValue", representation, value)
        if limit is not None:
            data.add_new("PixelPaddingRangeLimit", representation, limit)
        save(data, file)
    command(folder, "--input", "in", "--output_dir", "out", "--output_format", "nifti")
    result = nib.load(folder / "out" / "in_sr.nii.gz").get_fdata()
    inside = ndimage.binary_erosion(ndimage.zoom(head, (4, 4, 1), order=0) > 0, np.ones((9, 9, 1)))
    if result[inside].min() < 0 or result[inside].max() > 2500:
        raise WrongError(f"300 to 2000 became {result[inside].min():.4g} to {result[inside].max():.4g}")


def pictures(rng: np.random.Generator) -> Iterator[Attack]:
    """Read pictures of all modes: a right one is grey, refused, or mentioned as another one."""
    grey = np.clip(ndimage.zoom(rng.normal(128, 40, (5, 6)), 8, order=1), 0, 255).astype(np.uint8)
    image = Image.fromarray(grey)

    def saved(name: str, picture: Image.Image, **options: Any) -> MakeFiles:
        return lambda folder: picture.save(folder / name, **options)

    for mode in ("CMYK", "YCbCr", "RGB", "L"):
        steps = saved(f"{mode}.jpg", image.convert(mode), quality=100)
        yield Attack(f"JPEG {mode}", _near, (steps, grey), must="refused" if mode == "CMYK" else "")
    inverted = image.convert("RGB").convert("CMYK").point(lambda value: 255 - value)
    yield Attack("JPEG CMYK, inverted", lambda f: convert(f, saved("a.jpg", inverted, quality=100)), must="refused")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = image.convert(mode)
        wanted = grey if mode != "1" else None
        yield Attack(f"PNG {mode}", convert, (saved("a.png", picture), wanted))
    frames = [Image.fromarray(grey[::-1].copy()), Image.fromarray(255 - grey)]
    animated = saved("a.png", image, save_all=True, append_images=frames, duration=100)
    yield Attack("animated PNG", lambda f: convert(f, animated), must="refused")
    yield Attack("animated GIF named PNG", lambda f: convert(f, _gif(image, frames)), must="refused")
    several = saved("a.jpg", image.convert("RGB"), format="MPO", save_all=True, append_images=frames)
    yield Attack("JPEG of several pictures", lambda f: convert(f, several), must="refused")
    for orientation in range(2, 9):
        turned = image.getexif()
        turned[0x0112] = orientation
        make = saved("a.jpg", image, quality=100, exif=turned)
        yield Attack(f"JPEG with EXIF orientation {orientation}", _near, (make, grey))


def _gif(image: Image.Image, frames: list[Image.Image]) -> Callable[[Path], object]:
    return lambda folder: image.save(folder / "a.png", format="GIF", save_all=True, append_images=frames)


def _near(folder: Path, make: MakeFiles, grey: np.ndarray) -> None:
    """Read a picture that loses a little when it is packed."""
    convert(folder, make)
    (result,) = (folder / "out" / "in").iterdir()
    found = np.asarray(Image.open(result)).astype(float)
    if found.shape != grey.shape or np.abs(found - grey).max() > 24:
        raise WrongError(f"read as another picture of {found.shape}")
