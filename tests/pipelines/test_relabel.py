from __future__ import annotations

import argparse
import errno
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from builders import camera_track, dataset, dataset_of, moving_square_video, sample

import annotation.body
import annotation.catalog
import annotation.sample
import pipelines.relabel_stage
from annotation.base import DENSE, ClipFrame
from model.data.clips import load_clip
from model.data.reader import dataset_fingerprint
from pipelines import relabel as command
from pipelines.annotate import annotate
from pipelines.curate import curate
from pipelines.demo import footage_files
from pipelines.folder_lock import LOCK_FILE, only_one
from pipelines.overlays import remove_overlay
from pipelines.recipe_models import annotate_recipe, curate_recipe
from pipelines.relabel import relabel
from pipelines.shard_check import check_dataset
from schemas.errors import CorruptShard, DecodeError, RecipeError
from schemas.index import INDEX_JSON, INDEX_PARQUET, SHARDS_DIR, load_overlays, load_samples, load_shards
from schemas.overlay import load_overlay
from schemas.shard import iterate_shard, member_overlays, read_members, read_sample
from schemas.tracks import TRACKS, CameraTrack, FaceTrack

BODY_VERSION = annotation.body.BodyAnnotator.version
REPOSITORY = Path(__file__).resolve().parents[2]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file by its path in the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def shards_of(folder: Path) -> dict[str, bytes]:
    return tree(folder / SHARDS_DIR)


def samples_of(path: Path) -> list[dict[str, bytes]]:
    return [read_sample(path, entry) for entry in load_samples(path)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three samples in two shards; their captions and versions are none that an annotator would write."""
    return dataset(tmp_path / "data", n=3)


def only_labels(path: Path, **options: Any) -> dict[str, Any]:
    return relabel(path, only=["labels"], runner="local", **options)


def test_new_labels_lie_beside_shards_that_stay_as_they_are(data: Path) -> None:
    before, shards = samples_of(data), shards_of(data)
    result = only_labels(data, overlay="words")
    assert (result["relabelled"], result["failed"], result["members"]) == (3, [], {"json": 3, "txt": 3})
    assert shards_of(data) == shards
    for entry, old, new in zip(load_samples(data), before, samples_of(data), strict=True):
        document = json.loads(new["json"])
        assert document["caption"] != json.loads(old["json"])["caption"]
        assert new["txt"].decode() == document["caption"] + "\n"
        assert entry.caption == document["caption"]
        assert document["scores"] == json.loads(old["json"])["scores"]
        assert {name: new[name] for name in new if name not in ("json", "txt")} == {
            name: old[name] for name in old if name not in ("json", "txt")
        }
        assert read_members(data, entry, ("json", "mp4")) == {"json": new["json"], "mp4": old["mp4"]}
        overlays = {**dict.fromkeys(old), "json": "words", "txt": "words"}
        assert member_overlays(entry) == overlays
    assert check_dataset(data, deep=True) == []


def test_an_overlay_is_aligned_and_holds_only_what_changed(data: Path) -> None:
    only_labels(data, overlay="words")
    for shard in sorted((data / SHARDS_DIR).iterdir()):
        keys = list(dict.fromkeys(name.split(".")[0] for name, _, _ in iterate_shard(shard)))
        over = [name for name, _, _ in iterate_shard(data / "overlays" / "words" / shard.name)]
        assert over == [f"{key}.{suffix}" for key in keys for suffix in ("json", "txt")]
    overlay = load_overlay(data, "words")
    assert set(overlay.base) == {shard.name for shard in overlay.shards} == {"000000.tar", "000001.tar"}
    assert "units" not in {path.name for path in (data / "overlays" / "words").iterdir()}


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # webdataset leaves its last file to the garbage collector
def test_webdataset_reads_shards_and_overlays_side_by_side(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_labels(data, overlay="words")
    monkeypatch.setattr(annotation.sample, "ACTIONS_VERSION", "another")
    only_labels(data, overlay="more_words")
    # The function of docs/shards.md, as it stands there.
    code = re.search(r"```python\n(def joined.*?)```", (REPOSITORY / "docs" / "shards.md").read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {"webdataset": webdataset}
    exec(code[1], names)
    shards = [shard.name for shard in load_shards(data)]
    joined = [
        {name: value for name, value in each.items() if not name.startswith("__")}
        for each in names["joined"](data, shards, ["words", "more_words"])
    ]
    assert joined == samples_of(data)
    gc.collect()


def test_the_same_relabelling_gives_the_same_bytes_wherever_the_dataset_lies(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "elsewhere")
    only_labels(data)
    only_labels(tmp_path / "elsewhere")
    assert tree(data) == tree(tmp_path / "elsewhere")


def test_a_later_overlay_wins_and_taking_it_off_leaves_no_trace(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = tree(data)
    only_labels(data)
    once, first = tree(data), samples_of(data)
    monkeypatch.setattr(annotation.sample, "ACTIONS_VERSION", "another")
    only_labels(data)
    assert [each.name for each in load_overlays(data)] == ["relabel-001", "relabel-002"]
    assert json.loads(samples_of(data)[0]["json"])["annotators"]["actions"]["version"] == "another"
    with pytest.raises(RecipeError, match="relabel-001 lies under relabel-002"):
        remove_overlay(data, "relabel-001")
    assert remove_overlay(data, "relabel-002")
    assert samples_of(data) == first
    assert tree(data) == once
    assert remove_overlay(data, "relabel-001")
    assert tree(data) == plain
    assert not (data / "overlays").exists()


@pytest.mark.slow
def test_without_names_what_is_out_of_date_is_made_anew_and_then_nothing_is(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_labels(data)
    # Tracks of the test's dataset were made by nobody: every annotator runs, and contact, which it lacks.
    found = relabel(data, runner="local", plan_only=True)
    assert found["rerun"] == dict.fromkeys(["body", "camera", "contact", "face", "hands", "labels"], 3)
    relabel(data, runner="local")
    assert all("contact.npz" in members for members in samples_of(data))
    assert check_dataset(data, deep=False) == []
    before = tree(data)
    # One track alone: those that follow from it are kept, and are out of date from then on.
    monkeypatch.setattr(annotation.body.BodyAnnotator, "version", "another")
    result = relabel(data, only=["body"], alone=True, runner="local")
    assert set(result["members"]) <= {"body.npz", "json", "txt"}
    assert json.loads(samples_of(data)[0]["json"])["annotators"]["face.npz"]["after"] == {"body": BODY_VERSION}
    found = relabel(data, runner="local", plan_only=True)
    assert found["rerun"] == dict.fromkeys(["camera", "contact", "face", "hands", "labels"], 3)
    remove_overlay(data, "relabel-003")
    monkeypatch.undo()
    assert tree(data) == before
    again = relabel(data, runner="local")
    assert (again["overlay"], again["relabelled"], again["note"]) == (None, 0, "nothing is out of date")
    monkeypatch.setattr(annotation.sample, "ACTIONS_VERSION", "another")
    assert relabel(data, runner="local", plan_only=True)["rerun"] == {"labels": 3}
    assert tree(data) == before
    remove_overlay(data, "relabel-002")
    assert not any("contact.npz" in entry.members for entry in load_samples(data))
    assert check_dataset(data, deep=False) == []


class _TurningCamera:
    """Measures nothing and says that the camera turns right."""

    name: ClassVar[str] = "camera"
    suffix: ClassVar[str] = "camera.npz"
    after: ClassVar[tuple[str, ...]] = ("body",)
    needs: ClassVar = DENSE
    version = "turning"

    def open(self, clip: ClipFrame) -> Any:
        times: list[float] = []

        class Session:
            def observe(self, frames: Any) -> None:
                times.extend(frames.pts_s_T)

            def finish(self, earlier: Any) -> CameraTrack:
                assert list(earlier) == ["body"]
                track = camera_track(len(times), pan_rad=0.05)
                return CameraTrack(*(getattr(track, name) for name in list(track.SHAPES)[:4]), np.array(times))

        return Session()


@pytest.fixture
def turning_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    made = annotation.catalog.make_annotators

    def make() -> Any:
        return tuple(_TurningCamera() if each.name == "camera" else each for each in made())

    monkeypatch.setattr(annotation.catalog, "make_annotators", make)
    monkeypatch.setattr(pipelines.relabel_stage, "make_annotators", make)


@pytest.mark.usefixtures("turning_camera")
def test_one_annotator_alone_changes_its_track_and_the_labels(data: Path) -> None:
    before = samples_of(data)
    result = relabel(data, only=["camera"], alone=True, runner="local")
    assert result["members"] == {"camera.npz": 3, "json": 3, "txt": 3}
    for old, new in zip(before, samples_of(data), strict=True):
        document = json.loads(new["json"])
        # The frames come from the mp4, the times from the tracks: all tracks of a sample have one clock.
        track = CameraTrack.from_npz(new["camera.npz"])
        assert np.array_equal(track.pts_s_T, FaceTrack.from_npz(old["face.npz"]).pts_s_T)
        assert document["annotators"]["camera.npz"] == {"name": "camera", "version": "turning", "frames": "mp4"}
        assert [move["label"] for move in document["camera"]["moves"]] == ["pan_right"]
        assert new["body.npz"] == old["body.npz"]
        assert new["mp4"] == old["mp4"]


def test_the_trainer_sees_the_newest_labels(data: Path) -> None:
    before = dataset_fingerprint(data)
    only_labels(data)
    entry = load_samples(data)[0]
    assert load_clip(data, entry, 32).caption == entry.caption != "a person walks to the right"
    with_overlay = dataset_fingerprint(data)
    assert with_overlay != before
    remove_overlay(data, "relabel-001")
    assert dataset_fingerprint(data) == before


@pytest.mark.parametrize("files", [[INDEX_JSON], [INDEX_JSON, INDEX_PARQUET]])
def test_an_overlay_that_was_killed_while_it_was_put_on_is_completed(data: Path, files: list[str]) -> None:
    """index.parquet is replaced before index.json: killed between them, or before both."""
    old = {name: (data / name).read_bytes() for name in files}
    only_labels(data)
    whole = tree(data)
    for name in files:
        (data / name).write_bytes(old[name])
    if files == [INDEX_JSON]:
        assert any("relabelling broke off" in problem.message for problem in check_dataset(data, deep=False))
        # A reader is served all the same: index.parquet is what it goes by.
        assert all(json.loads(members["json"])["caption"] != "" for members in samples_of(data))
    only_labels(data)
    assert tree(data) == whole


def test_an_overlay_taken_off_in_part_is_named(data: Path) -> None:
    plain = (data / INDEX_PARQUET).read_bytes()
    only_labels(data)
    (data / INDEX_PARQUET).write_bytes(plain)
    with pytest.raises(RecipeError, match="relabel-001 was taken off in part; motionloom relabel"):
        only_labels(data)
    remove_overlay(data, "relabel-001")
    assert check_dataset(data, deep=False) == []


def test_a_damaged_shard_stops_the_work_and_the_same_call_goes_on_once_it_is_repaired(
    data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "whole")
    relabel(tmp_path / "whole", only=["face"], runner="local")
    path, entry = data / SHARDS_DIR / "000000.tar", load_samples(data)[1]
    sound = path.read_bytes()
    damaged = bytearray(sound)
    damaged[entry.offset + entry.size_bytes // 2] ^= 0x01
    path.write_bytes(bytes(damaged))
    index = tree(data)[INDEX_PARQUET]
    with pytest.raises(CorruptShard, match=r"shard 000000\.tar, sample clip-001: sha256 differs"):
        relabel(data, only=["face"], runner="local")
    assert tree(data)[INDEX_PARQUET] == index
    path.write_bytes(sound)
    relabel(data, only=["face"], runner="local")
    assert tree(data) == tree(tmp_path / "whole")
    path.write_bytes(sound[:-512])
    with pytest.raises(CorruptShard, match=r"shard 000000\.tar has \d+ bytes"):
        only_labels(data)


def test_a_sample_that_cannot_be_measured_keeps_its_labels_and_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    short = moving_square_video(tmp_path / "short.mp4", frames=12).read_bytes()
    path = dataset_of(tmp_path / "data", {"a": sample("a", mp4), "b": sample("b", short), "c": sample("c", b"no mp4")})
    before = samples_of(path)
    result = relabel(path, only=["face"], runner="local")
    assert call(path, "--only", "face", "--overlay", result["overlay"], "--runner", "local") == 1
    assert "error: 67% of the samples failed, the recipe's failure_budget is 20%" in capsys.readouterr().err
    assert [(row["clip_id"], row["stage"]) for row in result["failed"]] == [("b", "relabel"), ("c", "relabel")]
    assert "its mp4 has 12 frames, the index says 16" in result["failed"][0]["message"]
    assert result["over_budget"]
    after = samples_of(path)
    assert after[1:] == before[1:]
    assert after[0]["face.npz"] != before[0]["face.npz"]
    # Their JSON stands in the overlay too: it is aligned.
    assert result["members"] == {"face.npz": 1, "json": 3, "txt": 1}
    # What failed is tried again by a new call, into an overlay of its own.
    assert relabel(path, plan_only=True, runner="local")["overlay"] == "relabel-002"


def test_what_failed_is_tried_again_alone_with_what_ran_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    path = dataset_of(tmp_path / "data", {key: sample(key, mp4) for key in ("a", "b", "c")})
    decode, broken = pipelines.relabel_stage.decode_for, {"a": True, "b": True}

    def decode_for(*args: Any, **options: Any) -> Any:
        key = keys.pop(0)
        if broken.get(key):
            raise DecodeError(f"{key} cannot be decoded today")
        return decode(*args, **options)

    monkeypatch.setattr(pipelines.relabel_stage, "decode_for", decode_for)
    keys = ["a", "b", "c"]
    assert call(path, "--only", "face", "--alone", "--runner", "local", "--json") == 1
    captured = capsys.readouterr()
    assert [row["clip_id"] for row in json.loads(captured.out)["failed"]] == ["a", "b"]
    assert "--retry-failed tries them again" in captured.err
    first = samples_of(path)

    broken["a"], keys = False, ["a", "b"]
    again = relabel(path, retry_failed="", runner="local")
    assert (again["relabelled"], again["rerun"]) == (2, {"face": 2, "labels": 2})
    assert [row["clip_id"] for row in again["failed"]] == ["b"]
    made_by = load_overlay(path, "relabel-002").made_by
    assert (made_by["only"], made_by["alone"], made_by["retry_of"]) == (["face"], True, "relabel-001")
    second = samples_of(path)
    assert second[1:] == first[1:], "only what failed is touched"
    assert second[0]["face.npz"] != first[0]["face.npz"]

    broken["b"], keys = False, ["b"]
    assert relabel(path, retry_failed="relabel-002", runner="local")["failed"] == []
    assert relabel(path, retry_failed="", runner="local")["note"] == "nothing failed in relabel-003"
    assert len(load_overlays(path)) == 3
    assert check_dataset(path, deep=True) == []


def test_a_retry_names_what_it_cannot_do(data: Path) -> None:
    with pytest.raises(RecipeError, match="has no finished overlay; it has none"):
        relabel(data, retry_failed="", runner="local")
    only_labels(data, overlay="words")
    with pytest.raises(RecipeError, match="has no finished overlay wrods; it has words"):
        relabel(data, retry_failed="wrods", runner="local")
    with pytest.raises(RecipeError, match="goes with neither --only nor --alone"):
        only_labels(data, retry_failed="words")
    with pytest.raises(RecipeError, match="--remove takes off an overlay"):
        call(data, "--remove", "words", "--retry-failed")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"only": ["fase"]}, "no annotator of that name; did you mean face"),
        ({"only": ["zzzzz"]}, "known: body, face, hands, camera, contact, labels"),
        ({"only": ["actions"]}, "with the other labels; use --only labels"),
        ({"overlay": "a.b"}, "only letters, digits"),
        ({"overlay": "../out"}, "only letters, digits"),
        ({"overlay": "foreign", "only": ["labels"]}, "not made by motionloom relabel; choose another --overlay"),
        ({"workers": -1}, "--workers -1"),
        ({"overrides": ["video.crff=3"]}, "unknown key video.crff; did you mean crf"),
        ({"overrides": ["zero_shot=true"]}, "zero_shot needs an open_clip model"),
        ({"recipe": "defualt"}, "did you mean default"),
    ],
)
def test_a_wrong_call_stops_before_work_and_leaves_no_trace(
    data: Path, options: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path / "empty"))
    (data / "overlays" / "foreign").mkdir(parents=True)
    (data / "overlays" / "foreign" / "notes.txt").write_text("mine")
    before = tree(data)
    with pytest.raises(RecipeError, match=says):
        relabel(data, runner="local", **options)
    assert tree(data) == before


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in argv]))


def test_no_dataset_and_an_unfinished_one_are_told_apart(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not a dataset"):
        call(tmp_path / "nowhere")
    (data / "recipe.json").write_text("{}")
    (data / INDEX_JSON).unlink()
    with pytest.raises(RecipeError, match="is not finished; the same motionloom annotate command continues it"):
        call(data)


def test_an_overlay_that_cannot_be_made_is_the_caller_s_to_solve(data: Path) -> None:
    (data / "overlays").write_text("a file in the way")
    with pytest.raises(RecipeError, match="cannot be made"):
        only_labels(data)


def test_a_read_only_dataset_is_refused_before_work(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the user may not write; root may anywhere but on a read-only file system."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == data and mode == os.W_OK))
    before = tree(data)
    with pytest.raises(RecipeError, match="cannot be written to"):
        only_labels(data)
    assert tree(data) == before
    planned = only_labels(data, plan_only=True)
    assert (planned["rerun"], planned["would_relabel"]) == ({"labels": 3}, 3)
    assert "relabelled" not in planned


def test_a_second_call_at_once_says_so_and_writes_nothing(data: Path) -> None:
    only_labels(data, overlay="words")
    with only_one(data, "relabel"):
        before = tree(data)
        says = rf"motionloom relabel \(process {os.getpid()} on .*\) is at work in .*; nothing was done here"
        with pytest.raises(RecipeError, match=says):
            only_labels(data, overlay="more_words")
        with pytest.raises(RecipeError, match=says):
            remove_overlay(data, "words")
        assert only_labels(data, plan_only=True)["overlay"] == "relabel-002"
        assert tree(data) == before
    assert only_labels(data, overlay="more_words")["relabelled"] == 3
    assert LOCK_FILE not in tree(data)


def test_a_killed_call_leaves_no_lock_that_holds(data: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import sys, time; from pathlib import Path; from pipelines.folder_lock import only_one\n"
         "with only_one(Path(sys.argv[1]), 'relabel'): print('held', flush=True); time.sleep(60)", str(data)],
        stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RecipeError, match=f"process {holder.pid} on"):
            only_labels(data)
        holder.kill()
        holder.wait()
    assert LOCK_FILE in tree(data)
    assert only_labels(data)["relabelled"] == 3
    assert LOCK_FILE not in tree(data)


def test_a_file_system_without_locks_is_warned_of(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("pipelines.folder_lock.fcntl.flock", no_locks)
    assert only_labels(data)["relabelled"] == 3
    assert "cannot be locked (Operation not supported): run one call at a time" in capsys.readouterr().err


def test_a_finished_overlay_is_left_alone_and_another_request_under_its_name_is_refused(data: Path) -> None:
    only_labels(data, overlay="words")
    before = tree(data)
    assert only_labels(data, overlay="words")["overlay"] == "words"
    assert tree(data) == before
    with pytest.raises(RecipeError, match=r"another relabel recipe \(it differs in: only\); choose another --overlay"):
        relabel(data, only=["face"], overlay="words", runner="local")


def test_remove_clears_an_unfinished_overlay_and_names_what_is_not_there(data: Path) -> None:
    plain = tree(data)
    (data / "overlays" / "half" / "units" / "ab").mkdir(parents=True)
    with pytest.raises(RecipeError, match="has no overlay hal; it has none"):
        remove_overlay(data, "hal")
    assert not remove_overlay(data, "half")
    assert tree(data) == plain
    with pytest.raises(RecipeError, match="--remove takes off an overlay"):
        call(data, "--remove", "half", "--only", "face")


def test_the_command_prints_its_plan_and_its_result_as_json(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(data, "--only", "labels", "--plan", "--json") == 0
    assert json.loads(capsys.readouterr().out)["rerun"] == {"labels": 3}
    assert not (data / "overlays").exists()
    assert call(data, "--only", "labels", "--runner", "local", "--set", "video.crf=30", "--json") == 0
    captured = capsys.readouterr()
    assert "--set video.crf=30 has no effect here" in captured.err
    assert json.loads(captured.out)["overlay"] == "relabel-001"
    assert call(data, "--remove", "relabel-001", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": "relabel-001", "finished": True}


@pytest.mark.slow
def test_other_words_of_the_recipe_put_labels_out_of_date(data: Path) -> None:
    def planned(*overrides: str) -> dict[str, int]:
        found: dict[str, int] = relabel(data, overrides=overrides, runner="local", plan_only=True)["rerun"]
        return found

    relabel(data, runner="local")
    assert planned() == {}
    model = ("language_model.url=http://127.0.0.1:9/v1", "language_model.model=m", "language_model.attempts=1")
    assert planned(*model) == {}
    assert planned(*model, "language_model.paraphrase=true") == {"labels": 3}
    relabel(data, overrides=(*model, "language_model.paraphrase=true"), runner="local")
    document = json.loads(samples_of(data)[0]["json"])
    assert document["refinement"]["problems"]["caption"].startswith("no connection")
    # From now on that is the dataset's recipe; without the model its words go with it.
    assert planned() == {}
    relabel(data, recipe="default", runner="local")
    assert "refinement" not in json.loads(samples_of(data)[0]["json"])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-600] + b"x" * 600), "overlay words: sha256 differs"),
        (lambda path: path.unlink(), "overlay words: the file is missing"),
    ],
)
def test_verify_finds_a_damaged_overlay(data: Path, damage: Callable[[Path], None], says: str) -> None:
    only_labels(data, overlay="words")
    damage(data / "overlays" / "words" / "000001.tar")
    problems = check_dataset(data, deep=False)
    assert any(says in problem.message and problem.shard == "000001.tar" for problem in problems)


def test_verify_names_the_sample_whose_overlay_is_damaged(data: Path) -> None:
    only_labels(data, overlay="words")
    span = load_samples(data)[1].overlays[0]
    path = data / "overlays" / "words" / "000000.tar"
    damaged = bytearray(path.read_bytes())
    damaged[span.offset + 700] ^= 0x01
    path.write_bytes(bytes(damaged))
    problems = check_dataset(data, deep=False)
    assert ("000000.tar", "clip-001") in {(problem.shard, problem.key) for problem in problems}
    assert "clip-000" not in {problem.key for problem in problems}


def test_an_index_without_overlays_has_no_column_for_them(data: Path) -> None:
    assert "overlays" not in pq.read_schema(data / INDEX_PARQUET).names
    only_labels(data)
    assert "overlays" in pq.read_schema(data / INDEX_PARQUET).names


# ---- real footage


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short clips of a talking face, annotated."""
    folder = tmp_path_factory.mktemp("talking")
    recipe = curate_recipe("keep_all", ["clips.max_clip_s=1.6"])
    curate([str(footage_files()["carphone_pristine.mp4"])], folder / "run", recipe, "local")
    annotate(folder / "run", folder / "data", annotate_recipe("default"), "local")
    return folder / "data"


@pytest.mark.slow
def test_labels_made_anew_are_those_of_annotation_byte_for_byte(talking: Path, tmp_path: Path) -> None:
    shutil.copytree(talking, tmp_path / "data")
    before = samples_of(tmp_path / "data")
    assert relabel(tmp_path / "data", runner="local")["note"] == "nothing is out of date"
    assert only_labels(tmp_path / "data")["members"] == {"json": 3}
    assert samples_of(tmp_path / "data") == before


@pytest.mark.slow
def test_hands_alone_leave_the_body_and_faces_from_the_mp4_are_where_they_were(talking: Path, tmp_path: Path) -> None:
    shutil.copytree(talking, tmp_path / "data")
    before = samples_of(tmp_path / "data")
    result = relabel(tmp_path / "data", only=["hands", "face"], runner="local")
    assert result["rerun"] == {"contact": 3, "face": 3, "hands": 3, "labels": 3}
    assert set(result["members"]) <= {"hands.npz", "contact.npz", "face.npz", "json", "txt"}
    for old, new in zip(before, samples_of(tmp_path / "data"), strict=True):
        was, now = (FaceTrack.from_npz(members["face.npz"]) for members in (old, new))
        assert now.present_T.mean() > 0.9
        seen_T = was.present_T & now.present_T
        apart_px = np.linalg.norm(was.landmarks_px_TL2[seen_T] - now.landmarks_px_TL2[seen_T], axis=-1)
        width_px = np.ptp(was.landmarks_px_TL2[seen_T][..., 0], axis=1).mean()
        assert float(np.median(apart_px)) < 0.02 * width_px
    assert check_dataset(tmp_path / "data", deep=False) == []


@pytest.mark.slow
def test_killed_and_continued_on_ray_gives_the_bytes_of_an_unbroken_local_run(
    talking: Path, tmp_path: Path, pipeline: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for name in ("whole", "broken"):
        shutil.copytree(talking, tmp_path / name)
    relabel(tmp_path / "whole", only=["face"], runner="local")
    broken = tmp_path / "broken"
    plain = {name: (broken / name).read_bytes() for name in (INDEX_JSON, INDEX_PARQUET)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.relabel", str(broken), "--only", "face", "--runner", "local"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline_s = time.monotonic() + 240
    units = broken / "overlays" / "relabel-001" / "units"
    while time.monotonic() < deadline_s and process.poll() is None and not list(units.glob("*/*.parquet")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 1 <= len(list(units.glob("*/*.parquet"))) < 3, "the run was to be killed half-way"
    assert {name: (broken / name).read_bytes() for name in plain} == plain
    again = pipeline("relabel", broken, "--only", "face", "--runner", "ray", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["failed"] == []
    assert tree(broken) == tree(tmp_path / "whole")
    assert set(TRACKS) <= set(load_samples(broken)[0].members)
