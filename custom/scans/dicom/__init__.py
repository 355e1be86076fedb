"""DICOM: stacks of MR images in files and folders, read in place and in their units, and written as derived series."""
