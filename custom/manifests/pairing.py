"""Pictures that come in pairs, low beside high resolution: whether each has its partner, and whether the sizes fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from custom.manifests.patterns import fill_fields, find_files
from custom.scans.pictures import picture_size

__all__ = ["pairing_problems"]


def pairing_problems(items: Sequence[Mapping[str, Any]], root: Path, content: Mapping[str, Any]) -> list[str]:
    """List what keeps the pictures of a manifest from being pairs; only their headers are read.

    Args:
        items: those of all splits, with the paths "label" and "image" of files that are there.
        root: the folder of the patterns.
        content: the manifest, with "image_pattern".

    Returns:
        A line for each low-resolution picture without a partner, and each pair whose sizes are not those of one whole
        number of at least 2, the same along both axes and in all pairs.
    """
    image_pattern = content["image_pattern"]
    high_resolution = [found for pattern in content["patterns"] for found in find_files(root, pattern)]
    partners = {root / fill_fields(image_pattern, found.fields) for found in high_resolution}
    wanted = " or ".join(content["patterns"])
    problems = [
        f"{found.path}: low resolution without its partner; no file of that name fits {wanted}"
        for found in find_files(root, image_pattern)
        if found.path not in partners
    ]
    first = 0
    for item in items:
        high, low = picture_size(Path(item["label"])), picture_size(Path(item["image"]))
        scale = high[0] // low[0]
        first = first or scale
        if scale < 2 or scale != first or high != (scale * low[0], scale * low[1]):
            expected = f"{first} times" if first >= 2 else "2, 3, 4, ... times"
            problems.append(
                f"{item['label']}: {high[0]} x {high[1]} pixels and its partner {item['image']} {low[0]} x {low[1]}; "
                f"the high resolution has to be {expected} the low one along both axes"
            )
    return problems
