"""PNG and JPEG files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from custom.errors import InputError
from custom.scans import ScanHeader, check_header, read_scan, write_scan


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.PNG"])
def test_grey_pictures_are_rows_and_columns(tmp_path: Path, name: str) -> None:
    grey = np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))
    Image.fromarray(grey).save(tmp_path / name)
    scan = read_scan(tmp_path / name)
    assert scan.shape == (1, 16, 24)
    np.testing.assert_allclose(scan[0].numpy(), grey, atol=0 if name.lower().endswith("png") else 6)
    assert (scan.meta["header"].source.format, scan.meta["header"].stored_dtype) == ("picture", "uint8")
    np.testing.assert_array_equal(scan.affine.numpy(), np.eye(4))


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 12 * 10).astype(np.uint16).reshape(12, 10)
    Image.fromarray(grey).save(tmp_path / "a.png")
    scan = read_scan(tmp_path / "a.png")
    np.testing.assert_array_equal(scan[0].numpy(), grey)
    assert scan.meta["header"].stored_dtype == "uint16"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.jpg", {"mode": "CMYK"}, "has the colours of a printer .CMYK."),
        ("a.png", {"more": 1}, "holds 2 pictures .animated, or of several views.; save each as its own file"),
        ("a.jpg", {"more": 2, "format": "MPO"}, "holds 3 pictures"),
        ("a.png", {"more": 1, "format": "GIF"}, "cannot be read as PNG or JPEG"),
    ],
)
def test_other_than_one_picture_in_grey_or_colour_is_refused(
    tmp_path: Path, name: str, options: dict[str, Any], words: str
) -> None:
    """In the header already, so that a manifest with such a picture is refused before a training."""
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    more = [grey.transpose(Image.Transpose.ROTATE_90)] * options.pop("more", 0)
    saving = {"save_all": True, "append_images": more} if more else {}
    grey.convert(options.pop("mode", "L")).save(tmp_path / name, **saving, **options)
    for look in (check_header, read_scan):
        with pytest.raises(InputError, match=words):
            look(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_grey_in_the_clothes_of_colour(tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    grey = np.kron(np.eye(4), np.full((3, 3), 255)).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "a.png")
    np.testing.assert_array_equal(scan[0].numpy(), grey)
    assert not caplog.records


def test_colour_becomes_luminance_which_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (8, 9, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    with caplog.at_level(logging.WARNING):
        scan = read_scan(tmp_path / "a.png")
    np.testing.assert_allclose(scan[0].numpy(), colours @ np.array([0.299, 0.587, 0.114]), atol=1.0)
    assert "a.png: a colour picture; its luminance is used" in caplog.text


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_png_keeps_its_bits_and_is_clipped(tmp_path: Path, dtype: str, largest: int) -> None:
    values = torch.tensor([[[-3.0, 0.6, 100.4], [largest - 0.6, largest, largest + 40.0]]])
    write_scan(values, np.eye(4), ScanHeader(stored_dtype=dtype), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), [[0, 1, 100], [largest - 1, largest, largest]])
    assert read_scan(tmp_path / "a.png").meta["header"].stored_dtype == dtype


def test_jpeg_of_eight_bits(tmp_path: Path) -> None:
    values = torch.linspace(0, 200, 32 * 24).reshape(1, 32, 24)
    write_scan(values, np.eye(4), ScanHeader(), tmp_path / "a.jpg")
    assert float((read_scan(tmp_path / "a.jpg").as_tensor() - values).abs().max()) < 6
