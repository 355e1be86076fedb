"""Kinds of image in a series: magnitude, phase and others, which are scans of their own."""

from __future__ import annotations

import re
from pathlib import Path

from custom.errors import InputError
from custom.scans.dicom.fields import shown
from custom.scans.dicom.frame import Frame

__all__ = ["image_kind", "kind_key", "one_kind", "why_not_magnitude"]

_WORDS = {
    "magnitude": ("M", "MAGNITUDE", "M_FFE", "M_SE", "M_IR", "M_PCA"),
    "phase": ("P", "PHASE", "PHASE MAP", "PHASE_FFE", "P_FFE", "VELOCITY", "VELOCITY MAP"),
    "real": ("R", "REAL", "R_FFE", "R_IR"),
    "imaginary": ("I", "IMAGINARY", "I_FFE"),
}
# The number of an echo, which tells frames of one kind apart.
_ECHO = re.compile(r"TE\d+")


def image_kind(frame: Frame) -> str:
    """Return "magnitude", "phase", "real" or "imaginary" as ImageType says, or "" where it does not."""
    for kind, words in _WORDS.items():
        # The first two values are ORIGINAL or DERIVED, and PRIMARY or SECONDARY.
        if any(value.upper() in words for value in frame.image_type[2:]):
            return kind
    return ""


def why_not_magnitude(frame: Frame) -> str:
    """Say of which kind an image is that is no magnitude by its ImageType, in words; "" for all others."""
    kind = image_kind(frame)
    words = shown("\\".join(frame.image_type))
    return f"its ImageType {words} says {kind}" if kind not in ("", "magnitude") else ""


def kind_key(frame: Frame) -> tuple[str, ...]:
    """Return what the frames of one kind have in common: ImageType without the number of the echo."""
    return tuple(value for value in frame.image_type if not _ECHO.fullmatch(value))


def one_kind(frames: list[Frame], path: Path) -> tuple[list[Frame], list[str]]:
    """Keep the frames of one kind of image of a multi-frame file: the only one, or the magnitude.

    Returns:
        The frames, and notes on those that are left out.

    Raises:
        InputError: where none of several kinds, or more than one, is the magnitude.
    """
    kinds = {kind_key(frame): image_kind(frame) for frame in frames}
    if len(kinds) == 1:
        return frames, []
    words = ", ".join(shown("\\".join(key)) or "(no image type)" for key in kinds)
    magnitudes = [key for key, kind in kinds.items() if kind == "magnitude"]
    if len(magnitudes) != 1:
        raise InputError(
            f"{path}: the file holds {len(kinds)} kinds of image ({words}) and it is not clear which to take; export "
            "one kind"
        )
    note = f"{path}: the file holds {len(kinds)} kinds of image ({words}); the magnitude is read"
    return [frame for frame in frames if kind_key(frame) == magnitudes[0]], [note]
