"""What a manifest says of its footage, from there to the shards."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import moving_square_frames, moving_square_video

from pipelines.annotate import annotate
from pipelines.curate import curate
from pipelines.recipe_models import annotate_recipe, curate_recipe
from pipelines.run_tables import read_table
from pipelines.shard_check import check_dataset, check_sample
from schemas.codecs import encode_npz
from schemas.fingerprint import file_sha256
from schemas.index import load_samples
from schemas.shard import read_sample, sample_tar
from tests.curation.footage import write_timed


@pytest.fixture
def take(tmp_path: Path) -> Path:
    """Two views of one take, captured at 32 frames a second and played at 8; one has ground truth."""
    folder = tmp_path / "footage"
    for name in ("left", "right"):
        moving_square_video(folder / f"{name}.mp4", frames=16, fps=8, step_px=2 if name == "left" else 3)
    (folder / "truth.npz").write_bytes(encode_npz({"joints_TJ3": np.zeros((16, 2, 3))}))
    rows = [
        {"file": "left.mp4", "view_id": "left", "camera": {"f_px": 900}, "ground_truth": "truth.npz", "licence": "CC0"},
        {"file": "right.mp4", "view_id": "right", "offset_s": 0},
    ]
    text = "\n".join(json.dumps({**row, "take_id": "walk", "capture_fps": 32}) for row in rows)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    return folder


def documents(dataset: Path) -> dict[str, tuple[dict[str, object], dict[str, bytes]]]:
    """JSON and members of each sample, by view."""
    samples = [read_sample(dataset, entry) for entry in load_samples(dataset)]
    return {json.loads(members["json"])["view_id"]: (json.loads(members["json"]), members) for members in samples}


@pytest.mark.slow
def test_takes_cameras_and_truth_travel_from_the_manifest_to_the_shards(take: Path, tmp_path: Path) -> None:
    run_dir, dataset = tmp_path / "run", tmp_path / "data"
    curate([str(take)], run_dir, curate_recipe("keep_all"), "local")
    for table in ("videos", "clips"):
        rows = {row["view_id"]: row for row in read_table(run_dir, table).to_pylist()}
        assert {row["split_key"] for row in rows.values()} == {"take:walk"}
        assert len({row["split"] for row in rows.values()}) == 1
        assert [row["real_time_factor"] for row in rows.values()] == pytest.approx([4.0, 4.0])
        assert rows["left"]["ground_truth_sha256"] == file_sha256(take / "truth.npz")
        assert (rows["left"]["camera"], rows["right"]["camera"]) == ('{"f_px": 900}', None)
    assert annotate(run_dir, dataset, annotate_recipe("default"), "local")["failed"] == []
    samples = documents(dataset)
    left, members = samples["left"]
    assert (left["take_id"], left["capture_fps"], left["camera_parameters"]) == ("walk", 32.0, {"f_px": 900})
    assert left["ground_truth"]["member"] == "truth.npz"  # type: ignore[index]
    assert members["truth.npz"] == (take / "truth.npz").read_bytes()
    right = samples["right"][0]
    assert right["ground_truth"] is None
    assert left["take_clip"] == right["take_clip"] is not None
    assert (left["offset_s"], right["offset_s"]) == (None, 0.0)
    assert (left["time"], left["duration_s"], left["fps"]) == ("playback", pytest.approx(2.0), pytest.approx(8.0))
    assert check_dataset(dataset, deep=True) == []
    entry = next(each for each in load_samples(dataset) if "truth.npz" in each.members)
    damaged = {**members, "truth.npz": b"no archive"}
    found = check_sample(dataset, entry, sample_tar(entry.key, damaged), deep=False)
    assert any("truth.npz: not a readable npz" in text for text in found)


@pytest.mark.slow
def test_on_request_clips_and_tracks_are_written_in_real_time(take: Path, tmp_path: Path) -> None:
    run_dir, dataset = tmp_path / "run", tmp_path / "data"
    curate([str(take)], run_dir, curate_recipe("keep_all"), "local")
    recipe = annotate_recipe("default", ["video.time=real", "video.max_fps=16"])
    assert annotate(run_dir, dataset, recipe, "local")["failed"] == []
    left, members = documents(dataset)["left"]
    # 16 frames at 32 a second last half a second; every other one is kept.
    assert (left["time"], left["frames"]) == ("real", 8)
    assert (left["duration_s"], left["fps"]) == (pytest.approx(0.5), pytest.approx(16.0))
    times_s = np.load(dataset_member(tmp_path, members["body.npz"]))["pts_s_T"]
    assert np.allclose(times_s, np.arange(8) / 16)
    assert check_dataset(dataset, deep=True) == []


def dataset_member(folder: Path, data: bytes) -> Path:
    path = folder / "member.npz"
    path.write_bytes(data)
    return path


@pytest.mark.slow
def test_truth_that_changed_or_is_no_data_is_a_failure_with_a_reason(take: Path, tmp_path: Path) -> None:
    (take / "truth.npz").write_bytes(b"PK no archive")
    run_dir = tmp_path / "run"
    curate([str(take)], run_dir, curate_recipe("keep_all"), "local")
    failed = annotate(run_dir, tmp_path / "a", annotate_recipe("default"), "local")["failed"]
    assert [Path(row["uri"]).name for row in failed] == ["left.mp4"]
    assert "truth.npz: not a readable npz" in failed[0]["message"]
    (take / "truth.npz").write_bytes(b"PK another")
    failed = annotate(run_dir, tmp_path / "b", annotate_recipe("default"), "local")["failed"]
    assert "changed since it was curated" in failed[0]["message"]
    # A changed side file is a changed input: the next curation measures it again.
    again = curate([str(take)], run_dir, curate_recipe("keep_all"), "local")
    assert again["counts"]["reused"] == 1


@pytest.mark.slow
def test_a_varying_rate_and_a_wrong_header_are_told_in_the_videos_table(tmp_path: Path) -> None:
    times_ms = [int(each) for each in np.cumsum([0, *[100, 300] * 5])]
    path = write_timed(tmp_path / "uneven.mkv", moving_square_frames(len(times_ms)), times_ms)
    curate([str(path)], tmp_path / "run", curate_recipe("keep_all"), "local")
    (row,) = read_table(tmp_path / "run", "videos").to_pylist()
    assert row["vfr"]
    assert (row["frame_interval_min_s"], row["frame_interval_max_s"]) == (pytest.approx(0.1), pytest.approx(0.3))
    # 25 frames a second by the header, 5 by presentation time.
    assert (row["header_fps"], row["header_wrong"]) == (25.0, True)
    assert row["fps"] == pytest.approx(5.0, rel=0.1)
