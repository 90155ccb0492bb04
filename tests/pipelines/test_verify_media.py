from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import moving_square_frames

from model.video import write_mp4
from model.watermark import KEY_VARIABLE, PUBLIC_KEY, embed
from pipelines import cli, verify_media
from pipelines.provenance import publish_video, sign_mp4
from pipelines.signing import load_credentials
from schemas.errors import RecipeError

PAYLOAD = 0x00112233
PRIVATE_KEY = b"a private key of enough bytes"


@pytest.fixture(autouse=True)
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    path = tmp_path / "marked.mp4"
    rgb_THWC = moving_square_frames(8, size_hw=(128, 128))
    generation = {"model": {"fingerprint": "00112233aabbccdd"}, "consent": "own picture"}
    publish_video(path, rgb_THWC, np.arange(8) / 8, PUBLIC_KEY, PAYLOAD, generation, load_credentials())
    return path


def call(*argv: object) -> int:
    parser = argparse.ArgumentParser()
    verify_media.add_arguments(parser)
    return verify_media.run(parser.parse_args([str(argument) for argument in argv]))


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_marked_and_signed_video_is_verified(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(marked, "--json") == 0
    (report,) = document(capsys)["files"]
    assert (report["verified"], report["problem"], report["c2pa"]) == (True, None, "valid")
    assert report["watermark"]["payload"] == "00112233"
    assert report["watermark"]["p_value"] < 1e-6
    assert report["generation"]["consent"] == "own picture"
    assert call(marked) == 0
    printed = capsys.readouterr().out
    assert "valid, not trusted" in printed
    assert "00112233" in printed


def test_anchors_make_it_trusted(marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(marked, "--json", "--anchors", tmp_path / "config" / "signing" / "root.pem") == 0
    assert document(capsys)["files"][0]["c2pa"] == "trusted"
    with pytest.raises(RecipeError, match="holds no PEM certificate"):
        call(marked, "--anchors", marked.parent / "config" / "signing" / "key.pem")


def test_each_missing_mark_is_named(marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rgb_THWC, pts_s_T = moving_square_frames(8, size_hw=(128, 128)), np.arange(8) / 8
    bare, only_mark, only_manifest, lying = (tmp_path / f"{name}.mp4" for name in ("bare", "mark", "manifest", "lying"))
    write_mp4(bare, rgb_THWC, pts_s_T)
    write_mp4(only_mark, embed(rgb_THWC, PUBLIC_KEY, PAYLOAD), pts_s_T)
    sign_mp4(bare, only_manifest, "x", {"consent": "own picture"}, load_credentials())
    sign_mp4(only_mark, lying, "x", {"watermark": {"payload": "ffffffff"}}, load_credentials())
    changed = tmp_path / "changed.mp4"
    # The name of the track: nothing that is shown.
    assert marked.read_bytes().count(b"VideoHandler") == 1
    changed.write_bytes(marked.read_bytes().replace(b"VideoHandler", b"VideoHandleR"))
    assert call("--json", bare, only_mark, only_manifest, lying, changed, marked) == 1
    found = document(capsys)
    assert not found["verified"]
    problems = [report["problem"] for report in found["files"]]
    assert "C2PA none" in problems[0]
    assert "no watermark" in problems[0]
    assert problems[1] == "C2PA none: the file has no C2PA manifest"
    assert problems[2] == "no watermark of this key"
    assert problems[3] == "the manifest names payload ffffffff, the watermark holds 00112233"
    assert "assertion.bmffHash.mismatch" in problems[4]
    assert found["files"][4]["c2pa"] == "invalid"
    assert found["files"][4]["watermark"]["found"], "the watermark outlives a broken manifest"
    assert problems[5] is None


def test_what_is_no_video_is_a_row_and_the_rest_is_still_checked(
    marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    half = tmp_path / "half.mp4"
    half.write_bytes(marked.read_bytes()[:5000])
    files = [tmp_path / "text.mp4", tmp_path / "gone.mp4", tmp_path / "empty.mp4", tmp_path, half, marked]
    assert call("--json", *files) == 1
    reports = document(capsys)["files"]
    assert [report["verified"] for report in reports] == [False] * 5 + [True]
    for report, words in zip(
        reports,
        ("not a readable video", "no such file", "is empty", "is a folder", "not a readable video"),
        strict=False,
    ):
        assert words in report["problem"]
    assert call(*files) == 1
    assert capsys.readouterr().out.count(str(tmp_path / "gone.mp4")) >= 2, "in the table and with its reason"


def test_a_sound_file_is_no_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    assert call("--json", tmp_path / "a.wav") == 1
    assert "has no video stream" in document(capsys)["files"][0]["problem"]


def test_a_private_key_is_needed_for_a_private_mark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = tmp_path / "a.mp4", tmp_path / "key"
    key.write_bytes(PRIVATE_KEY)
    rgb_THWC = moving_square_frames(8, size_hw=(128, 128))
    publish_video(path, rgb_THWC, np.arange(8) / 8, PRIVATE_KEY, PAYLOAD, {}, load_credentials())
    assert call("--json", path) == 1
    assert document(capsys)["files"][0]["problem"] == "no watermark of this key"
    assert call("--json", path, "--key", key) == 0
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    assert call("--json", path) == 0


def test_the_command_has_a_dash_and_wrong_usage_ends_with_2(
    marked: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["verify-media", str(marked), "--json"]) == 0
    capsys.readouterr()
    assert cli.main(["verify-media", str(marked), "--key", str(tmp_path / "gone")]) == 2
    assert "watermark key" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify-media"])
    assert stopped.value.code == 2


@pytest.mark.slow
def test_as_a_module(marked: Path, pipeline: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = pipeline("verify_media", marked, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verified"]
