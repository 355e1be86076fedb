"""Scans in files: finding, reading, checking and writing NIfTI, DICOM and pictures."""

from custom.scans.dicom.provenance import Provenance, bundle_provenance
from custom.scans.inputs import ScanDataset
from custom.scans.readers import ScanReader, check_header, list_scans, read_scan
from custom.scans.scan import StoredScan, check_scan
from custom.scans.writers import check_output_dir, result_path, result_paths, write_dicom_scan, write_scan

__all__ = [
    "Provenance",
    "ScanDataset",
    "ScanReader",
    "StoredScan",
    "bundle_provenance",
    "check_header",
    "check_output_dir",
    "check_scan",
    "list_scans",
    "read_scan",
    "result_path",
    "result_paths",
    "write_dicom_scan",
    "write_scan",
]
