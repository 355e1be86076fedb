"""MLflow's own pages show the runs, the charts and the pictures, as a person sees them in a browser."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from PIL import Image

from custom.handlers.learning_curves import LearningCurves
from custom.handlers.mlflow_run import MLflowMetrics, MLflowRun

pytestmark = pytest.mark.slow

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SERVER_SECONDS, _BROWSER_SECONDS, _PAGE_SECONDS = 240, 60, 120


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, which have a process group of their own."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, ending)
            process.wait(timeout=5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    process.wait(timeout=10)


# The browser reads from descriptor 3 and writes to 4; the duplicates above 10 cannot be these two.
_START_BROWSER = """
import fcntl, os, sys
commands, answers = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(commands, 3)
os.dup2(answers, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """A browser without a window, told what to do over a pair of pipes: the DevTools protocol without a library."""

    def __init__(self, executable: str, folder: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        flags += ["--disable-dev-shm-usage", "--window-size=1500,1200"]
        flags += [f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START_BROWSER, str(commands), str(answers), executable, *flags],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(commands, answers),
            env={**os.environ, "HOME": str(folder)}, start_new_session=True,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        self._count = 0
        self._received = b""
        self._session: str | None = None

    def open_tab(self) -> None:
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def close(self) -> None:
        end_group(self._process)
        os.close(self._commands)
        os.close(self._answers)

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._count:
            pass  # an event
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            assert select.select([self._answers], [], [], _BROWSER_SECONDS)[0], "the browser does not answer"
            part = os.read(self._answers, 1 << 16)
            assert part, "the browser has ended"
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(message))

    def open_until(self, address: str, seen: Callable[[str], bool], screenshot: Path) -> str:
        """Open a page, wait until `seen` is true of its elements, and return these; `seen` may remain false."""
        self._ask("Page.navigate", url="about:blank")  # else a change behind the "#" keeps the page
        self._ask("Page.navigate", url=address)
        deadline = time.monotonic() + _PAGE_SECONDS
        page = ""
        while not seen(page) and time.monotonic() < deadline:
            time.sleep(0.5)
            page = self._ask("Runtime.evaluate", expression="document.documentElement.outerHTML")["result"]["value"]
        screenshot.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot", format="png")["data"]))
        return page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if executable is None:
        pytest.skip(f"none of {', '.join(_BROWSERS)} is installed, so MLflow's pages cannot be opened")
    browser = Browser(executable, tmp_path_factory.mktemp("browser"))
    try:
        browser.open_tab()
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("output")


@pytest.fixture(scope="module")
def run_id(browser: Browser, output_dir: Path) -> str:
    """Train for a second and return MLflow's id of the run."""
    (output_dir / "pictures").mkdir(parents=True)
    Image.fromarray(np.full((24, 32), 128, np.uint8)).save(output_dir / "pictures" / "subject_01.png")
    run = MLflowRun(
        output_dir,
        experiment_name="brain_mri_espcn",
        run_name="seen in a browser",
        manifest=SimpleNamespace(name="sample_brain_t1", digest="0" * 64),
    )
    ids: list[str | None] = []
    network = torch.nn.Conv2d(1, 1, 1)
    trainer = SupervisedTrainer(
        torch.device("cpu"),
        3,
        [{"image": torch.ones(1, 1, 8, 8), "label": torch.zeros(1, 1, 8, 8)}],
        network,
        torch.optim.SGD(network.parameters(), lr=0.1),
        torch.nn.MSELoss(),
        train_handlers=[MLflowMetrics(run), LearningCurves(output_dir)],
    )
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: ids.append(run.run_id))
    trainer.run()
    assert ids[0] is not None
    return ids[0]


@pytest.fixture(scope="module")
def experiment_page(run_id: str, output_dir: Path) -> Iterator[str]:
    """Start MLflow's server on the loopback device and yield the address of the experiment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{output_dir}/mlruns.db"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # Without the processes that serve language models, and without telemetry.
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log_file = output_dir / "server.log"
    with log_file.open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **quiet}, cwd=output_dir, start_new_session=True
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, log_file)
        yield f"http://127.0.0.1:{port}/#/experiments/1"
    finally:
        end_group(server)


def wait_for(address: str, server: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline = time.monotonic() + _SERVER_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    pytest.fail(f"MLflow's server did not answer at {address}:\n{log_file.read_text()[-3000:]}")


def words(page: str) -> set[str]:
    """Return the texts between a page's elements."""
    page = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return {text for part in re.split(r"<[^>]*>", page) if (text := html.unescape(part).strip())}


def test_the_experiment_lists_the_run_with_its_data_set(browser: Browser, experiment_page: str, tmp_path: Path) -> None:
    expected = {"brain_mri_espcn", "seen in a browser", "sample_brain_t1 (000000000000)"}
    address = f"{experiment_page}/runs?workflowType=machine_learning"
    page = browser.open_until(address, lambda page: expected <= words(page), tmp_path / "runs.png")
    assert expected - words(page) == set()


def test_the_run_has_a_chart_of_each_metric(
    browser: Browser, experiment_page: str, run_id: str, tmp_path: Path
) -> None:
    charts = re.compile(r'class="[^"]*js-plotly-plot')
    lines = re.compile(r'class="js-line"')  # those of the legend look alike

    def is_drawn(page: str) -> bool:
        return len(charts.findall(page)) == 3 and len(lines.findall(page)) >= 6

    address = f"{experiment_page}/runs/{run_id}/model-metrics?workflowType=machine_learning"
    page = browser.open_until(address, is_drawn, tmp_path / "charts.png")
    assert {"loss", "learning_rate", "seconds"} - words(page) == set()
    assert is_drawn(page)


def test_the_run_shows_a_picture(browser: Browser, experiment_page: str, run_id: str, tmp_path: Path) -> None:
    picture = re.compile(r'<img[^>]*alt="pictures/subject_01\.png"[^>]*src="blob:')
    address = f"{experiment_page}/runs/{run_id}/artifacts/pictures/subject_01.png?workflowType=machine_learning"
    page = browser.open_until(address, lambda page: bool(picture.search(page)), tmp_path / "picture.png")
    assert {"pictures", "subject_01.png", "curves.png", "curves.csv"} - words(page) == set()
    assert picture.search(page)
