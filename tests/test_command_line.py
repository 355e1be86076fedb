from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from custom import command_line
from custom.errors import InputError, UsageError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    content = {"max_epochs": 3, "learning_rate": 0.1, "train": {"trainer": {"max_epochs": "@max_epochs"}}}
    path = tmp_path / "train.json"
    path.write_text(json.dumps(content))
    return path


def _argv(config: Path, *rest: str) -> list[str]:
    return ["monai/bundle/__main__.py", "run", "training", "--config_file", str(config), *rest]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--lerning_rate", "--learning_rate"),
        ("--max_epoch=5", "--max_epochs"),
        ("--max-epoch", "--max_epochs"),
        ("--train#trainer#max_epoch", "--train#trainer#max_epochs"),
        ("--trian::trainer::max_epochs", "--train"),
        ("--config_fil", "--config_file"),
    ],
)
def test_misspelt_keys_are_refused_with_the_right_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, given: str, meant: str
) -> None:
    monkeypatch.setattr(sys, "argv", _argv(config, given, "5"))
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        command_line.check_keys()


def test_known_keys_pass_and_quite_new_ones_are_mentioned(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", _argv(config, "--max_epochs", "5", "--my_remark", "x", "--train#trainer#amp", "1"))
    command_line.check_keys()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["--my_remark", "--train#trainer#amp"]


def test_config_as_run_has_the_overrides(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.json"
    overlay.write_text('{"learning_rate": 0.5}')
    monkeypatch.setattr(sys, "argv", [*_argv(config)[:-1], f"['{config}','{overlay}']", "--max_epochs=7"])
    run = command_line.config_as_run()
    assert (run["max_epochs"], run["learning_rate"], run["train"]["trainer"]["max_epochs"]) == (7, 0.5, "@max_epochs")


def test_outside_of_a_command_there_is_no_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["pytest", "-x"])
    assert command_line.config_as_run() == {}


def _end(error: BaseException, monkeypatch: pytest.MonkeyPatch, debug: bool = False) -> None:
    """End as a command does in which an error is raised and none catches it."""
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    command_line.report_errors(debug)
    sys.excepthook(type(error), error, error.__traceback__)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("a.nii: broken"), 1, "error: a.nii: broken\n"),
        (UsageError("--x: no such key"), 2, "error: --x: no such key\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_of_the_user_are_words_and_exit_codes(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if isinstance(error, Exception):  # as MONAI does
        cause, error = error, RuntimeError("transform failed")
        error.__cause__ = cause
    with pytest.raises(SystemExit) as ended:
        _end(error, monkeypatch)
    assert ended.value.code == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("debug", [False, True])
def test_other_errors_are_one_line_and_their_traceback_is_for_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: bool
) -> None:
    with pytest.raises(SystemExit) as ended:
        _end(ZeroDivisionError("division by zero"), monkeypatch, debug)
    command_line.report_errors()  # the level of the log is as it was
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.splitlines()[-1].startswith("error: ZeroDivisionError: division by zero; --debug true shows")
    assert len(said.splitlines()) == (2 if debug else 1)
