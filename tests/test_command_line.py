from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

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
    monkeypatch.setattr(sys, "argv", _argv(config, given, *([] if "=" in given else ["5"])))
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        command_line.check_command_line()


def test_known_keys_pass_and_quite_new_ones_are_mentioned(
    config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "argv", _argv(config, "--max_epochs", "5", "--my_remark", "x", "--train#trainer#amp", "1"))
    command_line.check_command_line()
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


#: Names of files and folders that MONAI or Fire would take for something else.
_NAMES = (
    *("T1#2", "None", "2024_10", "1e3", "True", "Doe, John", "$(rm)", "$open('ran')", "@x", "@input", "%file", "[a]"),
    *("{a}", "a::b", "'a'", '"a"', " a ", "a=b", "ä", "脳", "-1", "a\nb", "1,2", "a.nii b.nii", "a\udcffb", "~"),
)


@pytest.mark.parametrize("name", _NAMES)
def test_paths_are_what_was_typed(config: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    words = [word for key in command_line.PATH_KEYS for word in (f"--{key}", name)]
    monkeypatch.setattr(sys, "argv", _argv(config, *words))
    typed = dict.fromkeys(command_line.PATH_KEYS, name)
    assert command_line.typed_paths() == typed
    assert command_line.config_as_run() == {"_meta_": {}, **json.loads(config.read_text()), **typed}
    for word in (f"--output_dir={name}", f"--output-dir={name}", f"-output_dir={name}"):
        monkeypatch.setattr(sys, "argv", _argv(config, word))
        assert command_line.typed_paths() == {"output_dir": name}


def test_typed_paths_are_not_resolved_by_monai(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config.write_text(
        json.dumps(
            {
                "imports": ["$import custom.command_line as command_line"],
                "input": None,
                "checkpoint": "$'a' + '.pt'",
                "max_epochs": 1,
                "found": "$[@input, @checkpoint, @max_epochs]",
                "initialize": ["$command_line.use_typed_paths(__local_refs)"],
                "run": ["@found"],
            }
        )
    )
    words = ("--input", f"$open({str(tmp_path / 'ran')!r}, 'w')", "--max_epochs", "$1 + 1")
    monkeypatch.setattr(sys, "argv", _argv(config, *words))
    given = {"input": words[1], "max_epochs": words[3]}
    workflow = ConfigWorkflow(str(config), logging_file=False, workflow_type=None, **given)  # type: ignore[arg-type]
    workflow.initialize()
    assert workflow.run() == [[words[1], "a.pt", 2]]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", command_line.PATH_KEYS)
@pytest.mark.parametrize("value", [[""], [], ["--max_epochs", "3"], ["-a"]])
def test_a_path_without_a_value_is_wrong_use(
    config: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", _argv(config, f"--{key}", *value))
    with pytest.raises(UsageError, match=f"--{key} has no value.*--{key}=-a or --{key} ./-a"):
        command_line.typed_paths()


def test_several_inputs_are_a_list(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", _argv(config, "--input", "a", "--input=b", "--output_dir", "c"))
    assert command_line.typed_paths() == {"input": ["a", "b"], "output_dir": "c"}
    monkeypatch.setattr(sys, "argv", _argv(config, "--series", "3", "--series", "4"))
    with pytest.raises(UsageError, match="--series is given 2 times"):
        command_line.typed_paths()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "a.nii", "b.nii", "c.nii"], "'c.nii' belongs to no option.*--input A --input B"),
        (["--run_id", "inference"], "'training' belongs to no option"),
        (["--input", "-", "--output_dir", "out"], "a - or -- on its own"),
        (["--input", "a", "--", "--verbose"], "a - or -- on its own"),
        (["--train#trainer#output_dir", "a"], "--train#trainer#output_dir: give --output_dir"),
        (["--tracking", "mlflow"], "--tracking: runs are recorded without it; --tracking_uri says where"),
    ],
)
def test_words_that_would_be_taken_for_something_else_are_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), "tracking": {}}))
    monkeypatch.setattr(sys, "argv", _argv(config, *words))
    with pytest.raises(UsageError, match=said):
        command_line.check_command_line()


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
