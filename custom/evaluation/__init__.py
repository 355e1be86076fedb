"""Plain functions that compare, summarise and draw; nothing here needs an Ignite engine."""

from custom.evaluation.comparison import Comparison, Prediction, compare
from custom.evaluation.inference_picture import inference_picture
from custom.evaluation.m_mode import m_mode_picture
from custom.evaluation.pictures import comparison_picture
from custom.evaluation.wiener import fit_wiener, load_wiener

__all__ = [
    "Comparison",
    "Prediction",
    "compare",
    "comparison_picture",
    "fit_wiener",
    "inference_picture",
    "load_wiener",
    "m_mode_picture",
]
