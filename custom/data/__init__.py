"""Data sets, and the files in and out of them: manifests, splits, readers, writers, intensities."""

from custom.data.dicom.provenance import Provenance, bundle_provenance
from custom.data.geometry import affine_distance, field_of_view_corners, slab_bounds
from custom.data.inputs import ScanDataset
from custom.data.intensity import foreground_mask, intensity_scale
from custom.data.loader import PrefetchLoader
from custom.data.manifest import Manifest, load_manifest, sample_folder
from custom.data.manifest_schema import known_manifests, manifest_folder, read_manifest
from custom.data.patches import PatchSampler, RandomPatches
from custom.data.readers import ScanReader, check_header, list_scans, read_scan
from custom.data.scan import StoredScan, check_scan
from custom.data.splits import expand_ranges, split_by_fractions
from custom.data.synthetic_cine import synthetic_cine_folder
from custom.data.vgg_weights import load_vgg
from custom.data.weights import choose_checkpoint, load_models, load_weights, read_checkpoint, save_checkpoint
from custom.data.writers import check_output_dir, result_path, result_paths, write_dicom_scan, write_scan

__all__ = [
    "Manifest",
    "PatchSampler",
    "PrefetchLoader",
    "Provenance",
    "RandomPatches",
    "ScanDataset",
    "ScanReader",
    "StoredScan",
    "affine_distance",
    "bundle_provenance",
    "check_header",
    "check_output_dir",
    "check_scan",
    "choose_checkpoint",
    "expand_ranges",
    "field_of_view_corners",
    "foreground_mask",
    "intensity_scale",
    "known_manifests",
    "list_scans",
    "load_manifest",
    "load_models",
    "load_vgg",
    "load_weights",
    "manifest_folder",
    "read_checkpoint",
    "read_manifest",
    "read_scan",
    "result_path",
    "result_paths",
    "sample_folder",
    "save_checkpoint",
    "slab_bounds",
    "split_by_fractions",
    "synthetic_cine_folder",
    "write_dicom_scan",
    "write_scan",
]
