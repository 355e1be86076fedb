"""Random foreground patches from volumes held in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from monai.utils import ensure_tuple
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from custom.arrays.intensity import FOREGROUND_THRESHOLD
from custom.arrays.slices import (
    checked_context_slices,
    checked_slice_axis,
    neighbouring_slices,
    volume_to_slices,
)
from custom.errors import InputError, UsageError, input_error_in

__all__ = ["PatchSampler", "RandomPatches"]

logger = logging.getLogger(__name__)

# Candidate positions are kept on this raster, in voxels, and jittered within it when drawn.
_RASTER = 4
# A patch counts as foreground when this share of it is brighter than air.
_FOREGROUND_SHARE = 0.3


class RandomPatches(Dataset[dict[str, Tensor]]):
    """High-resolution patches at random foreground positions, with the border that the degradation reads.

    All scans are loaded when the data set is made, and every unreadable one is reported. A patch depends on the seed
    and its index alone, not on the order of reading, on workers or on ranks, so that a resumed run sees what an
    uninterrupted one would have seen. Items are {"label": `(C, *(patch_size + 2 * border))`} with C = `context_slices`.

    Each patch is flipped at random along every axis, with `rotations` its axes change places too, and its brightness
    changed by up to 10 %: at inference the intensity scale is that of the low-resolution image, which differs a little
    from the one used here.

    Args:
        data: items for `transform`, as a manifest gives them.
        transform: makes {"label": `(frames, *spatial)`, about 0..1} of an item. Patches come from all frames; a patch
            and its context lie within one frame.
        patch_size: edge lengths in high-resolution voxels, without the border; 2 numbers for slices of volumes or
            images, 3 for volumes. Multiples of the scale factor. Smaller images are padded with their edge.
        scale_factor: of the degradation, per axis.
        border: of the degradation, per axis; None if it reads the whole image. A patch must then cover the image.
        slice_axis: the array axis along which volumes are sliced when `patch_size` has 2 numbers.
        context_slices: neighbouring slices in each item, odd.
        patches_per_epoch: the length of the data set.
        rotations: whether the axes of a patch change places at random, which with the flips gives all rotations by 90
            degrees. The patch and its border have to be as long along each axis.
        seed: of the random positions, flips and factors.

    Raises:
        InputError: naming all scans that cannot be read; for a data set without foreground.
        UsageError: when patch size, scale and border do not fit together.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Mapping[str, Any]], Mapping[Hashable, Any]],
        patch_size: Sequence[int],
        scale_factor: Sequence[int],
        border: Sequence[int] | None,
        slice_axis: int = -1,
        context_slices: int = 1,
        patches_per_epoch: int = 3200,
        rotations: bool = False,
        seed: int = 0,
    ) -> None:
        patch_size = ensure_tuple(patch_size)
        _check_patch_size(patch_size, scale_factor)
        if seed is None:
            raise UsageError("seed is null; patches are drawn by number, so give a whole number")
        self.data = data
        self.patch_size = tuple(patch_size)
        self.border = (0,) * len(patch_size) if border is None else tuple(border)
        self.slice_axis = checked_slice_axis(slice_axis)
        self.context_slices = checked_context_slices(context_slices)
        self.patches_per_epoch = patches_per_epoch
        self.rotations = rotations
        if rotations and len({*zip(self.patch_size, self.border, strict=True)}) > 1:
            raise UsageError(
                f"rotations is true; it needs patches of one length along all axes, and patch_size is "
                f"{list(patch_size)} with a border of {list(self.border)}"
            )
        self.seed = seed
        self._stacks: list[Tensor] = []
        self._frames: list[int] = []
        self._candidates: list[np.ndarray] = []
        scans = _load_all(data, transform)
        for scan in scans:
            stack = self._stack(scan)
            if border is None and any(n > p for n, p in zip(stack.shape[1:], self.patch_size, strict=True)):
                raise UsageError(
                    f"patch_size is {list(patch_size)}, but the degradation reads the whole image and a scan has "
                    f"{list(stack.shape[1:])} voxels: give a patch_size that covers it"
                )
            padded = _pad_to(stack, self.patch_size)
            self._candidates.append(_foreground_positions(padded, self.patch_size))
            self._stacks.append(_pad_symmetric(padded, self.border))
            self._frames.append(len(scan))
        if not any(len(c) for c in self._candidates):
            raise InputError(
                "no patch of the training scans holds enough foreground; check the scans or give a smaller patch_size"
            )
        counts = np.array([len(c) for c in self._candidates])
        self._ends = np.cumsum(counts)
        logger.info("%d training scans in memory, %d foreground positions", len(scans), self._ends[-1])

    def __len__(self) -> int:
        return self.patches_per_epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Cut the patch `index`; indices beyond the length are those of later epochs."""
        random = np.random.default_rng([self.seed, index])
        position = int(random.integers(self._ends[-1]))
        scan = int(np.searchsorted(self._ends, position, side="right"))
        stack = self._stacks[scan]
        number, *corner = self._candidates[scan][position - self._ends[scan]].tolist()
        window: list[slice] = []
        for start, size, border, length in zip(corner, self.patch_size, self.border, stack.shape[1:], strict=True):
            last = length - 2 * border - size
            start = min(start + int(random.integers(_RASTER)), last)
            window.append(slice(start, start + size + 2 * border))
        # The neighbours of a slice are those of its own frame.
        length = len(stack) // self._frames[scan]
        frame, number = divmod(number, length)
        window.insert(0, slice(frame * length, (frame + 1) * length))
        slices = stack[tuple(window)][:, None]
        patch = neighbouring_slices(slices, number, number + 1, self.context_slices)[0]
        flips = [axis for axis in range(patch.ndim) if random.random() < 0.5]
        if self.rotations:
            patch = patch.permute(0, *(1 + random.permutation(patch.ndim - 1)))
        factor = 1 + random.uniform(-0.1, 0.1)
        return {"label": torch.flip(patch, flips) * factor}

    def _stack(self, scan: Tensor) -> Tensor:
        """Order a scan `(frames, *spatial)` as `(n, *patch axes)`, frame by frame: slices, or whole images."""
        scan = torch.as_tensor(scan).as_subclass(Tensor)
        if len(self.patch_size) == 2 and scan.ndim == 4:
            return volume_to_slices(scan[None], self.slice_axis).transpose(0, 1).flatten(0, 1).contiguous()
        if scan.ndim != 1 + len(self.patch_size):
            raise UsageError(
                f"patch_size has {len(self.patch_size)} numbers, but a scan has {scan.ndim - 1} axes: give one an axis"
            )
        return scan.contiguous()


class PatchSampler(DistributedSampler[int]):
    """Give each rank its share of an epoch's patches, different ones in every epoch.

    MONAI's engines call `set_epoch`. Rank r of w takes the patches r, r + w, ...: the ranks together see what one
    process would see.

    Args:
        dataset: the patches.
        batch_size: of all processes together.

    Raises:
        UsageError: when the processes cannot share batch and epoch evenly.
    """

    def __init__(self, dataset: RandomPatches, batch_size: int) -> None:
        together = dist.is_available() and dist.is_initialized()
        super().__init__(
            dataset,
            num_replicas=dist.get_world_size() if together else 1,
            rank=dist.get_rank() if together else 0,
            shuffle=False,
            drop_last=True,
        )
        if batch_size % self.num_replicas or len(dataset) % self.num_replicas:
            raise UsageError(
                f"batch_size {batch_size} and patches_per_epoch {len(dataset)} are those of all processes together: "
                f"give multiples of {self.num_replicas}, their number"
            )

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.num_samples * self.num_replicas
        return iter(range(first + self.rank, first + self.num_samples * self.num_replicas, self.num_replicas))


def _check_patch_size(patch_size: Sequence[int], scale_factor: Sequence[int]) -> None:
    if len(patch_size) != len(scale_factor):
        raise UsageError(f"patch_size {list(patch_size)} needs {len(scale_factor)} numbers, one for each network axis")
    if any(p < s or p % s for p, s in zip(patch_size, scale_factor, strict=True)):
        raise UsageError(
            f"patch_size {list(patch_size)} is counted in high-resolution voxels: give multiples of the scale factor "
            f"{list(scale_factor)}"
        )


def _load_all(
    data: Sequence[Mapping[str, Any]], transform: Callable[[Mapping[str, Any]], Mapping[Hashable, Any]]
) -> list[Tensor]:
    """Load every scan; report all that fail at once."""
    scans, failures = [], []
    for item in data:
        try:
            scans.append(transform(dict(item))["label"])
        except Exception as error:
            cause = input_error_in(error)
            if cause is None:
                raise
            failures.append(str(cause))
    if failures:
        raise InputError(f"{len(failures)} of {len(data)} training scans cannot be used:\n  " + "\n  ".join(failures))
    return scans


def _pad_to(stack: Tensor, size: Sequence[int]) -> Tensor:
    """Pad `(n, *spatial)` with its edge at the end, to at least `size`."""
    pad: list[int] = []
    for length, wanted in zip(reversed(stack.shape[1:]), reversed(size), strict=True):
        pad += [0, max(0, wanted - length)]
    return F.pad(stack[:, None], pad, mode="replicate")[:, 0] if any(pad) else stack


def _pad_symmetric(stack: Tensor, border: Sequence[int]) -> Tensor:
    """Mirror `(n, *spatial)` about its outer voxel edges, as the degradations do at the border of an image."""
    for axis, width in enumerate(border, start=1):
        length = stack.shape[axis]
        position = np.arange(-width, length + width) % (2 * length)
        stack = stack.index_select(axis, torch.as_tensor(np.minimum(position, 2 * length - 1 - position)))
    return stack


def _foreground_positions(stack: Tensor, patch_size: Sequence[int]) -> np.ndarray:
    """Find the corners of patches with enough foreground.

    Returns:
        int32 `(m, 1 + d)`: the index along the first axis and the corner, on a raster.
    """
    mask = (stack[:, None] > FOREGROUND_THRESHOLD).float()
    pool = F.avg_pool2d if len(patch_size) == 2 else F.avg_pool3d
    share = pool(mask, tuple(patch_size), stride=_RASTER)[:, 0]
    positions = torch.nonzero(share > _FOREGROUND_SHARE).to(torch.int32).numpy()
    positions[:, 1:] *= _RASTER
    return positions
