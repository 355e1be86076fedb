"""Commands in processes of their own: exit codes, the README as written, two processes under torchrun."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest
import torch
from bundle_cases import table, weights
from forked_python import ForkedPython
from tiny_scans import AFFINE, tiny_volume

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "brain_mri_espcn"
SHORT = ["--max_epochs", "1", "--patches_per_epoch", "64", "--amp", "false"]

RUN = ("-m", "monai.bundle", "run")
TORCHRUN = ("-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone")

pytestmark = pytest.mark.slow


def _blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_readme_has_two_commands_of_one_line_that_set_up_by_themselves() -> None:
    blocks = _blocks()
    assert len(blocks) == 2
    for block in blocks:
        assert len(block.strip().splitlines()) == 1
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e ")
    assert blocks[1].strip().endswith("-m pytest -q -n 2")


def test_main_job_of_the_readme_runs_as_written_but_shorter(tmp_path: Path) -> None:
    main_job = _blocks()[0].strip().split(" && ", 3)[3]
    commands = main_job.replace("../../.venv/bin/python", sys.executable).split(" && ")
    assert len(commands) == 2
    # The package comes from the folder of the repository, wherever the environment is.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for command in commands:
        ended = subprocess.run(
            ["bash", "-c", f"{command} --output_dir {tmp_path} {' '.join(SHORT)}"],
            cwd=BUNDLE, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
    assert "Difference from cubic" in ended.stderr
    assert (tmp_path / "pictures" / "colin27.png").stat().st_size > 10_000
    assert [row["method"] for row in table(tmp_path / "metrics.csv")][-1] == "model"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["inference", "--config_file", "configs/inference.json", "--input", "/nowhere.nii"], 1, "/nowhere.nii"),
        (["training", "--config_file", "configs/train.json", "--lerning_rate", "1"], 2, "did you mean --learning_rate"),
    ],
)
def test_errors_are_one_message_and_an_exit_code(
    forked_python: ForkedPython, arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    ended = forked_python.run(*RUN, *arguments, "--output_dir", str(tmp_path / "out"), folder=BUNDLE)
    assert ended.returncode == code
    assert "Traceback" not in ended.stderr
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert not list(tmp_path.glob("out/*"))


def test_run_is_the_id_of_the_model_zoo(forked_python: ForkedPython, tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(tiny_volume(0), AFFINE), tmp_path / "scan.nii.gz")
    options = ["--input", str(tmp_path / "scan.nii.gz"), "--output_dir", str(tmp_path), "--amp", "false"]
    ended = forked_python.run(*RUN, "--config_file", "configs/inference.json", *options, folder=BUNDLE)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "scan_sr.nii.gz").is_file()


def test_two_processes_give_the_figures_of_one(
    forked_python: ForkedPython, tmp_path: Path, tiny_dataset: dict[str, str]
) -> None:
    folder, manifest = Path(tiny_dataset["dataset_dir"]), json.loads(Path(tiny_dataset["data_manifest"]).read_text())
    manifest["split"] |= {"train": ["sub-0"], "validation": ["sub-1"], "test": ["sub-2", "sub-3", "sub-4"]}
    path = tmp_path / "odd.json"
    path.write_text(json.dumps(manifest))
    data = ["--dataset_dir", str(folder), "--data_manifest", str(path)]
    options = [*data, *SHORT, "--patch_size", "[24,24]"]
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    # Not the family, of which each process draws its own part.
    train, evaluate = "configs/train.json','configs/nominal.json", "configs/evaluate.json"
    file, files = f"['{train}']", f"['{train}','configs/multi_gpu_train.json']"
    ended = [
        forked_python.run(*RUN, "training", "--config_file", file, "--output_dir", one, *options, folder=BUNDLE),
        forked_python.run(
            *TORCHRUN, *RUN, "training", "--config_file", files, "--output_dir", two, *options, folder=BUNDLE
        ),
    ]
    assert [e.returncode for e in ended] == [0, 0], ended[1].stderr
    curves = [table(Path(out) / "curves.csv")[0] for out in (one, two)]
    for key in ("loss", "validation_psnr", "validation_ssim"):
        assert float(curves[1][key]) == pytest.approx(float(curves[0][key]), rel=1e-4), key
    one_process, two_processes = (weights(Path(out) / "last.pt") for out in (one, two))
    assert one_process.keys() == two_processes.keys()
    for name, value in one_process.items():
        torch.testing.assert_close(two_processes[name], value, rtol=1e-3, atol=1e-4)

    options = [*data, "--amp", "false", "--checkpoint", f"{one}/model.pt"]
    files = f"['{train}','{evaluate}','configs/multi_gpu_evaluate.json']"
    alone = ("evaluating", "--config_file", f"['{train}','{evaluate}']", "--output_dir", one, *options)
    shared = ("evaluating", "--config_file", files, "--output_dir", two, *options)
    ended = [
        forked_python.run(*RUN, *alone, folder=BUNDLE),
        *forked_python.run_ranks(2, *RUN, *shared, folder=BUNDLE),
    ]
    assert [e.returncode for e in ended] == [0, 0, 0], ended[1].stderr
    tables = [table(Path(out) / "metrics.csv") for out in (one, two)]
    for row in (row for rows in tables for row in rows):
        row.pop("seconds")
    assert tables[0] == tables[1]
    assert [row["subject"] for row in tables[1]][::7] == ["sub-2", "sub-3", "sub-4"]
    # An odd number over two ranks: one scan comes twice and counts once.
    first, second = (json.loads((Path(out) / "summary.json").read_text()) for out in (one, two))
    for group in ("methods", "difference_from_cubic"):
        for method, metrics in first[group].items():
            assert {k: v for k, v in metrics.items() if k != "seconds"} == {
                k: v for k, v in second[group][method].items() if k != "seconds"
            }
