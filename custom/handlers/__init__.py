"""What is attached to Ignite engines: tables, pictures, checkpoints, curves, MLflow, the guard against NaN."""

from custom.handlers.checkpoint import TrainingCheckpoint
from custom.handlers.cine import CineTable
from custom.handlers.comparison import ComparisonTable
from custom.handlers.inference_report import InferenceReport
from custom.handlers.learning_curves import LearningCurves
from custom.handlers.m_mode import MMode
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun
from custom.handlers.nan_guard import NanGuard
from custom.handlers.progress import Progress
from custom.handlers.subject_metrics import SubjectMean, SubjectPSNR, SubjectSSIM
from custom.run_info import write_config

__all__ = [
    "CineTable",
    "ComparisonTable",
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
    "write_config",
]
