"""A model's outputs of a benchmark: made once, kept when the call breaks off, failures named."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipelines.evaluation.generate as generate
from model.video import png_bytes
from pipelines.cli import main
from pipelines.demo import footage_files
from pipelines.evaluation.benchmark import Case, load_benchmark, load_system, write_benchmark
from pipelines.evaluation.outputs import add_outputs
from pipelines.responsible_use import UseTerms
from schemas.errors import RecipeError
from schemas.fingerprint import file_sha256
from tests.builders import write_video
from tests.pipelines.tiny_teacher import tiny_teacher

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_teacher(tmp_path_factory.mktemp("model"))


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Three cases: a talking head twice, and a driving file that is no video."""
    media = tmp_path / "bench" / "media"
    media.mkdir(parents=True)
    with av.open(str(footage_files()["carphone_pristine.mp4"])) as container:
        head = [frame.to_ndarray(format="rgb24") for frame in itertools.islice(container.decode(video=0), 4)]
    write_video(media / "head.mp4", np.stack(head), 12)
    (media / "head.png").write_bytes(png_bytes(head[0]))
    (media / "text.mp4").write_text("no video")
    cases = [
        Case(
            case_id=f"000{number}", references=("media/head.png",), driving=f"media/{name}.mp4",
            prompt="a person talks", tags={}, subjects=("ann", "ben"),
            sha256={path: file_sha256(tmp_path / "bench" / path) for path in ("media/head.png", f"media/{name}.mp4")},
        )
        for number, name in enumerate(("head", "text", "head"))
    ]  # fmt: skip
    write_benchmark(tmp_path / "bench", cases, {})
    return tmp_path / "bench"


def test_a_call_that_broke_off_goes_on(
    teacher: Path, bench: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[str] = []
    real = generate.animate_file

    def broken(*arguments: Any, **more: Any) -> Any:
        if arguments[3].name.endswith("0002.mp4") and "0002" not in made:
            made.append("0002")
            raise KeyboardInterrupt
        made.append(arguments[3].name)
        return real(*arguments, **more)

    monkeypatch.setattr(generate, "animate_file", broken)
    command = ["evaluate", "run", str(bench), "--model", str(teacher), "--name", "ours", "--consent", "own", "--json"]
    assert main(command) == 1
    assert not (bench / "systems" / "ours").exists()
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["outputs"] == 2
    assert result["wall_s"] > 0
    assert list(result["failed"]) == ["0001"]
    assert made.count(".0000.mp4") == 1, "it was kept"
    system = load_system(bench, "ours", load_benchmark(bench))
    assert "cannot be opened" in system.failed["0001"]
    assert system.made_by["seconds"]["0000"] > 0
    with av.open(str(bench / "systems" / "ours" / "0000.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4

    add_outputs(bench, load_benchmark(bench), "theirs", bench / "systems" / "ours", {})
    with pytest.raises(RecipeError, match="was added, not made here"):
        generate.generate_cases(bench, load_benchmark(bench), teacher, "theirs", 0, UseTerms("own"))
    with pytest.raises(RecipeError, match="begun with another model, seed or cases"):
        generate.generate_cases(bench, load_benchmark(bench), teacher, "ours", 7, UseTerms("own"))
