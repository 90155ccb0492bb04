from __future__ import annotations

import argparse
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import body_track, dataset, dataset_of, moving_square_video, sample

from pipelines import shards
from pipelines.shard_check import Problem, check_dataset, check_sample
from schemas.errors import CorruptShard, RecipeError
from schemas.index import INDEX_JSON, INDEX_PARQUET, SHARDS_DIR, SampleEntry, load_samples, load_shards, write_index
from schemas.shard import read_sample, sample_tar


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    shards.add_arguments(parser)
    return shards.run(parser.parse_args([str(argument) for argument in argv]))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return dataset(tmp_path / "data", n=3)


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """What was printed since the last call, as JSON; nothing may stand on stderr."""

    def read() -> Any:
        captured = capsys.readouterr()
        assert captured.err == ""
        return json.loads(captured.out)

    return read


def rewrite_rows(path: Path, change: Callable[[SampleEntry], SampleEntry | None]) -> None:
    rows = [changed for entry in load_samples(path) if (changed := change(entry)) is not None]
    document = (path / INDEX_JSON).read_bytes()
    write_index(path, load_shards(path), rows, {})
    (path / INDEX_JSON).write_bytes(document)


def flip(path: Path, position: int) -> None:
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 0x01
    path.write_bytes(bytes(damaged))


def places(problems: list[Problem]) -> set[tuple[str | None, str | None]]:
    return {(problem.shard, problem.key) for problem in problems}


def test_ls_lists_every_sample_and_limit_the_first(data: Path, output: Callable[[], Any]) -> None:
    assert call("ls", data, "--json") == 0
    listed = output()
    assert [row["key"] for row in listed["samples"]] == ["clip-000", "clip-001", "clip-002"]
    assert listed["samples"][2]["shard"] == "000001.tar"
    assert call("ls", data, "--json", "--limit", 1) == 0
    limited = output()
    assert (limited["total"], len(limited["samples"])) == (3, 1)


def test_show_gives_metadata_members_and_track_summaries(data: Path, output: Callable[[], Any]) -> None:
    assert call("show", data, "clip-001", "--json") == 0
    shown = output()
    members = read_sample(data, load_samples(data)[1])
    assert shown["members"] == {suffix: len(member) for suffix, member in members.items()}
    assert shown["metadata"] == json.loads(members["json"])
    assert shown["tracks"]["body.npz"]["present_fraction"] == 1.0
    assert shown["tracks"]["face.npz"]["present_fraction"] == 0.75
    assert shown["tracks"]["hands.npz"] == {
        "frames": 16, "present_fraction": 1.0, "left_fraction": 0.0, "right_fraction": 1.0,
    }  # fmt: skip


def test_show_of_an_unknown_key_names_the_nearest(data: Path) -> None:
    with pytest.raises(RecipeError, match=r"no sample clip-01; did you mean clip-0"):
        call("show", data, "clip-01")


def test_stats_add_up(data: Path, output: Callable[[], Any]) -> None:
    assert call("stats", data, "--json") == 0
    totals = output()
    assert (totals["samples"], totals["shards"], totals["frames"]) == (3, 2, 48)
    assert totals["hours"] == pytest.approx(6 / 3600)
    assert totals["bytes"] == sum(file.stat().st_size for file in (data / SHARDS_DIR).iterdir())
    assert totals["resolutions"] == {"96x64": 3}
    assert totals["fps"] == {"8": 3}
    assert totals["labels"]["actions"] == {"walking": 3}
    assert totals["labels"]["camera.moves"] == {"static": 3}
    assert totals["samples_with"] == {"body": 3, "face": 3, "hands": 3}


def test_show_and_stats_know_the_quality_of_the_labels(
    tmp_path: Path, output: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    values = {f"k{i}": value for i, value in enumerate((0.0, 0.1, 0.2, 0.3, None))}
    samples = {key: sample(key, mp4, label_quality={"limb_length_cv": value}) for key, value in values.items()}
    path = dataset_of(tmp_path / "data", samples)
    assert call("show", path, "k2", "--json") == 0
    shown = output()
    assert (shown["limb_length_cv"], shown["hand_swap_fraction"]) == (0.2, None)
    assert call("stats", path, "--json") == 0
    found = output()["label_quality"]
    assert found["limb_length_cv"] == pytest.approx(
        {"measured": 4, "min": 0.0, "p10": 0.03, "median": 0.15, "p90": 0.27, "max": 0.3}
    )
    assert found["hand_swap_fraction"] == {"measured": 0, **dict.fromkeys(("min", "p10", "median", "p90", "max"))}
    for action in (["show", path, "k2"], ["stats", path]):
        assert call(*action) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "limb_length_cv 0.2 share of length" in text
    assert "limb_length_cv 4 0 0.03 0.15 0.27 0.3" in text


def test_stats_count_a_track_without_people_as_no_body(tmp_path: Path, output: Callable[[], Any]) -> None:
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    members = {**sample("k", mp4), "body.npz": body_track(16, people=0).to_npz()}
    assert call("stats", dataset_of(tmp_path / "data", {"k": members}), "--json") == 0
    assert output()["samples_with"] == {"body": 0, "face": 1, "hands": 1}


@pytest.mark.parametrize("action", ["ls", "show", "stats", "verify"])
def test_a_missing_dataset_is_the_callers_mistake(tmp_path: Path, action: str) -> None:
    arguments = [tmp_path / "nowhere"] + (["key"] if action == "show" else [])
    with pytest.raises(RecipeError, match="is not a dataset"):
        call(action, *arguments)


@pytest.mark.parametrize("columns", ["1", "20", "500"])
def test_tables_survive_any_width_and_hostile_text(
    tmp_path: Path, columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    caption = "\x1b[2J[red]bold[/] \u202egnp.exe\r\nend"
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    path = dataset_of(tmp_path / "data", {"k": sample("k", mp4, caption=caption)})
    for action in (["ls", path], ["show", path, "k"], ["stats", path]):
        assert call(*action) == 0
        out = capsys.readouterr().out
        assert not {"\x1b", "\r", "\u202e"} & set(out)
        if action[0] != "stats":
            assert "\\x1b[2J[red]bold[/]" in out


def test_verify_finds_nothing_in_a_sound_dataset(data: Path, output: Callable[[], Any]) -> None:
    assert call("verify", data, "--deep", "--json") == 0
    assert output() == {"dataset": str(data), "deep": True, "ok": True, "problems": []}


def test_verify_finds_a_flipped_byte_anywhere_and_names_its_sample(data: Path) -> None:
    """Bytes of the second sample, one at a time: headers, video, metadata, tracks and padding."""
    entry = load_samples(data)[1]
    path = data / SHARDS_DIR / entry.shard
    sound = path.read_bytes()
    for position in range(entry.offset, entry.offset + entry.size_bytes, 1201):
        flip(path, position)
        problems = check_dataset(data, deep=False)
        assert (entry.shard, entry.key) in places(problems), position
        assert (entry.shard, "clip-000") not in places(problems), position
        path.write_bytes(sound)
    assert check_dataset(data, deep=False) == []


def test_verify_finds_a_flipped_byte_behind_the_last_sample(data: Path) -> None:
    flip(data / SHARDS_DIR / "000001.tar", -1)
    (problem,) = check_dataset(data, deep=False)
    assert problem.shard == "000001.tar"
    assert "after the samples" in problem.message


def rebuilt(tmp_path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A dataset whose second sample was changed before it was written: only what is inside is wrong, no hash."""
    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    samples = {key: sample(key, mp4) for key in ("clip-000", "clip-001")}
    change(samples["clip-001"])
    return dataset_of(tmp_path / "rebuilt", samples)


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("face.npz", b"not an npz", "face.npz: not a readable npz"),
        ("hands.npz", body_track(16).to_npz(), "hands.npz: HandsTrack without"),
        ("body.npz", body_track(15).to_npz(), "body.npz has 15 frames, index.parquet says 16"),
        ("txt", b"another caption\n", "txt differs from the caption in json"),
        ("mp4", b"\0\0\0\x08ftyp", "mp4 is damaged: it has no moov box"),
        ("mp4", b"", "mp4 is damaged"),
    ],
)
def test_verify_reads_every_member(tmp_path: Path, suffix: str, content: bytes, message: str) -> None:
    path = rebuilt(tmp_path, lambda members: members.update({suffix: content}))
    (problem,) = check_dataset(path, deep=False)
    assert (problem.shard, problem.key) == ("000000.tar", "clip-001")
    assert message in problem.message


def test_verify_finds_a_quality_that_is_no_number(tmp_path: Path) -> None:
    def spoil(members: dict[str, bytes]) -> None:
        members["json"] = members["json"].replace(b'"jitter_body_heights": 0.001', b'"jitter_body_heights": "low"')
        assert b'"low"' in members["json"]

    mp4 = moving_square_video(tmp_path / "x.mp4").read_bytes()
    members = sample("k", mp4)
    path = dataset_of(tmp_path / "whole", {"k": members})
    (entry,) = load_samples(path)
    spoil(members)
    tar = sample_tar("k", members)
    messages = list(check_sample(path, replace(entry, sha256="", size_bytes=len(tar)), tar, deep=False))
    assert messages == ["json: label_quality.jitter_body_heights is 'low', expected a number or null"]


def test_verify_finds_a_required_member_that_was_never_written(tmp_path: Path) -> None:
    (problem,) = check_dataset(rebuilt(tmp_path, lambda members: members.pop("txt") and None), deep=False)
    assert problem == Problem("000000.tar", "clip-001", "member txt is missing")


def test_verify_finds_a_member_that_was_taken_out(data: Path) -> None:
    path = data / SHARDS_DIR / "000000.tar"
    with tarfile.open(path) as archive:
        kept = [(info, archive.extractfile(info).read()) for info in archive if info.name != "clip-001.hands.npz"]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for info, content in kept:
            archive.addfile(info, io.BytesIO(content))
    problems = check_dataset(data, deep=False)
    assert ("000000.tar", "clip-001") in places(problems)
    assert any("hands.npz is missing" in problem.message and problem.key == "clip-001" for problem in problems)


def test_deep_verify_counts_the_frames(tmp_path: Path) -> None:
    short = moving_square_video(tmp_path / "short.mp4", frames=12).read_bytes()
    path = rebuilt(tmp_path, lambda members: members.update(mp4=short))
    assert check_dataset(path, deep=False) == []
    (problem,) = check_dataset(path, deep=True)
    assert (problem.key, problem.message) == ("clip-001", "mp4 has 12 frames, index.parquet says 16")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: replace(e, offset=e.offset + 512), "lies at offset"),
        (lambda e: replace(e, size_bytes=e.size_bytes - 512), "lies at offset"),
        (lambda e: replace(e, frames=17), "index.parquet says 17"),
        (lambda e: replace(e, width_px=97), "json says width_px 96"),
        (lambda e: replace(e, caption="other"), "json says caption"),
        (
            lambda e: replace(e, label_quality={**e.label_quality, "jitter_body_heights": 0.002}),
            "json says jitter_body_heights 0.001, index.parquet says 0.002",
        ),
        (lambda e: replace(e, label_quality={}), "json says body_measured_fraction 1.0, index.parquet says None"),
        (lambda e: replace(e, members=(*e.members, "depth.npz")), "member depth.npz is missing"),
        (lambda e: replace(e, members=e.members[1:]), "is not in index.parquet"),
        (lambda e: replace(e, shard="000007.tar"), "names a shard that index.json does not list"),
        (lambda e: replace(e, key="clip-00x"), "lists a sample that the shard does not hold"),
        (lambda e: None, "holds a sample that index.parquet does not list"),
    ],
)
def test_verify_finds_an_index_that_disagrees(
    data: Path, change: Callable[[SampleEntry], SampleEntry | None], message: str
) -> None:
    rewrite_rows(data, lambda entry: change(entry) if entry.key == "clip-001" else entry)
    problems = [problem for problem in check_dataset(data, deep=False) if message in problem.message]
    assert {problem.key for problem in problems} <= {"clip-001", "clip-00x"}
    assert problems


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bytes", 1, "index.json says 1"),
        ("samples", 5, "index.json says 5 samples"),
        ("sha256", "0" * 64, "sha256 differs from index.json"),
        ("name", "000009.tar", "the file is missing"),
    ],
)
def test_verify_finds_a_wrong_shard_row(data: Path, field: str, value: object, message: str) -> None:
    document = json.loads((data / INDEX_JSON).read_text())
    document["shards"][1][field] = value
    (data / INDEX_JSON).write_text(json.dumps(document))
    problems = check_dataset(data, deep=False)
    assert any(message in problem.message and problem.shard in ("000001.tar", "000009.tar") for problem in problems)


def test_verify_finds_extra_and_missing_files(data: Path) -> None:
    (data / SHARDS_DIR / "000000.tar").unlink()
    (data / SHARDS_DIR / "000005.tar").write_bytes(b"")
    messages = {problem.shard: problem.message for problem in check_dataset(data, deep=False)}
    assert "the file is missing" in messages["000000.tar"]
    assert "is not in index.json" in messages["000005.tar"]


def test_verify_goes_on_without_an_index_parquet(data: Path) -> None:
    (data / INDEX_PARQUET).unlink()
    problems = check_dataset(data, deep=False)
    assert any("index.parquet" in problem.message and problem.shard is None for problem in problems)
    assert ("000001.tar", "clip-002") in places(problems)


def test_verify_prints_shard_and_key_and_exits_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(data / SHARDS_DIR / "000000.tar", load_samples(data)[1].offset + 600)
    assert call("verify", data) == 1
    assert "shard 000000.tar, sample clip-001: " in capsys.readouterr().out
    assert call("verify", data, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert {"shard": "000000.tar", "key": "clip-001"}.items() <= document["problems"][0].items()


def test_an_index_that_leads_out_of_the_folder_is_refused(data: Path) -> None:
    rewrite_rows(data, lambda entry: replace(entry, shard="../index.json"))
    with pytest.raises(CorruptShard, match="plain file name"):
        call("ls", data)
