"""PNG and JPEG files through Pillow: grey values, 8 or 16 bits, rows and columns as stored."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from custom.errors import InputError
from custom.scans.scan import Scan, ScanHeader, check_shape
from custom.scans.sizes import check_memory

__all__ = ["PICTURE_SUFFIXES", "check_picture_header", "read_picture", "write_picture"]

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

# No other parsers of Pillow may open a file, which anybody may have sent.
_FORMATS = ("PNG", "JPEG")
# Bytes a pixel at the height of reading: four channels twice, as they are and as RGB, and float32.
_BYTES_PER_PIXEL = 12
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def check_picture_header(path: Path) -> None:
    """Read the header alone and refuse what is not a PNG or JPEG file of one picture.

    Raises:
        InputError: for a file that is something else, colours for printing (CMYK), and several pictures in one file.
    """
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            _check(picture, path)
    except InputError:
        raise
    except Exception as err:  # Pillow's parsers raise a dozen unrelated types for a broken file
        raise _unreadable(path, err) from err


def read_picture(path: Path, memory_limit: float | None = None) -> Scan:
    """Read a PNG or JPEG file as grey values (rows, columns), 0..255 or 0..65535, in float32.

    Colour pictures with three equal channels are grey; others become luminance (ITU-R BT.601), with a warning.
    A picture has no position and no spacing, so its affine is the identity.

    Args:
        path: the file.
        memory_limit: see `check_memory`.

    Raises:
        InputError: for a file that is not one whole PNG or JPEG picture, or that does not fit into memory; for colours
            for printing (CMYK).
    """
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            _check(picture, path)
            check_memory(path, picture.size, _BYTES_PER_PIXEL, memory_limit)
            picture.load()
            array = _grey(picture, path)
    except InputError:
        raise
    except Exception as err:  # see check_picture_header
        raise _unreadable(path, err) from err
    check_shape(array.shape, path)
    return Scan(array.astype(np.float32), np.eye(4), ScanHeader(stored_dtype=array.dtype.name))


def write_picture(array: np.ndarray, path: Path, description: str = "") -> None:
    """Write grey values (rows, columns), uint8 or, as PNG only, uint16. PNG takes a description along.

    Raises:
        ValueError: for 16 bits in a JPEG file, which holds 8.
    """
    if path.suffix.lower() != ".png" and array.dtype != np.uint8:
        raise ValueError(f"{path.name}: JPEG holds 8 bits and the picture has {array.dtype.name}; name it .png")
    words = PngInfo()
    if description:
        words.add_text("Description", description)
    # Each format takes the options that it knows: JPEG the quality, PNG the words.
    Image.fromarray(array).save(path, quality=95, pnginfo=words)


def _check(picture: Image.Image, path: Path) -> None:
    """Refuse what would be read as something else than what a viewer shows."""
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        raise InputError(f"{path}: holds {frames} pictures (animated, or of several views); save each as its own file")
    if picture.mode == "CMYK":
        raise InputError(
            f"{path}: has the colours of a printer (CMYK), which have no sure grey values; save it in grey"
        )


def _grey(picture: Image.Image, path: Path) -> np.ndarray:
    if picture.mode in _SIXTEEN_BIT_MODES:
        return np.asarray(picture).astype(np.uint16)
    if picture.mode in ("1", "L"):
        return np.asarray(picture.convert("L"))
    if picture.mode in ("LA", "RGBA", "PA") and picture.getextrema()[-1] != (255, 255):
        logger.warning("%s: the picture is partly transparent; the transparency is ignored", path)
    colours = np.asarray(picture.convert("RGB"))
    if (colours == colours[..., :1]).all():
        return colours[..., 0]
    logger.warning("%s: a colour picture; its luminance is used", path)
    return np.asarray(picture.convert("RGB").convert("L"))


def _unreadable(path: Path, err: Exception) -> InputError:
    return InputError(
        f"{path}: cannot be read as PNG or JPEG, it is truncated, damaged or another kind of file "
        f"({type(err).__name__}); copy or export it again"
    )
