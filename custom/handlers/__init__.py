"""What is attached to Ignite engines: tables, pictures, checkpoints, curves, MLflow, the guard against NaN."""

from custom.handlers.checkpoint import TrainingCheckpoint
from custom.handlers.cine import CineTable
from custom.handlers.comparison import ComparisonTable, compare
from custom.handlers.inference_report import InferenceReport
from custom.handlers.learning_curves import LearningCurves
from custom.handlers.m_mode import MMode, m_mode_picture
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun
from custom.handlers.nan_guard import NanGuard
from custom.handlers.pictures import comparison_picture
from custom.handlers.progress import Progress
from custom.handlers.run_info import write_config
from custom.handlers.subject_metrics import SubjectMean, SubjectPSNR, SubjectSSIM

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
    "compare",
    "comparison_picture",
    "m_mode_picture",
    "write_config",
]
