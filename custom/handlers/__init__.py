"""What is attached to Ignite engines: tables, pictures, checkpoints, curves, MLflow, the guard against NaN.

`robustness_report` needs no engine, but MLflow.
"""

from custom.handlers.checkpoint import TrainingCheckpoint
from custom.handlers.cine import CineTable
from custom.handlers.comparison import ComparisonTable
from custom.handlers.inference_report import InferenceReport
from custom.handlers.learning_curves import LearningCurves
from custom.handlers.m_mode import MMode
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun
from custom.handlers.nan_guard import NanGuard
from custom.handlers.progress import Progress
from custom.handlers.robustness import robustness_report
from custom.handlers.subject_metrics import SubjectMean, SubjectPSNR, SubjectSSIM
from custom.handlers.workflows import (
    EvaluatingHandlers,
    TrainingHandlers,
    check_evaluating_output,
    check_training_output,
)

__all__ = [
    "CineTable",
    "ComparisonTable",
    "EvaluatingHandlers",
    "InferenceReport",
    "LearningCurves",
    "MLflowMetrics",
    "MLflowRun",
    "MMode",
    "NanGuard",
    "Progress",
    "SubjectMean",
    "SubjectPSNR",
    "SubjectSSIM",
    "TrainingCheckpoint",
    "TrainingHandlers",
    "check_evaluating_output",
    "check_training_output",
    "robustness_report",
]
