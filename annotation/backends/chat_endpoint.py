"""A client for OpenAI-compatible chat completions (vLLM, llama.cpp, hosted ones): text and pictures in, text out.

Several questions are asked at once; servers batch what arrives together. A failed question is an answer with a reason,
never an exception: what it would have improved stays as it was. The key comes from the environment and nowhere else.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

# Too many requests, or the server's own trouble: these pass. Anything else would fail again in the same way.
_PASSING_STATUS = frozenset((408, 425, 429, 500, 502, 503, 504))
_LONGEST_ANSWER_BYTES = 1 << 20
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where and how to ask.

    url:          base of the interface, such as http://host:8000/v1.
    key_variable: environment variable that holds the key; none is sent where it is unset or empty.
    timeout_s:    for connecting, and for each wait on the answer.
    attempts:     how often a question is asked at most; waits of first_wait_s, twice that, ... lie between.
    at_once:      questions in flight.
    """

    url: str
    model: str
    key_variable: str = "MOTIONLOOM_ENDPOINT_KEY"
    timeout_s: float = 60.0
    attempts: int = 3
    first_wait_s: float = 1.0
    at_once: int = 4
    max_tokens: int = 400


@dataclass(frozen=True, slots=True)
class Question:
    """instruction: the system's message; text and jpegs: the user's."""

    instruction: str
    text: str
    jpegs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """text, or the problem that left it None."""

    text: str | None
    problem: str | None
    attempts: int


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class ChatEndpoint:
    def __init__(self, settings: EndpointSettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self._sleep = sleep
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer for each question, in their order."""
        if len(questions) < 2:
            return [self._ask_one(question) for question in questions]
        with ThreadPoolExecutor(max_workers=max(1, min(self.settings.at_once, len(questions)))) as pool:
            return list(pool.map(self._ask_one, questions))

    def _ask_one(self, question: Question) -> Answer:
        problem = "not asked"
        for attempt in range(1, self.settings.attempts + 1):
            wait_s = min(self.settings.first_wait_s * 2 ** (attempt - 1), _LONGEST_WAIT_S)
            try:
                return self._read(self._send(question), attempt)
            except urllib.error.HTTPError as error:
                with error:
                    problem = f"status {error.code}: {_one_line(error.read(2000).decode('utf-8', 'replace'))}"
                    if error.code not in _PASSING_STATUS:
                        return Answer(None, problem, attempt)
                    wait_s = max(wait_s, _retry_after_s(error))
            except TimeoutError:
                problem = f"no answer within {self.settings.timeout_s:g} s"
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = getattr(error, "reason", error)
                timed_out = isinstance(reason, TimeoutError)
                problem = f"no answer within {self.settings.timeout_s:g} s" if timed_out else f"no connection: {reason}"
            if attempt < self.settings.attempts:
                self._sleep(wait_s)
        return Answer(None, problem, self.settings.attempts)

    def _send(self, question: Question) -> bytes:
        content: Any = question.text
        if question.jpegs:
            urls = (f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" for jpeg in question.jpegs)
            pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            content = [{"type": "text", "text": question.text}, *pictures]
        body = {
            "model": self.settings.model,
            "messages": [{"role": "system", "content": question.instruction}, {"role": "user", "content": content}],
            # The same clip gets the same text, as far as the server keeps that promise.
            "temperature": 0,
            "max_tokens": self.settings.max_tokens,
        }
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.settings.key_variable, "")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{self.settings.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        with self._opener.open(request, timeout=self.settings.timeout_s) as response:
            return bytes(response.read(_LONGEST_ANSWER_BYTES + 1))

    def _read(self, data: bytes, attempt: int) -> Answer:
        """The first choice's text. An answer of another form is a problem that asking again would not solve."""
        if len(data) > _LONGEST_ANSWER_BYTES:
            return Answer(None, f"the answer is longer than {_LONGEST_ANSWER_BYTES} bytes", attempt)
        try:
            choice = json.loads(data)["choices"][0]
            text = choice["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return Answer(None, f"malformed answer ({type(error).__name__}): {_one_line(repr(data[:200]))}", attempt)
        if not isinstance(text, str) or not text.strip():
            return Answer(None, "the answer has no text", attempt)
        if choice.get("finish_reason") == "length":
            return Answer(None, f"the answer was cut at {self.settings.max_tokens} tokens", attempt)
        return Answer(text.strip(), None, attempt)


def _retry_after_s(error: urllib.error.HTTPError) -> float:
    """What the server asks for, in seconds; 0 without, or when it names a date."""
    try:
        return min(max(float(error.headers.get("Retry-After", "0")), 0.0), _LONGEST_WAIT_S)
    except ValueError:
        return 0.0


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
