"""The endpoint client against a real HTTP server of this process, and what becomes of good and bad answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from figure import CLIP, Figure, body_of

from annotation.backends.chat_endpoint import Answer, ChatEndpoint, EndpointSettings, Question
from annotation.camera_moves import Interval
from annotation.pictures import Pictures
from annotation.refine import Refiner, look_question, paraphrase_question, read_look, read_paraphrase
from annotation.sample import describe
from schemas.frames import FrameBatch
from tests.annotation.chat_server import Reply, Server, completion


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    made = Server()
    yield made
    made.close()


def endpoint(server: Server, waits: list[float] | None = None, **settings: Any) -> ChatEndpoint:
    sleep = (lambda s: waits.append(s)) if waits is not None else (lambda s: None)
    return ChatEndpoint(EndpointSettings(server.url, "a-model", **settings), sleep)


def test_a_question_with_pictures_is_asked_in_the_openai_form(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTIONLOOM_ENDPOINT_KEY", "secret")
    assert endpoint(server).ask([Question("be brief", "what is it?", (b"\xff\xd8jpeg",))]) == [Answer("yes", None, 1)]
    ((headers, body),) = server.asked
    assert headers["path"] == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body["model"] == "a-model"
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    text, picture = body["messages"][1]["content"]
    assert text == {"type": "text", "text": "what is it?"}
    assert picture["image_url"]["url"] == "data:image/jpeg;base64,/9hqcGVn"


def test_without_a_key_in_the_environment_none_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTIONLOOM_ENDPOINT_KEY", raising=False)
    endpoint(server).ask([Question("", "a")])
    assert "Authorization" not in server.asked[0][0]


def test_many_questions_are_open_at_once_and_answered_in_order(server: Server) -> None:
    together = threading.Barrier(3, timeout=10)

    def reply(body: dict[str, Any], number: int) -> Reply:
        together.wait()
        return completion(body["messages"][1]["content"] + "!")

    server.reply = reply
    answers = endpoint(server, at_once=3).ask([Question("", f"q{i}") for i in range(6)])
    assert [answer.text for answer in answers] == [f"q{i}!" for i in range(6)]
    assert server.most_open == 3


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_asked_again_with_growing_waits(server: Server, status: int) -> None:
    server.reply = lambda body, number: (status, b"busy", {}) if number < 3 else completion("at last")
    waits: list[float] = []
    assert endpoint(server, waits, first_wait_s=0.5).ask([Question("", "a")]) == [Answer("at last", None, 3)]
    assert waits == [0.5, 1.0]


def test_the_server_may_ask_for_a_longer_wait(server: Server) -> None:
    server.reply = lambda body, number: (429, b"", {"Retry-After": "7"}) if number == 1 else completion("now")
    waits: list[float] = []
    assert endpoint(server, waits).ask([Question("", "a")])[0].text == "now"
    assert waits == [7.0]


def test_attempts_end(server: Server) -> None:
    server.reply = lambda body, number: (503, b"still busy", {})
    (answer,) = endpoint(server, attempts=2).ask([Question("", "a")])
    assert answer == Answer(None, "status 503: still busy", 2)
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [302, 400, 401, 404, 422])
def test_a_refusal_is_not_repeated(server: Server, status: int) -> None:
    server.reply = lambda body, number: (status, b"no such model", {"Location": "http://127.0.0.1:9/elsewhere"})
    (answer,) = endpoint(server).ask([Question("", "a")])
    assert answer.text is None
    assert answer.problem == f"status {status}: no such model"
    assert len(server.asked) == 1


def test_a_silent_server_is_given_up(server: Server) -> None:
    def reply(body: dict[str, Any], number: int) -> Reply:
        server.released.wait(10)
        return completion("too late")

    server.reply = reply
    began_s = time.monotonic()
    (answer,) = endpoint(server, timeout_s=0.2, attempts=2).ask([Question("", "a")])
    assert answer == Answer(None, "no answer within 0.2 s", 2)
    assert time.monotonic() - began_s < 5


def test_nobody_listening_is_a_problem_not_an_error(server: Server) -> None:
    gone = endpoint(server, attempts=2)
    server.close()
    (answer,) = gone.ask([Question("", "a")])
    assert answer.text is None
    assert answer.problem is not None
    assert answer.problem.startswith("no connection")
    server.http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.thread = threading.Thread(target=server.http.serve_forever)
    server.thread.start()


@pytest.mark.parametrize(
    "reply",
    [
        (200, b"<html>", {}),
        (200, b"{}", {}),
        (200, b'{"choices": []}', {}),
        (200, b'{"choices": [{"message": null}]}', {}),
        (200, b"[1, 2]", {}),
        completion(None),
        completion("  "),
        completion("half a sen", finish_reason="length"),
        (200, b'{"choices": "' + b"a" * (1 << 20) + b'"}', {}),
    ],
)
def test_a_malformed_answer_is_a_problem_and_is_not_asked_for_again(server: Server, reply: Reply) -> None:
    server.reply = lambda body, number: reply
    (answer,) = endpoint(server).ask([Question("", "a")])
    assert answer.text is None
    assert answer.problem
    assert len(server.asked) == 1


CAPTION = "A half-body shot of a person raising the left hand. The camera pans right."


def test_a_paraphrase_goes_through_the_server_and_is_taken(server: Server) -> None:
    told = "Someone, seen to the waist, lifts the left hand while the camera pans to the right."
    server.reply = lambda body, number: completion(f'"{told}"')
    (answer,) = endpoint(server).ask([paraphrase_question(CAPTION)])
    assert CAPTION in server.asked[0][1]["messages"][1]["content"]
    assert read_paraphrase(CAPTION, answer) == (told, None)


@pytest.mark.parametrize(
    "text",
    [
        "A person raises the right hand. The camera pans right.",
        "A person raises the left hand.",
        "A person raises the left hand and looks up. The camera pans right.",
        "Sure! Here it is:\nA person raises the left hand. The camera pans right.",
        "a" * 700,
    ],
)
def test_a_paraphrase_that_changes_what_was_measured_is_refused(text: str) -> None:
    said, problem = read_paraphrase(CAPTION, Answer(text, None, 1))
    assert said == CAPTION
    assert problem


def test_an_unanswered_paraphrase_leaves_the_caption_and_its_reason() -> None:
    assert read_paraphrase(CAPTION, Answer(None, "status 503: busy", 3)) == (CAPTION, "status 503: busy")


MEASURED = [Interval("wave_left", 0.0, 2.0, 0.8), Interval("nod", 1.0, 2.0, 0.6), Interval("still", 0.0, 3.0, 0.9)]


def test_a_look_confirms_doubts_and_adds(server: Server) -> None:
    document = {
        "actions": [{"label": "wave_left", "start_s": 0, "end_s": 2}, {"label": "sit", "start_s": 0, "end_s": 3}],
        "appearance": "Wearing a red coat.",
        "scene": "In a kitchen",
    }
    server.reply = lambda body, number: completion(f"```json\n{json.dumps(document)}\n```")
    (answer,) = endpoint(server).ask([look_question([0.0, 1.5], [b"a", b"b"], MEASURED)])
    refined = read_look(MEASURED, 3.0, answer)
    confidence = {each.label: each.confidence for each in refined.actions}
    assert confidence == {"wave_left": 0.9, "nod": 0.3, "still": 0.9, "sit": 0.5}
    assert (refined.appearance, refined.scene, refined.problems) == ("wearing a red coat", "in a kitchen", ())
    content = server.asked[0][1]["messages"][1]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url"]
    assert "0.00, 1.50 s" in content[0]["text"]


@pytest.mark.parametrize(
    "text",
    [
        "I see a person waving.",
        '{"actions": [{"label": "juggle", "start_s": 0, "end_s": 1}]}',
        '{"actions": [{"label": "sit", "start_s": 2, "end_s": 1}]}',
        '{"actions": [{"label": "sit", "start_s": 0, "end_s": 99}]}',
        '{"actions": [{"label": "sit", "start_s": "soon", "end_s": 1}]}',
        '{"actions": [3]}',
        '{"labels": []}',
        '{"actions": [{"label": ["sit"], "start_s": 0, "end_s": 1}]}',
    ],
)
def test_a_look_that_cannot_be_read_changes_nothing(text: str) -> None:
    refined = read_look(MEASURED, 3.0, Answer(text, None, 1))
    assert refined.actions == MEASURED
    assert refined.problems


def test_slots_that_do_not_fit_the_sentence_are_left_out_with_the_reason() -> None:
    text = json.dumps({"actions": [], "appearance": "The person looks nice", "scene": 7})
    refined = read_look([], 3.0, Answer(text, None, 1))
    assert (refined.appearance, refined.scene) == ("", "")
    assert [name for name, _ in refined.problems] == ["appearance", "scene"]


def test_a_sample_tells_what_the_model_said_and_why_it_was_not_taken(server: Server) -> None:
    look = {"actions": [], "appearance": "wearing a red coat", "scene": "in a kitchen"}

    def reply(body: dict[str, Any], number: int) -> Reply:
        return completion(json.dumps(look)) if isinstance(body["messages"][1]["content"], list) else (500, b"", {})

    server.reply = reply
    tracks = {"body.npz": body_of(Figure(left_hand=(0.02, 0.3, 0.02)))}
    said = describe(tracks, None, CLIP, {}, Refiner(endpoint(server), True, True), [(0.0, b"jpeg")])
    offline = "A full-body shot of a person wearing a red coat, raising the left hand in a kitchen."
    assert said["caption"] == said["refinement"]["caption_offline"] == offline
    assert said["refinement"]["model"] == "a-model"
    assert said["refinement"]["problems"] == {"caption": "status 500: "}
    assert "refinement" not in describe(tracks, None, CLIP, {})


def test_pictures_are_few_in_order_and_spread_over_the_clip() -> None:
    pictures = Pictures(4)
    for start in range(0, 100, 10):
        pts_s_T = np.arange(start, start + 10) / 10
        pictures.observe(FrameBatch(np.full((10, 8, 8, 3), start, np.uint8), pts_s_T))
    kept = pictures.kept()
    times_s = [t for t, _ in kept]
    assert 4 <= len(kept) < 8
    assert times_s[0] == 0.0
    assert times_s[-1] > 7.0
    assert len({round(b - a, 6) for a, b in pairwise(times_s)}) == 1
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg in kept)
