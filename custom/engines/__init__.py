"""What turns batches into pairs and runs a network over whole scans: parts of Ignite engines."""

from custom.engines.evaluator import ScanEvaluator
from custom.engines.pairs import FamilyPairs, PatchPairs, VolumePair

__all__ = ["FamilyPairs", "PatchPairs", "ScanEvaluator", "VolumePair"]
