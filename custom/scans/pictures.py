"""PNG and JPEG files through Pillow: grey values, 8 or 16 bits, rows and columns as stored."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from custom.errors import InputError
from custom.scans.scan import Scan, ScanHeader, check_shape

__all__ = ["PICTURE_SUFFIXES", "check_picture_header", "read_picture", "write_picture"]

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

# No other parsers of Pillow may open a file, which anybody may have sent.
_FORMATS = ("PNG", "JPEG")
_SIXTEEN_BIT_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def check_picture_header(path: Path) -> None:
    """Read the header alone and refuse what is not a PNG or JPEG file.

    Raises:
        InputError: for a file that is something else.
    """
    try:
        with Image.open(path, formats=_FORMATS):
            pass
    except Exception as err:  # Pillow's parsers raise a dozen unrelated types for a broken file
        raise _unreadable(path, err) from err


def read_picture(path: Path) -> Scan:
    """Read a PNG or JPEG file as grey values (rows, columns), 0..255 or 0..65535, in float32.

    Colour pictures with three equal channels are grey; others become luminance (ITU-R BT.601), with a warning.
    A picture has no position and no spacing, so its affine is the identity.

    Raises:
        InputError: for a file that is not a whole PNG or JPEG picture.
    """
    try:
        with Image.open(path, formats=_FORMATS) as picture:
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
        InputError: for 16 bits in a JPEG file, which holds 8.
    """
    if path.suffix.lower() != ".png" and array.dtype != np.uint8:
        raise InputError(f"{path.name}: JPEG holds 8 bits and the picture has {array.dtype.name}; name it .png")
    words = PngInfo()
    if description:
        words.add_text("Description", description)
    # Each format takes the options that it knows: JPEG the quality, PNG the words.
    Image.fromarray(array).save(path, quality=95, pnginfo=words)


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
