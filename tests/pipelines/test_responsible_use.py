"""`motionloom animate` from consent to the checked file, with a model of a few steps."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import pytest
from builders import dataset, moving_square_frames, moving_square_video

from model.train.recipes import TrainRecipe
from model.train.runs import train_teacher
from model.video import png_bytes
from model.watermark import KEY_VARIABLE
from pipelines import cli
from pipelines.content_filter import Picture, read_picture
from pipelines.provenance import read_manifest
from pipelines.responsible_use import UseTerms, add_use_arguments, clear, read_consent, terms_from
from pipelines.signing import CERTIFICATE_VARIABLE
from schemas.errors import DecodeError, RecipeError, ResourceError
from schemas.fingerprint import file_sha256
from schemas.recipe import parse_recipe

TINY = {
    "stages": [{"steps": 2}],
    "data": {"size_px": 64, "frames": 4, "strides": [1]},
    "codec": {"name": "klt", "patch_thw": [2, 8, 8], "channels": 12},
    "transformer": {"width": 24, "depth": 1, "heads": 3},
    "loop": {"batch_size": 1, "checkpoint_every": 2, "warmup_steps": 1},
    "sampling": {"steps": 1},
    "samples": 1,
    "threads": 1,
    "device": "cpu",
}
CONSENT = "painted by the author of this test"


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("MOTIONLOOM_WEIGHTS", str(tmp_path / "weights"))
    for name in (KEY_VARIABLE, CERTIFICATE_VARIABLE, "MOTIONLOOM_CONTENT_RULES", "MOTIONLOOM_BLOCKED_PICTURES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "reference.png"
    path.write_bytes(png_bytes(moving_square_frames(1)[0]))
    return path


@pytest.fixture
def picture(reference: Path) -> Picture:
    return read_picture(reference)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    recipe = parse_recipe(TrainRecipe, TINY, "tiny")
    train_teacher(dataset(folder / "data", n=1, frames=16), folder / "teacher", recipe, False, lambda _: None)
    return folder / "teacher"


def terms(*argv: str) -> UseTerms:
    parser = argparse.ArgumentParser()
    add_use_arguments(parser)
    return terms_from(parser.parse_args(list(argv)))


def test_consent_is_asked_for_in_words(tmp_path: Path, picture: Picture) -> None:
    for argv in ((), ("--consent", ""), ("--consent", " - ")):
        with pytest.raises(RecipeError, match='--consent "own picture"'):
            clear(terms(*argv), "a wave", [picture])
    assert clear(terms(), "a wave", [picture], "model release 7").consent == "model release 7"
    both = clear(terms("--consent", "asked again in May"), "a wave", [picture], "model release 7")
    assert both.consent == "model release 7; asked again in May"
    assert terms("--consent", "  own\n picture ").consent == "own picture"
    paper = tmp_path / "consent.txt"
    paper.write_text("Signed by Ada,\n3 May", encoding="utf-8")
    assert read_consent(str(paper)) == "Signed by Ada, 3 May"
    paper.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(RecipeError, match="cannot be read as text"):
        read_consent(str(paper))
    with pytest.raises(RecipeError, match="2001 characters"):
        clear(terms("--consent", "x" * 2001), "a wave", [picture])


def test_rules_and_lists_come_from_options_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_CONTENT_RULES", "everywhere.yaml")
    monkeypatch.setenv("MOTIONLOOM_BLOCKED_PICTURES", "everywhere.txt")
    given = terms("--consent", "own", "--content-rules", "a.yaml", "--content-rules", "b.yaml")
    assert given.rule_files == (Path("everywhere.yaml"), Path("a.yaml"), Path("b.yaml"))
    assert given.blocked_pictures == Path("everywhere.txt")
    assert terms("--consent", "own", "--blocked-pictures", "b.txt").blocked_pictures == Path("b.txt")


def test_refused_prompts_and_pictures_stop_before_work(picture: Picture, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="minors_sexual"):
        clear(UseTerms(CONSENT), "a nude child", [picture])
    clearance = clear(UseTerms(CONSENT), None, [picture])
    with pytest.raises(RecipeError, match="minors_sexual"):
        clearance.check_prompt("a nude child")
    clearance.check_prompt("a person waves")
    (tmp_path / "blocked.txt").write_text("reference.png\n")
    with pytest.raises(RecipeError, match="blocked_pictures"):
        clear(UseTerms(CONSENT, blocked_pictures=tmp_path / "blocked.txt"), "a wave", [picture])
    with pytest.raises(RecipeError, match="--consent"):
        clear(UseTerms(""), "a wave", [picture])
    with pytest.raises(DecodeError, match="not a readable picture"):
        read_picture(tmp_path / "blocked.txt")


def test_the_filter_is_switched_off_with_a_reason_only(picture: Picture) -> None:
    with pytest.raises(RecipeError, match="give the reason"):
        clear(UseTerms(CONSENT, unfiltered_because=""), "a wave", [picture])
    clearance = clear(UseTerms(CONSENT, unfiltered_because="study of filters"), "a nude child", [picture])
    assert clearance.filter_record == {"state": "off", "reason": "study of filters"}
    clearance.check_prompt("a nude child")


def test_what_could_not_be_signed_is_not_begun(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "no-such-key")
    with pytest.raises(RecipeError, match="watermark key no-such-key"):
        clear(UseTerms(CONSENT), "a wave", [picture])
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(ResourceError, match="pip install c2pa-python"):
        clear(UseTerms(CONSENT), "a wave", [picture])


@pytest.mark.slow
def test_an_animation_says_where_it_comes_from(
    model_dir: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driving, output = moving_square_video(tmp_path / "driving.mp4", frames=8), tmp_path / "out" / "a.mp4"
    files = ("--model", model_dir, "--driving", driving, "--reference", reference, "--output", output)
    animate = ["animate", *map(str, files), "--json"]
    assert cli.main(animate) == 2
    assert '--consent "own picture"' in capsys.readouterr().err
    animate += ["--consent", CONSENT]
    assert cli.main([*animate, "--prompt", "a nude child"]) == 2
    assert "minors_sexual" in capsys.readouterr().err
    assert not output.parent.exists()

    assert cli.main([*animate, "--prompt", "a square moves"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [path.name for path in output.parent.iterdir()] == ["a.mp4"]
    generation = read_manifest(output).generation
    assert generation is not None
    assert generation["consent"] == CONSENT
    assert generation["prompt_sha256"] == hashlib.sha256(b"a square moves").hexdigest()
    assert generation["references"] == [{"sha256": file_sha256(reference)}]
    assert generation["driving_sha256"] == file_sha256(driving)
    assert generation["content_filter"] == {
        "state": "passed", "filters": ["prompt_rules"], "not_run": ["open_clip_pictures"],
    }  # fmt: skip
    assert generation["model"]["weights_sha256"] == file_sha256(model_dir / "ema.safetensors")
    assert generation["model"]["fingerprint"].startswith(result["watermark"])
    assert generation["watermark"]["payload"] == result["watermark"]
    assert cli.main(["verify-media", str(output), "--json"]) == 0

    assert cli.main([*animate, "--overwrite", "--no-content-filter", "a study"]) == 0
    generation = read_manifest(output).generation
    assert generation is not None
    assert generation["content_filter"] == {"state": "off", "reason": "a study"}


@pytest.mark.slow
def test_samples_of_a_training_are_marked_but_not_signed(model_dir: Path) -> None:
    from model.watermark import PUBLIC_KEY, detect_in_mean
    from pipelines.verify_media import averaged_luma

    samples = model_dir / "samples" / "samples.mp4"
    assert detect_in_mean(averaged_luma(samples)[0], PUBLIC_KEY).found
    assert read_manifest(samples).state == "none"
