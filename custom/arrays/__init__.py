"""Tensors on their way to a network and back: slices of volumes, patches, intensities, and where voxels lie.

The axes of tensors, in the whole package. The spatial axes are those of the stored array and of its affine: (i, j) of a
picture, (i, j, k) of a volume.

- A scan is `(frames, *spatial)`. Frames are cine phases or echoes; an ordinary scan has one.
- A batch that is one scan is `(1, frames, *spatial)`. Inferers, degradations, metrics and tables see this. Each frame
  is treated by itself, as if it were a scan of its own.
- The slices of a volume are a batch of pictures, `(slices, frames, rows, columns)`; see `custom.arrays.slices`.
- A batch of training patches is `(B, channels, *patch)`, and the input of a network `(B, channels, *spatial)`. Channels
  are what the network sees at once of one place: an image alone, or a slice and its neighbours (`context_slices`).
  The result is `(B, 1, *spatial)`, the image alone.

So the second axis holds frames outside of the chain of inferers and channels inside: `custom.inferers.Frames` takes the
frames apart, and `VolumeSlices` then makes channels of neighbouring slices. Frames are never channels.

What else a network may see at once becomes channels in the same place. Several contrasts of one anatomy are scans of
their own, each `(frames, *spatial)` under its own key of an item. The coils of a measurement are the second axis of
complex k-space of one frame, `(1, coils, *spatial)`, until they are combined; a complex image is two channels to a
network, its real and its imaginary part.
"""

from custom.arrays.geometry import affine_distance, field_of_view_corners, slab_bounds
from custom.arrays.intensity import foreground_mask, intensity_scale
from custom.arrays.loader import PatchLoader, PrefetchLoader
from custom.arrays.patches import PatchSampler, RandomPatches

__all__ = [
    "PatchLoader",
    "PatchSampler",
    "PrefetchLoader",
    "RandomPatches",
    "affine_distance",
    "field_of_view_corners",
    "foreground_mask",
    "intensity_scale",
    "slab_bounds",
]
