"""docs/add_a_scorer.md, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import pytest
from builders import write_video

from tests.curation.footage import coloured, texture

REPOSITORY = Path(__file__).parents[1]
GUIDE = REPOSITORY / "docs" / "add_a_scorer.md"
COPIED = ("schemas", "curation", "annotation", "model", "pipelines", "tests", "docs")


@dataclass(frozen=True, slots=True)
class Edit:
    """One fenced block of the guide: a new file, or changes to one that exists."""

    place: str
    text: str
    is_change: bool

    def apply(self, root: Path) -> None:
        path = root / self.place
        if not self.is_change:
            assert not path.exists(), f"the guide would overwrite {self.place}"
            path.write_text(self.text, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        for hunk in re.split(r"(?m)^@@\n", self.text):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] in " -")
            after = "".join(line[1:] for line in lines if line[0] in " +")
            assert text.count(before) == 1, f"{self.place} has this {text.count(before)} times, not once:\n{before}"
            text = text.replace(before, after)
        path.write_text(text, encoding="utf-8")


def edits(guide: str) -> list[Edit]:
    blocks = re.findall(r"(?ms)^```(\w+)\n# file: (\S+)\n(.*?)^```$", guide)
    return [Edit(place, text, kind == "diff") for kind, place, text in blocks]


def run_in(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the copy, with the copy's packages in front of any installed ones."""
    paths = os.pathsep.join((str(root), str(root / "tests")))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def test_the_guide_has_the_six_edits_of_the_design() -> None:
    found = [edit.place for edit in edits(GUIDE.read_text(encoding="utf-8"))]
    code, words = ["curation/ops/", "curation/scorers/", "curation/catalog.py"], ["docs/scores.md"]
    expected = [*code, *words, "tests/", "pipelines/recipes/"]
    assert len(found) == 6
    assert all(place.startswith(start) for place, start in zip(found, expected, strict=True))
    assert GUIDE.read_text(encoding="utf-8").count("```") == 12, "no block without a file"


def test_a_change_that_no_longer_fits_its_file_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one\ntwo\n", encoding="utf-8")
    Edit("a.py", " one\n+and a half\n two\n", True).apply(tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "one\nand a half\ntwo\n"
    with pytest.raises(AssertionError, match="0 times"):
        Edit("a.py", " one\n+and a half\n two\n", True).apply(tmp_path)


@pytest.mark.slow
def test_following_the_guide_adds_the_column_and_its_rule(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for edit in edits(GUIDE.read_text(encoding="utf-8")):
        edit.apply(root)
    touched = {path for path in root.rglob("*") if path.is_file() and path.read_bytes() != before.get(path)}
    assert len(touched) <= 6

    where = run_in(root, "-c", "import curation.catalog; print(curation.catalog.__file__)").stdout.strip()
    assert Path(where).is_relative_to(root), "the installed packages would be tested instead of the copy"
    fresh = [str(path.relative_to(root)) for path in sorted(touched) if path not in before]
    run_in(root, "-m", "ruff", "check", *fresh)
    run_in(root, "-m", "ruff", "format", "--check", *fresh)
    run_in(
        root, "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "tests/curation/test_colour.py", "tests/curation/test_scores_doc.py", "tests/test_architecture.py",
    )  # fmt: skip

    picture = texture(size_hw=(96, 128))
    grey = np.repeat(picture[..., None], 3, axis=-1)
    for name, rgb_HWC in (("grey", grey), ("red", coloured(picture, 0))):
        write_video(tmp_path / "footage" / f"{name}.mp4", np.repeat(rgb_HWC[None], 8, axis=0), 8)
    out = tmp_path / "run"
    run_in(
        root, "-m", "pipelines.curate", "--input", str(tmp_path / "footage"), "--output", str(out),
        "--recipe", "default", "--runner", "local",
    )  # fmt: skip
    clips = pads.dataset(out / "clips", format="parquet").to_table().to_pylist()
    decisions = pads.dataset(out / "decisions", format="parquet").to_table().to_pylist()
    stems = {clip["clip_id"]: Path(clip["uri"]).stem for clip in clips}
    colour = {stems[clip["clip_id"]]: clip["colourfulness"] for clip in clips}
    why = {stems[row["clip_id"]]: [text for text in row["reasons"] if "colourfulness" in text] for row in decisions}
    assert colour["grey"] < 2
    assert colour["red"] > 20
    assert len(why["grey"]) == 1
    assert why["grey"][0].endswith("< 5")
    assert why["red"] == []
