"""What a signal does to a run: it ends as killed, and what is being sent is sent first."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from forked_python import ForkedPython
from mlflow_reader import Reader

from custom.handlers import mlflow_run

TERMINATED = """
import os, signal, socket, sys, torch
from monai.engines import SupervisedTrainer
from ignite.engine import Events
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun

def no_network(*arguments):
    print("network", arguments, flush=True)
    raise OSError("no network")

socket.socket.connect = no_network
socket.getaddrinfo = no_network
network = torch.nn.Conv2d(1, 1, 1)
trainer = SupervisedTrainer(
    torch.device("cpu"), 10**6, [{"image": torch.zeros(1, 1, 4, 4), "label": torch.zeros(1, 1, 4, 4)}],
    network, torch.optim.SGD(network.parameters()), torch.nn.MSELoss(),
    train_handlers=[MLflowMetrics(MLflowRun(sys.argv[1], experiment_name="brain"))],
)
trainer.logger.disabled = True
trainer.add_event_handler(Events.EPOCH_COMPLETED(once=2), lambda: os.kill(os.getpid(), signal.SIGTERM))
trainer.run()
"""


@pytest.mark.slow
def test_a_terminated_process_leaves_a_killed_run_says_nothing_and_asks_no_network(
    forked_python: ForkedPython, tmp_path: Path
) -> None:
    output_dir = tmp_path / "new"  # so that MLflow makes its tables, of which it tells a lot
    ended = forked_python.run("-c", TERMINATED, str(output_dir), XDG_CONFIG_HOME=str(tmp_path))
    assert (ended.stdout, ended.stderr) == ("", "")
    assert ended.returncode == 128 + signal.SIGTERM
    reader = Reader(output_dir / "mlruns.db")
    (logged,) = reader.runs()
    reader.store.close()
    assert logged.info.status == "KILLED"
    assert logged.data.tags["ended_by"] == "Terminated: SIGTERM"


def test_a_signal_waits_until_the_figures_are_sent() -> None:
    done = []

    def send() -> None:
        with mlflow_run._signals_held():
            os.kill(os.getpid(), signal.SIGTERM)
            with mlflow_run._signals_held():
                done.append("inner")
            done.append("outer")

    with mlflow_run._signals_as_exceptions():
        with pytest.raises(mlflow_run.Terminated) as caught:
            send()
        assert caught.value.code == 128 + signal.SIGTERM
        assert done == ["inner", "outer"]
        with pytest.raises(mlflow_run.Terminated):  # and nothing is held any more
            os.kill(os.getpid(), signal.SIGTERM)
