"""Plain functions that compare, summarise and draw; nothing here needs an Ignite engine."""

from custom.evaluation.comparison import Comparison, Prediction, compare
from custom.evaluation.inference_picture import inference_picture
from custom.evaluation.m_mode import m_mode_picture
from custom.evaluation.pictures import comparison_picture

__all__ = ["Comparison", "Prediction", "compare", "comparison_picture", "inference_picture", "m_mode_picture"]
