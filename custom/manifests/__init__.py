"""Data sets: what a manifest says, the files that it finds, and how they are split by subject."""

from custom.manifests.manifest import Manifest, load_manifest, sample_folder
from custom.manifests.sample import check_input, chosen_input
from custom.manifests.schema import known_manifests, manifest_folder, read_manifest
from custom.manifests.splits import expand_ranges, split_by_fractions
from custom.manifests.synthetic_cine import sample_scans, synthetic_cine_folder

__all__ = [
    "Manifest",
    "check_input",
    "chosen_input",
    "expand_ranges",
    "known_manifests",
    "load_manifest",
    "manifest_folder",
    "read_manifest",
    "sample_folder",
    "sample_scans",
    "split_by_fractions",
    "synthetic_cine_folder",
]
