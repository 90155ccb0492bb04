"""An application on a port: options that all serving commands have, the printed link, and the end."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Callable
from typing import Any

from pipelines.logs import tell
from pipelines.web.tokens import make_token
from schemas.errors import RecipeError

DEFAULT_HOST = "127.0.0.1"
_THREADS = 8


def add_serving_arguments(parser: argparse._ActionsContainer, hours: float, default_port: str) -> None:
    """hours: for which the link is good unless told otherwise; default_port: in words, for the help."""
    parser.add_argument(
        "--host", default=DEFAULT_HOST, metavar="ADDRESS", help="address to listen on (default: loopback)"
    )
    parser.add_argument("--port", type=int, help=f"0 takes a free one (default: {default_port})")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a name under which browsers ask for this server, such as that of a proxy before it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--hours", type=float, default=hours, help=f"for which the printed link is good (default: {hours:g})"
    )


def check_serving(args: argparse.Namespace) -> None:
    """Raises: RecipeError for a port or a time that there is not."""
    if not 0 < args.hours <= 24 * 366:
        raise RecipeError(f"--hours {args.hours:g}: expected more than 0 and at most a year")
    if args.port is not None and not 0 <= args.port <= 65535:
        raise RecipeError(f"--port {args.port}: expected 0 to 65535")


def served_names(args: argparse.Namespace) -> list[str]:
    """Names that browsers may ask for."""
    return ["127.0.0.1", "localhost", "[::1]", args.host, f"[{args.host}]", *args.allow_host]


def serve(
    app: Any,
    args: argparse.Namespace,
    port: int,
    secret: bytes,
    who: str,
    note_port: Callable[[int], None] | None = None,
) -> None:
    """Prints "WHO open LINK" and answers until interrupted. port: 0 takes a free one; note_port is told which.

    Raises: RecipeError when nobody can listen there.
    """
    import waitress

    try:
        server = waitress.create_server(app, host=args.host, port=port, threads=_THREADS, ident=None)
    except (OSError, ValueError) as error:
        hint = "; --port 0 takes a free one" if port else ""
        raise RecipeError(f"--host {args.host}, port {port}: {error}{hint}") from error
    port = _port_of(server)
    if note_port is not None:
        note_port(port)
    if not _is_loopback(args.host):
        tell("warning", f"{args.host} is reached by other machines, without encryption; put a TLS proxy before it")
    name = f"[{args.host}]" if ":" in args.host else args.host
    if args.host in ("0.0.0.0", "::"):
        name = args.allow_host[0] if args.allow_host else "NAME"
        if not args.allow_host:
            tell("warning", f"name the addresses that {who} will use by --allow-host; others are refused")
    sys.stdout.write(f"{who} open http://{name}:{port}/?token={make_token(secret, args.hours)}\n")
    sys.stdout.flush()
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


def _port_of(server: Any) -> int:
    """Where a name has several addresses the server listens on all of them."""
    listens = getattr(server, "effective_listen", None) or [(server.effective_host, server.effective_port)]
    return int(listens[0][1])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
