"""Transfer syntaxes: which can be decoded, and by which package."""

from __future__ import annotations

__all__ = ["decoder_package", "is_compressed", "is_supported", "largest_ratio", "syntax_name"]

from pydicom.uid import UID

from custom.scans.sizes import LARGEST_DEFLATE_RATIO

_UNCOMPRESSED = (
    "1.2.840.10008.1.2",  # implicit VR little endian
    "1.2.840.10008.1.2.1",  # explicit VR little endian
    "1.2.840.10008.1.2.1.99",  # deflated
    "1.2.840.10008.1.2.2",  # explicit VR big endian
)
_RLE = "1.2.840.10008.1.2.5"
# Run lengths are 2 bytes for 128 of one value. JPEG 2000 has no limit, but each file has a header as well.
_LARGEST_RLE_RATIO, _LARGEST_JPEG_RATIO = 64, 10_000
_JPEG = "python-gdcm"
_JPEG_2000 = "pylibjpeg pylibjpeg-openjpeg"
# Transfer syntax to the packages that decode it within pydicom; all are under permissive licences, and in the extra
# `dicom`. (pylibjpeg-libjpeg, which would do as well, is under the GPL.)
_PACKAGES = {
    "1.2.840.10008.1.2.4.50": _JPEG,  # baseline
    "1.2.840.10008.1.2.4.51": _JPEG,  # extended
    "1.2.840.10008.1.2.4.57": _JPEG,  # lossless
    "1.2.840.10008.1.2.4.70": _JPEG,  # lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": _JPEG,  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81": _JPEG,  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.90": _JPEG_2000,  # lossless
    "1.2.840.10008.1.2.4.91": _JPEG_2000,
    "1.2.840.10008.1.2.4.201": _JPEG_2000,  # high-throughput, lossless
    "1.2.840.10008.1.2.4.202": _JPEG_2000,  # high-throughput, lossless, by resolution
    "1.2.840.10008.1.2.4.203": _JPEG_2000,  # high-throughput
}


def is_compressed(syntax: str) -> bool:
    """Say whether the pixels are compressed: by one of the JPEG standards, or as run lengths."""
    return syntax not in _UNCOMPRESSED


def is_supported(syntax: str) -> bool:
    """Say whether the pixels can be decoded once the packages are installed."""
    return syntax in _UNCOMPRESSED or syntax == _RLE or syntax in _PACKAGES


def largest_ratio(syntax: str, is_packed: bool) -> int:
    """Return how many bytes of pixels one byte of a file can hold.

    Args:
        syntax: of the pixels.
        is_packed: whether the file, or its data set, is packed by gzip or deflate as well.
    """
    ratio = 1
    if is_compressed(syntax):
        ratio = _LARGEST_RLE_RATIO if syntax == _RLE else _LARGEST_JPEG_RATIO
    return ratio * (LARGEST_DEFLATE_RATIO if is_packed else 1)


def decoder_package(syntax: str) -> str:
    """Return the packages that have to be installed to decode the pixels, "" where numpy does."""
    return _PACKAGES.get(syntax, "")


def syntax_name(syntax: str) -> str:
    """Return the syntax in words and as UID."""
    return f"{UID(syntax).name} ({syntax})" if syntax and UID(syntax).name != syntax else syntax or "(none given)"
