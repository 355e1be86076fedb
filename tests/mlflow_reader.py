"""MLflow's own view of a run, for tests."""

from __future__ import annotations

from pathlib import Path

from mlflow.entities import Run

from custom.handlers.mlflow_store import MLflowStore

__all__ = ["Reader"]


class Reader:
    """What a database holds, read with MLflow's own client."""

    def __init__(self, database: Path, experiment: str = "brain") -> None:
        self.store = MLflowStore(f"sqlite:///{database}", experiment)

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        return list(reversed(self.store.client.search_runs([self.store.experiment.experiment_id])))

    def history(self, metric: str) -> list[tuple[int, float]]:
        points = self.store.client.get_metric_history(self.runs()[-1].info.run_id, metric)
        return [(point.step, point.value) for point in points]

    def artifacts(self, folder: str | None = None) -> set[str]:
        return {file.path for file in self.store.client.list_artifacts(self.runs()[-1].info.run_id, folder)}
