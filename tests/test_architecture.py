"""Which way imports run, and how big a module may be: read from the source, so that nothing needs to be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("schemas", "curation", "annotation", "model", "pipelines")
# schemas <- curation | annotation | model <- pipelines
MAY_IMPORT = {
    "schemas": {"schemas"},
    "curation": {"schemas", "curation"},
    "annotation": {"schemas", "annotation"},
    "model": {"schemas", "model"},
    "pipelines": set(PACKAGES),
}
FORBIDDEN = {
    "schemas": {"torch", "torchvision", "av", "ray"},
    "curation": {"ray"},
    "annotation": {"ray"},
    # The model must train on a machine that has neither detectors nor video tools.
    "model": {"ray", "mediapipe", "ultralytics", "cv2", "scenedetect"},
    "pipelines": set(),
}
RAY_FILE = "pipelines/run_ray.py"
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}
MAX_LINES = 350


def sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((root / package).rglob("*.py"))


def imported_modules(path: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file imports, at its top, inside functions, or by name at run time."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield node.lineno, ".".join((*base, *([node.module] if node.module else [])))
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__") and node.args:
            name = _constant_start(node.args[0])
            if name:
                yield node.lineno, name


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _constant_start(node: ast.expr) -> str:
    """The text that a string or an f-string begins with."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def import_violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        place = path.relative_to(root).as_posix()
        package = place.split("/")[0]
        for line, module in imported_modules(path, root):
            top = module.split(".")[0]
            if top in PACKAGES and top not in MAY_IMPORT[package]:
                found.append(f"{place}:{line} imports {module}: {package} may import {sorted(MAY_IMPORT[package])}")
            if top in FORBIDDEN[package]:
                found.append(f"{place}:{line} imports {module}, which {package} does without")
            elif top == "ray" and place != RAY_FILE:
                found.append(f"{place}:{line} imports ray: only {RAY_FILE} does")
            if top == "tests":
                found.append(f"{place}:{line} imports from the tests")
    return found


def shape_violations(root: Path) -> list[str]:
    found = []
    for path in sources(root):
        place = path.relative_to(root).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            found.append(f"{place}: {lines} lines, look for the second idea (at most {MAX_LINES})")
        vague = VAGUE_NAMES & {part.removesuffix(".py") for part in path.relative_to(root).parts}
        found += [f"{place}: {name} says nothing of what is inside" for name in sorted(vague)]
    return found


def test_all_packages_are_walked() -> None:
    assert {path.relative_to(REPOSITORY).parts[0] for path in sources(REPOSITORY)} == set(PACKAGES)


def test_imports_run_one_way() -> None:
    assert import_violations(REPOSITORY) == []


def test_modules_are_small_and_named_for_what_they_hold() -> None:
    assert shape_violations(REPOSITORY) == []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("schemas/a.py", "import curation.decode"),
        ("schemas/a.py", "def f():\n    from torch import nn"),
        ("schemas/a.py", "import av"),
        ("curation/a.py", "from annotation.body import Body"),
        ("curation/scorers/a.py", "def f():\n    if True:\n        import ray.data"),
        ("curation/a.py", "from pipelines import sink"),
        ("curation/a.py", "from ..model import net"),
        ("annotation/a.py", "import importlib\nimportlib.import_module('curation.decode')"),
        ("annotation/a.py", "__import__(f'model.{name}')"),
        ("model/a.py", "class A:\n    def f(self):\n        import mediapipe"),
        ("model/a.py", "import cv2"),
        ("model/a.py", "from scenedetect.detectors import ContentDetector"),
        ("model/a.py", "import ultralytics as u, torch"),
        ("pipelines/curate.py", "def f():\n    import ray"),
        ("pipelines/curate.py", "from tests.builders import dataset"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, place: str, text: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n", encoding="utf-8")
    assert len(import_violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("pipelines/run_ray.py", "import ray"),
        ("pipelines/curate.py", "from model.net import Net\nfrom curation import cuts"),
        ("model/a.py", "import torch, av\nfrom schemas.frames import FrameBatch\nfrom . import net"),
        ("schemas/a.py", "import rayon, avro, numpy\n# import ray\ntext = 'import torch'"),
    ],
)
def test_an_honest_import_passes(tmp_path: Path, place: str, text: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text + "\n", encoding="utf-8")
    assert import_violations(tmp_path) == []


def test_a_planted_shape_is_found(tmp_path: Path) -> None:
    for place, lines in (("model/utils.py", 1), ("curation/common/a.py", 1), ("schemas/long.py", MAX_LINES + 1)):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" * lines, encoding="utf-8")
    assert len(shape_violations(tmp_path)) == 3
