"""The rules of the house: imports go downwards only, and no file grows without end."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "custom"

# From the bottom up; a package may import those of lower rank and itself.
RANK = {
    "errors": 0,
    "memory": 0,
    "options": 1,
    "storage": 1,
    "command_line": 2,
    "kspace": 1,
    "arrays": 1,
    "degradations": 2,
    "networks": 2,
    "losses": 3,
    "metrics": 3,
    "scans": 3,
    "weights": 3,
    "inferers": 4,
    "manifests": 4,
    "transforms": 4,
    "run": 5,
    "run_info": 5,
    "engines": 5,
    "evaluation": 5,
    "handlers": 6,
    "release": 7,
    "integrations": 8,
}

TENSORS_ONLY = {"kspace", "degradations", "networks", "losses"}
FILES = sorted(PACKAGE.rglob("*.py"))


def _part(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downwards(path: Path) -> None:
    here = _part(path)
    if here == "__init__":
        return
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "custom" or len(parts) == 1 or parts[1] not in RANK:
            continue
        above = parts[1]
        assert above == here or RANK[above] < RANK[here], f"{path.name}: {here} imports {name}"


@pytest.mark.parametrize("path", [p for p in FILES if _part(p) in TENSORS_ONLY], ids=lambda p: p.stem)
def test_tensor_packages_know_no_files_and_no_engines(path: Path) -> None:
    roots = {name.split(".")[0] for name in _imports(path)}
    assert not roots & {"ignite", "nibabel", "pydicom", "mlflow", "pathlib", "os", "json"}
    assert not any(name.startswith(("monai.engines", "monai.handlers", "monai.bundle")) for name in _imports(path))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_passes_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_contributing_draws_the_rooms_that_there_are() -> None:
    drawn = re.findall(r"^\| (\d) \| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    rooms = {_part(path) for path in FILES} - {"__init__"}
    assert drawn == sorted((str(RANK[room]), room) for room in rooms)


def test_every_module_says_what_is_public() -> None:
    for path in FILES:
        if path.name != "__init__.py":
            assert "__all__ = [" in path.read_text() or "__all__: " in path.read_text(), path
