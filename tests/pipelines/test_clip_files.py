"""Kept clips as files: exactly the frames of the interval, copied where that loses nothing, written once."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders import write_video

from curation.container import open_video
from curation.decode import DecodeResult, presented_frames
from pipelines.clip_encoder import ClipEncoder
from pipelines.clip_files_stage import ClipFilesStage
from pipelines.curate import curate
from pipelines.recipe_models import VideoEncoding, WriteClips, curate_recipe
from pipelines.run_tables import read_run, read_table
from pipelines.stream_copy import PacketIndex, packets_of, read_packets
from schemas.errors import RecipeError
from tests.curation.footage import long_gop_video, numbered, rotate_by_header, texture, write_timed

COPY, ENCODE = WriteClips(mode="copy_or_encode"), WriteClips(mode="encode", preset="ultrafast")
# Keyframes at 0, 0.4, 0.8, 1.2 and 1.6 s of 50 frames at 25 a second.
CLOSED = "keyint=10:min-keyint=10:bframes=3:b-pyramid=normal:scenecut=0:open-gop=0"


def closed_gop_video(path: Path, frames: int = 50, size_hw: tuple[int, int] = (32, 48)) -> Path:
    options = {"crf": "12", "preset": "fast", "x264-params": CLOSED}
    return write_video(path, numbered(frames, size_hw), 25, options=options)


def frames_of(path: Path, start_s: float = 0.0, end_s: float | None = None) -> tuple[list[float], list[np.ndarray]]:  # type: ignore[type-arg]
    """Times since start_s and pixels, as they are presented."""
    with open_video(path) as container:
        shown = list(presented_frames(container, DecodeResult(), start_s, end_s))
        return [pts_s - start_s for pts_s, _ in shown], [frame.to_ndarray() for _, frame in shown]


def clip(start_s: float, end_s: float, frames: int, fps: float = 25.0) -> dict[str, Any]:
    name = f"v-{round(start_s * 1000):08d}-{round(end_s * 1000):08d}"
    return {"clip_id": name, "start_s": start_s, "end_s": end_s, "frames": frames, "fps": fps}


def written(path: Path, folder: Path, settings: WriteClips, clips: list[dict[str, Any]], turn: int = 0) -> Any:
    row = {
        "uri": str(path),
        "size_bytes": path.stat().st_size,
        "rotation_deg": turn,
        "pixel_aspect": 1.0,
        "clips": clips,
    }
    return ClipFilesStage(folder, settings)()(row)


def assert_same_frames(source: Path, copy: Path, start_s: float, end_s: float) -> None:
    expected_s, expected = frames_of(source, start_s, end_s)
    got_s, got = frames_of(copy)
    assert len(got) == len(expected) > 0
    assert np.allclose(got_s, expected_s, atol=1e-4)
    assert all(np.array_equal(one, other) for one, other in zip(got, expected, strict=True))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "mov"])
def test_a_copy_between_keyframes_decodes_to_exactly_the_frames_of_the_interval(tmp_path: Path, suffix: str) -> None:
    video = closed_gop_video(tmp_path / f"a.{suffix}")
    clips = [clip(0.0, 0.4, 10), clip(0.4, 1.2, 20), clip(1.6, 2.0, 10)]
    done = written(video, tmp_path / "out", COPY, clips)
    assert (done["copied"], done["encoded"], done["failures"]) == (3, 0, [])
    for part in clips:
        path = tmp_path / "out" / f"{part['clip_id']}.mp4"
        assert_same_frames(video, path, part["start_s"], part["end_s"])
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == "h264"
    assert done["bytes"] == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())


def test_what_does_not_begin_at_a_keyframe_is_encoded(tmp_path: Path) -> None:
    video = closed_gop_video(tmp_path / "a.mp4")
    clips = [clip(0.0, 0.4, 10), clip(0.52, 1.2, 17)]
    done = written(video, tmp_path / "out", COPY, clips)
    assert (done["copied"], done["encoded"]) == (1, 1)
    times_s, pictures = frames_of(tmp_path / "out" / f"{clips[1]['clip_id']}.mp4")
    assert np.allclose(times_s, np.arange(17) / 25, atol=1e-4)
    expected = frames_of(video, 0.52, 1.2)[1]
    assert all(abs(a.mean() - b.mean()) < 1.5 for a, b in zip(pictures, expected, strict=True))


def test_every_end_either_copies_exactly_or_is_refused(tmp_path: Path) -> None:
    """An end inside a group of pictures cuts through reordered frames, or it does not; both occur here."""
    video = closed_gop_video(tmp_path / "a.mp4")
    index = read_packets(video)
    assert index is not None
    copied = refused = 0
    for frames in range(1, 30):
        part = clip(0.4, 0.4 + frames / 25, frames)
        if packets_of(index, part["start_s"], part["end_s"], frames) is None:
            refused += 1
            continue
        copied += written(video, tmp_path / "out", COPY, [part])["copied"]
        assert_same_frames(video, tmp_path / "out" / f"{part['clip_id']}.mp4", part["start_s"], part["end_s"])
    assert copied >= 5
    assert refused >= 5
    assert packets_of(index, 0.4, 0.8, 10) is not None
    assert packets_of(index, 0.4, 0.8, 11) is None, "a count that measuring did not see"


def test_an_open_group_of_pictures_is_encoded_unless_it_is_the_whole(tmp_path: Path) -> None:
    video = long_gop_video(tmp_path / "a.mp4", numbered(60), 20)
    done = written(video, tmp_path / "out", COPY, [clip(0.8, 1.6, 20)])
    assert (done["copied"], done["encoded"]) == (0, 1)
    assert len(frames_of(tmp_path / "out" / "v-00000800-00001600.mp4")[0]) == 20
    whole = written(video, tmp_path / "out", COPY, [clip(0.0, 2.4, 60)])
    assert whole["copied"] == 1
    assert_same_frames(video, tmp_path / "out" / "v-00000000-00002400.mp4", 0.0, 2.4)


def test_a_keyframe_that_only_begins_a_gradual_refresh_is_no_entry(tmp_path: Path) -> None:
    params = "intra-refresh=1:keyint=10:bframes=0:scenecut=0"
    options = {"crf": "12", "preset": "fast", "x264-params": params}
    index = read_packets(write_video(tmp_path / "a.ts", numbered(40), 25, options=options))
    assert index is not None
    assert index.entry_N[0]
    assert index.entry_N.sum() == 1


def test_uneven_times_survive_both_ways(tmp_path: Path) -> None:
    pts_ms = [0, 40, 130, 170, 400, 410, 900, 950, 1000, 1400]
    video = write_timed(tmp_path / "a.mkv", numbered(10), pts_ms)
    expected_s = np.asarray(pts_ms) / 1000
    for settings, kind in ((COPY, "copied"), (ENCODE, "encoded")):
        done = written(video, tmp_path / kind, settings, [clip(0.0, 1.8, 10)])
        assert done[kind] == 1
        assert np.allclose(frames_of(tmp_path / kind / "v-00000000-00001800.mp4")[0], expected_s, atol=1e-4)
    part = written(video, tmp_path / "part", ENCODE, [clip(0.13, 0.95, 5)])
    assert part["encoded"] == 1
    assert np.allclose(frames_of(tmp_path / "part" / "v-00000130-00000950.mp4")[0], expected_s[2:7] - 0.13, atol=1e-4)


def test_clips_of_one_pass_and_clips_far_apart_hold_their_frames(tmp_path: Path) -> None:
    """Two that touch, one across a short gap, one behind a gap that is sought over; the second overlaps nothing."""
    video = closed_gop_video(tmp_path / "a.mp4", frames=110)
    slow = write_timed(tmp_path / "slow.mkv", numbered(110), [t * 120 for t in range(110)])
    for path, step_s in ((video, 0.04), (slow, 0.12)):
        places = [(2, 7), (7, 12), (15, 21), (99, 106)]
        clips = [clip(a * step_s, b * step_s, b - a, 1 / step_s) for a, b in places]
        out = tmp_path / f"out-{path.stem}"
        done = written(path, out, ENCODE, clips)
        assert (done["encoded"], done["failures"]) == (4, [])
        for part, (first, last) in zip(clips, places, strict=True):
            levels = [picture[:32].mean() for picture in frames_of(out / f"{part['clip_id']}.mp4")[1]]
            expected = [picture[:32].mean() for picture in frames_of(path)[1][first:last]]
            assert np.allclose(levels, expected, atol=1.0)


def test_a_turned_video_is_encoded_upright_and_odd_sides_are_cropped(tmp_path: Path) -> None:
    video = rotate_by_header(closed_gop_video(tmp_path / "a.mp4"))
    done = written(video, tmp_path / "out", COPY, [clip(0.0, 0.4, 10)], turn=270)
    assert (done["copied"], done["encoded"]) == (0, 1)
    with av.open(str(tmp_path / "out" / "v-00000000-00000400.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 48)


def test_codecs_and_files_that_cannot_be_copied_are_encoded(tmp_path: Path) -> None:
    avi = write_video(tmp_path / "a.avi", numbered(20), 25, codec="mpeg4", options={"g": "10"})
    mjpeg = tmp_path / "b.mkv"
    with av.open(str(mjpeg), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuvj420p"
        for rgb_HWC in numbered(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb_HWC, format="rgb24")))
        container.mux(stream.encode())
    for path in (avi, mjpeg):
        done = written(path, tmp_path / path.stem, COPY, [clip(0.0, 0.8, 20)])
        assert done["failures"] == []
        assert len(frames_of(tmp_path / path.stem / "v-00000000-00000800.mp4")[0]) == 20
    assert read_packets(mjpeg) is None


def test_packets_without_times_or_hidden_ones_are_never_copied() -> None:
    pts_s = np.arange(4) / 4
    entry, hidden = np.array([True, False, True, False]), np.zeros(4, bool)
    assert packets_of(PacketIndex(pts_s, entry, hidden), 0.5, 1.0, 2) == range(2, 4)
    assert packets_of(PacketIndex(pts_s, entry, hidden), 0.25, 1.0, 3) is None
    assert packets_of(PacketIndex(np.full(4, np.nan), entry, hidden), 0.5, 1.0, 2) is None
    assert packets_of(PacketIndex(np.array([0, 0.25, 0.5, np.nan]), entry, hidden), 0.5, 1.0, 2) is None
    assert packets_of(PacketIndex(pts_s, entry, ~hidden), 0.5, 1.0, 2) is None


def test_a_file_that_changed_or_a_wrong_interval_is_a_row_with_a_reason(tmp_path: Path) -> None:
    video = closed_gop_video(tmp_path / "a.mp4")
    good, wrong = clip(0.0, 0.4, 10), clip(0.52, 1.2, 30)
    done = written(video, tmp_path / "out", COPY, [good, wrong])
    assert [row["clip_id"] for row in done["failures"]] == [wrong["clip_id"]]
    assert "17 frames where measuring saw 30" in done["failures"][0]["message"]
    assert [path.stem for path in (tmp_path / "out").iterdir()] == [good["clip_id"]]
    row = {"uri": str(video), "size_bytes": 7, "rotation_deg": 0, "pixel_aspect": 1.0, "clips": [good, wrong]}
    assert [f["stage"] for f in ClipFilesStage(tmp_path / "no", COPY)()(row)["failures"]] == ["write", "write"]
    video.unlink()
    assert "cannot be read" in ClipFilesStage(tmp_path / "no", COPY)()(row)["failures"][0]["message"]


def test_the_same_bytes_on_every_run(tmp_path: Path) -> None:
    video = closed_gop_video(tmp_path / "a.mp4")
    for settings in (COPY, ENCODE):
        bytes_of = []
        for attempt in ("one", "two"):
            written(video, tmp_path / attempt / settings.mode, settings, [clip(0.4, 0.8, 10)])
            bytes_of.append((tmp_path / attempt / settings.mode / "v-00000400-00000800.mp4").read_bytes())
        assert bytes_of[0] == bytes_of[1]


_ENCODE = """
import hashlib
import av, numpy as np
from pipelines.clip_encoder import ClipEncoder
from pipelines.recipe_models import VideoEncoding
rng = np.random.default_rng(0)
ground = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
encoder = ClipEncoder(VideoEncoding(), 25.0, 0)
for index in range(24):
    picture = np.ascontiguousarray(np.roll(ground, 3 * index, axis=1)[:144, :192])
    encoder.add(index / 25, av.VideoFrame.from_ndarray(picture, format="rgb24"))
print(hashlib.sha256(encoder.finish()).hexdigest())
"""


def test_bytes_do_not_depend_on_what_memory_held_before() -> None:
    digests = set()
    for held in ("0", "1", "165", "254"):
        command = [sys.executable, "-c", _ENCODE]
        run = subprocess.run(command, env=dict(os.environ, MALLOC_PERTURB_=held), capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout)
    assert len(digests) == 1


def test_a_frame_that_is_yuv420p_already_reaches_the_encoder_untouched(tmp_path: Path) -> None:
    picture = np.repeat(texture(0, (32, 48))[..., None], 3, axis=-1)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
    encoder = ClipEncoder(VideoEncoding(crf=0, preset="ultrafast"), 25.0, 0)
    encoder.add(0.0, frame)
    (tmp_path / "a.mp4").write_bytes(encoder.finish())
    (shown,) = frames_of(tmp_path / "a.mp4")[1]
    assert np.array_equal(shown, frame.to_ndarray())
    assert frame.time_base == Fraction(1, 90_000), "the frame itself was used, not a copy"


@pytest.fixture
def two_shots(tmp_path: Path) -> Path:
    """A hard cut at 0.96 s, coded with a keyframe there, and a picture that never changes."""
    rng = np.random.default_rng(1)
    shots = [np.full((24, 64, 96, 3), colour, dtype=np.uint8) for colour in ((200, 40, 40), (30, 60, 220))]
    noisy = np.clip(np.concatenate(shots) + rng.integers(-3, 4, (48, 64, 96, 3)), 0, 255).astype(np.uint8)
    params = "keyint=24:min-keyint=24:scenecut=0"
    write_video(tmp_path / "in" / "cut.mp4", noisy, 25, options={"preset": "fast", "x264-params": params})
    return tmp_path / "in"


# One cheap scorer beside that of the cuts: these tests are about files.
FAST = ("scorers=[technical]", "write_clips.preset=ultrafast")


def test_curate_writes_kept_clips_once_and_forgets_what_is_no_longer_kept(two_shots: Path, tmp_path: Path) -> None:
    run_dir, recipe = tmp_path / "run", curate_recipe("keep_all", [*FAST, "write_clips.mode=copy_or_encode"])
    files = curate([str(two_shots)], run_dir, recipe, "local")["clip_files"]
    assert (files["kept"], files["copied"], files["encoded"], files["failed"]) == (2, 2, 0, 0)
    assert read_run(run_dir)["clip_files"] == files
    clips = read_table(run_dir, "clips").to_pylist()
    paths = {row["clip_id"]: run_dir / "clip_files" / f"{row['clip_id']}.mp4" for row in clips}
    for row in clips:
        assert_same_frames(two_shots / "cut.mp4", paths[row["clip_id"]], row["start_s"], row["end_s"])
    first, second = sorted(paths.values())
    before_ns = first.stat().st_mtime_ns
    second.unlink()
    (run_dir / "clip_files" / ".x.1.part").write_bytes(b"half")
    (run_dir / "clip_files" / "v-of-a-clip-that-is-not-kept.mp4").write_bytes(b"old")
    again = curate([str(two_shots)], run_dir, recipe, "local")["clip_files"]
    assert (again["there_before"], again["copied"]) == (1, 1)
    assert first.stat().st_mtime_ns == before_ns
    assert sorted(p.name for p in (run_dir / "clip_files").iterdir() if p.suffix != ".json") == [
        first.name,
        second.name,
    ]
    with pytest.raises(RecipeError, match=r"differs in: crf\); remove that folder"):
        curate(
            [str(two_shots)],
            run_dir,
            curate_recipe("keep_all", [*FAST, "write_clips.mode=copy_or_encode", "write_clips.crf=3"]),
            "local",
        )


def test_a_video_that_changed_gets_new_files(two_shots: Path, tmp_path: Path) -> None:
    run_dir, recipe = tmp_path / "run", curate_recipe("keep_all", [*FAST, "write_clips.mode=encode"])
    curate([str(two_shots)], run_dir, recipe, "local")
    before = {path.name: path.read_bytes() for path in (run_dir / "clip_files").glob("*.mp4")}
    frames = np.concatenate([numbered(24, (64, 96))[::-1], 255 - numbered(24, (64, 96))])
    write_video(two_shots / "cut.mp4", frames, 25)
    # A call that writes no files must not leave the old ones to be believed.
    curate([str(two_shots)], run_dir, curate_recipe("keep_all", [FAST[0]]), "local")
    assert list((run_dir / "clip_files").glob("*.mp4")) == []
    curate([str(two_shots)], run_dir, recipe, "local")
    after = {path.name: path.read_bytes() for path in (run_dir / "clip_files").glob("*.mp4")}
    assert len(after) >= 1
    assert all(before.get(name) != data for name, data in after.items())


def test_clips_that_cannot_be_written_are_failures_of_the_run(
    two_shots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = tmp_path / "run"
    curate([str(two_shots)], run_dir, curate_recipe("keep_all", [FAST[0]]), "local")
    unit_of, source = next((run_dir / "units").glob("*/*.parquet")), two_shots / "cut.mp4"
    stat = source.stat()
    source.write_bytes(bytes(stat.st_size))
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = curate([str(two_shots)], run_dir, curate_recipe("keep_all", [*FAST, "write_clips.mode=encode"]), "local")
    assert unit_of.is_file()
    assert result["clip_files"]["failed"] == 2
    failures = read_table(run_dir, "failures").to_pylist()
    assert [(row["stage"], row["error_class"]) for row in failures] == [("write", "ProbeError")] * 2
    assert result["counts"]["failures"] == 0
    assert not result["over_budget"], "keep_all tolerates everything"


def test_a_recipe_may_measure_a_few_scorers_and_leave_the_rest_null(two_shots: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    curate([str(two_shots)], run_dir, curate_recipe("keep_all", [FAST[0]]), "local")
    clips = read_table(run_dir, "clips").to_pylist()
    assert len(clips) == 2, "the cuts are made whatever is measured"
    assert all(row["luma_mean"] is not None and row["person_fraction"] is None for row in clips)
    assert sorted(read_run(run_dir)["scorers"]) == ["cut_strength", "technical"]
    with pytest.raises(RecipeError, match="unknown scorer technicl; did you mean technical"):
        curate([str(two_shots)], tmp_path / "b", curate_recipe("keep_all", ["scorers=[technicl]"]), "local")
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_ray_writes_the_files_of_the_local_runner(two_shots: Path, tmp_path: Path, pipeline) -> None:  # type: ignore[no-untyped-def]
    settings = [part for text in (*FAST, "write_clips.mode=encode") for part in ("--set", text)]
    made = []
    for runner in ("local", "ray"):
        call = ("curate", "--input", two_shots, "--output", tmp_path / runner, "--recipe", "keep_all")
        done = pipeline(*call, "--runner", runner, *settings)
        assert done.returncode == 0, done.stderr
        made.append({p.name: p.read_bytes() for p in sorted((tmp_path / runner / "clip_files").glob("*.mp4"))})
    assert len(made[0]) == 2
    assert made[0] == made[1]


@pytest.mark.clips
@pytest.mark.slow
def test_copies_of_real_footage_decode_to_the_frames_of_their_interval(clips_dir: Path, tmp_path: Path) -> None:
    """Whatever `packets_of` allows among intervals between keyframes must be exact, in every kind of file."""
    copied = 0
    for path in sorted(clips_dir.glob("*.*")):
        if path.suffix not in {".mp4", ".mov", ".avi"} or path.stem.startswith("bad_") or "audio" in path.stem:
            continue
        index = read_packets(path)
        if index is None:
            continue
        entries_s = np.unique(index.pts_s_N[index.entry_N & np.isfinite(index.pts_s_N)])
        edges_s = [time_s for time_s in entries_s if 0 <= time_s < 6][:4]
        for start_s, end_s in itertools.pairwise(edges_s):
            frames = len(frames_of(path, float(start_s), float(end_s))[0])
            part = clip(float(start_s), float(end_s), frames)
            if packets_of(index, part["start_s"], part["end_s"], frames) is None:
                continue
            done = written(path, tmp_path / path.stem, COPY, [part])
            copied += done["copied"]
            if done["copied"]:
                assert_same_frames(path, tmp_path / path.stem / f"{part['clip_id']}.mp4", float(start_s), float(end_s))
    assert copied >= 3
