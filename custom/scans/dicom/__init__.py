"""DICOM: stacks of MR images in folders, in place and in the source's units."""

from custom.scans.dicom.stack import DicomStack, Frame, find_stacks, read_stack, stack_of

__all__ = ["DicomStack", "Frame", "find_stacks", "read_stack", "stack_of"]
