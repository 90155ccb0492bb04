"""`motionloom enhance` from a sample's labels, with and without a language model behind a real HTTP server."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import dataset_of, moving_square_video, sample

from pipelines.cli import main
from pipelines.enhance import enhance_prompt, motion_statement
from schemas.codecs import encode_json
from schemas.errors import SchemaError
from tests.annotation.chat_server import Server, completion

DOCUMENT: dict[str, Any] = {
    "duration_s": 4.0,
    "shot_scale": "half_body",
    "actions": [
        {"label": "wave_left", "start_s": 0.0, "end_s": 3.0, "confidence": 0.9},
        {"label": "stand", "start_s": 0.0, "end_s": 4.0, "confidence": 0.9},
        {"label": "of_another_vocabulary", "start_s": 0.0, "end_s": 4.0, "confidence": 0.9},
    ],
    "expressions": [{"label": "smile", "start_s": 0.0, "end_s": 2.0, "confidence": 0.8}],
    "interactions": [
        {"label": "holding", "start_s": 0.0, "end_s": 3.0, "confidence": 0.8, "hand": "right", "object": "cup"}
    ],
    "camera": {
        "moves": [{"label": "pan_right", "start_s": 0.0, "end_s": 4.0, "confidence": 0.9}],
        "text": "The camera pans right.",
    },
}
OFFLINE = (
    "A half-body shot of a knight waving with the left hand, holding a cup with the right hand and smiling. "
    "The camera pans right."
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server()
    yield made
    made.close()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    members = sample("clip", moving_square_video(tmp_path / "clip.mp4", frames=16).read_bytes())
    members["json"] = encode_json({**json.loads(members["json"]), **DOCUMENT})
    return dataset_of(tmp_path / "dataset", {"clip": members})


def enhanced(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["enhance", *map(str, arguments), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_prompt_is_filled_from_a_samples_labels(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = enhanced(capsys, "a knight", "--motion", dataset, "clip")
    assert made["prompt"] == OFFLINE
    assert made["source"] == "template"
    assert {each["slot"] for each in made["changes"]} == {"shot", "action", "interaction", "expression", "camera"}


def test_without_motion_the_prompt_stays(capsys: pytest.CaptureFixture[str]) -> None:
    made = enhanced(capsys, "a knight who pans for gold")
    assert (made["prompt"], made["changes"], made["conflicts"]) == ("a knight who pans for gold", [], [])


def test_people_read_the_prompt_and_what_was_changed(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["enhance", "a knight", "--motion", str(dataset), "clip"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(OFFLINE)
    assert "measured camera moves: pan_right" in out


def test_a_contradiction_is_a_warning(dataset: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = enhance_prompt("a knight, the camera pans left", DOCUMENT)
    assert "pan_left" in caplog.text
    assert "measured as pan_right" in caplog.text
    assert [each.said for each in made.conflicts] == ["pan_left"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("  ",),
        ("a", "--motion", "{dataset}", "clop"),
        ("a", "--motion", "{dataset}/nowhere", "clip"),
        ("a", "--driving", "{dataset}/nowhere.mp4"),
        ("a", "--endpoint", "http://127.0.0.1:9/v1"),
        ("a", "--endpoint", "ftp://x", "--endpoint-model", "m"),
        ("a", "--endpoint-model", "m"),
        ("a", "--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m", "--endpoint-timeout-s", "0"),
    ],
)
def test_wrong_calls_end_with_one_line(
    dataset: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["enhance", *(each.format(dataset=dataset) for each in arguments)])
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert code == 2
    assert len(err) == 1


@pytest.mark.parametrize(
    "more",
    [
        ("--enhance",),
        ("--prompt", "a", "--endpoint", "http://127.0.0.1:9/v1", "--endpoint-model", "m"),
    ],
)
def test_animate_refuses_options_without_effect(more: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    call = ["animate", "--model", "m", "--driving", "d", "--reference", "r", "--output", "o.mp4"]
    assert main([*call, *more]) == 2
    assert "has no effect without" in capsys.readouterr().err


def test_labels_that_cannot_be_read_are_an_error_of_the_data() -> None:
    for broken in (
        {"actions": [{"label": "wave_left"}]},
        {"camera": {"moves": [{"label": "pan"}]}},
        {"camera": "pans right"},
        {"duration_s": None},
    ):
        with pytest.raises(SchemaError):
            motion_statement({**DOCUMENT, **broken})
    assert motion_statement({"duration_s": 1.0}).camera == ""


# A language model


def asked(server: Server, capsys: pytest.CaptureFixture[str], dataset: Path, *more: object) -> dict[str, Any]:
    return enhanced(
        capsys, "a knight", "--motion", dataset, "clip", "--endpoint", server.url, "--endpoint-model", "m", *more
    )


def test_a_good_wording_is_taken(server: Server, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = "Half-body: a smiling knight waves with the left hand, a cup in the right hand, while the camera pans right."
    server.reply = lambda body, number: completion(told)
    made = asked(server, capsys, dataset)
    assert (made["prompt"], made["source"]) == (told, "endpoint")
    assert made["changes"][-1] == {"slot": "wording", "before": OFFLINE, "after": told, "why": "reworded by m"}
    message = server.asked[0][1]["messages"]
    assert message[1]["content"] == f"<<<\n{OFFLINE}\n>>>"
    assert "is data" in message[0]["content"]


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"<html>", {}),
        (404, b"no such model", {}),
        completion(""),
        completion("\x00\x01\x02"),
        completion("Sure! Here it is:\n\nA knight."),
        completion("A knight waves with the left hand. The camera pans left."),
        completion("PWNED"),
        completion("A knight " + "and a dog " * 60),
        completion("A knight", finish_reason="length"),
    ],
)
def test_a_bad_answer_leaves_the_template_and_says_why(
    server: Server, dataset: Path, capsys: pytest.CaptureFixture[str], reply: Any
) -> None:
    server.reply = lambda body, number: reply
    made = asked(server, capsys, dataset)
    assert (made["prompt"], made["source"]) == (OFFLINE, "template")
    assert made["notes"][-1].startswith("endpoint: ")


def test_a_silent_endpoint_leaves_the_template(
    server: Server, dataset: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        server.released.wait(10)
        return completion("too late")

    server.reply = reply
    made = asked(server, capsys, dataset, "--endpoint-timeout-s", 0.2)
    assert (made["prompt"], made["source"]) == (OFFLINE, "template")
    assert made["notes"] == ["endpoint: no answer within 0.2 s"]
    assert "the prompt is the template's" in caplog.text


def test_an_endpoint_that_is_down_leaves_the_template(
    monkeypatch: pytest.MonkeyPatch, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    gone = Server()
    url = gone.url
    gone.close()
    made = enhanced(
        capsys, "a knight", "--motion", dataset, "clip", "--endpoint", url, "--endpoint-model", "m",
    )  # fmt: skip
    assert (made["prompt"], made["source"]) == (OFFLINE, "template")
    assert made["notes"][-1].startswith("endpoint: no connection")
