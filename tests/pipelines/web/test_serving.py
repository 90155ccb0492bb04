"""Options that every serving command has."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from pipelines.web.serving import add_serving_arguments, check_serving, serve, served_names
from pipelines.web.tokens import make_token
from schemas.errors import RecipeError


def parsed(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_serving_arguments(parser, hours=5.0, default_port="a free one")
    return parser.parse_args(options)


def test_defaults_are_loopback() -> None:
    args = parsed()
    check_serving(args)
    assert (args.host, args.port, args.hours) == ("127.0.0.1", None, 5.0)
    assert served_names(parsed("--allow-host", "studies.example"))[-1] == "studies.example"


@pytest.mark.parametrize(
    ("options", "host", "status"),
    [
        ((), "127.0.0.1:8000", 302),
        ((), "LOCALHOST", 302),
        ((), "[::1]:8000", 302),
        (("--host", "::1"), "[::1]:8000", 302),
        (("--allow-host", "Viewer.Example"), "viewer.example", 302),
        ((), "viewer.example", 400),
        ((), "[::2]:8000", 400),
        ((), "127.0.0.1.evil.example", 400),
        ((), "127.0.0.1:8000@evil.example", 400),
        ((), "", 400),
    ],
)
def test_the_printed_link_answers_and_no_other_name(options: tuple[str, ...], host: str, status: int) -> None:
    flask = pytest.importorskip("flask", reason="needs the extra viewer or study")
    assert flask
    from pipelines.web.closed import closed_app

    secret = b"s" * 32
    app = closed_app("test", Path(__file__).parent, secret, served_names(parsed(*options)), "cookie", 1000)
    answer = app.test_client().get(f"/?token={make_token(secret, 1.0)}", headers={"Host": host})
    assert answer.status_code == status


@pytest.mark.parametrize("options", [("--hours", "0"), ("--hours", "nan"), ("--port", "-1"), ("--port", "65536")])
def test_what_cannot_be_is_refused(options: tuple[str, str]) -> None:
    with pytest.raises(RecipeError, match=f"{options[0]} "):
        check_serving(parsed(*options))


def test_an_address_that_is_not_ours() -> None:
    pytest.importorskip("waitress", reason="needs the extra viewer or study")
    with pytest.raises(RecipeError, match=r"--host 192\.0\.2\.1"):
        serve(None, parsed("--host", "192.0.2.1"), 0, b"s" * 32, "viewers")
