"""Tensors on their way to a network and back: slices of volumes, patches, intensities, and where voxels lie."""

from custom.arrays.geometry import affine_distance, field_of_view_corners, slab_bounds
from custom.arrays.intensity import foreground_mask, intensity_scale
from custom.arrays.loader import PrefetchLoader
from custom.arrays.patches import PatchSampler, RandomPatches

__all__ = [
    "PatchSampler",
    "PrefetchLoader",
    "RandomPatches",
    "affine_distance",
    "field_of_view_corners",
    "foreground_mask",
    "intensity_scale",
    "slab_bounds",
]
