"""Scans in files: finding, reading, checking and writing NIfTI, DICOM, HDF5 and pictures."""

from custom.scans.dicom.provenance import Provenance, bundle_provenance
from custom.scans.find import find_scan, list_scans
from custom.scans.inputs import ScanDataset
from custom.scans.readers import check_header, read_scan
from custom.scans.reference import ScanReference
from custom.scans.result_names import ResultOptions, result_path, result_paths
from custom.scans.scan import ScanHeader
from custom.scans.writers import check_output_dir, write_result, write_scan

__all__ = [
    "Provenance",
    "ResultOptions",
    "ScanDataset",
    "ScanHeader",
    "ScanReference",
    "bundle_provenance",
    "check_header",
    "check_output_dir",
    "find_scan",
    "list_scans",
    "read_scan",
    "result_path",
    "result_paths",
    "write_result",
    "write_scan",
]
