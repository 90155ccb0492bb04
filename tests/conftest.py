"""Shared fixtures: where the real clips are, and commands in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """The shared real clips; tests that need them skip where they are absent."""
    folder = Path(os.environ.get("MOTIONLOOM_CLIPS", REPOSITORY.parent / "shared" / "clips"))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"the real clips are not at {folder} (set MOTIONLOOM_CLIPS)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _signing_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Animations made by tests, also in processes of their own, are not signed with the user's key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTIONLOOM_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def pipeline() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `python -m pipelines.NAME ARGUMENTS` in a process of its own."""

    def call(name: str, *arguments: object, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"pipelines.{name}", *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return call
