"""A chat-completions server of this process, for tests of what asks one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, bytes, dict[str, str]]


def completion(text: object, **more: object) -> Reply:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", **more}
    return 200, json.dumps({"choices": [choice]}).encode(), {}


class Server:
    """Answers by `reply`, keeps what it was asked, counts how many questions were open at once."""

    def __init__(self) -> None:
        self.reply: Callable[[dict[str, Any], int], Reply] = lambda body, n: completion("yes")
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.open, self.most_open = 0, 0
        self.lock = threading.Lock()
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked.append(({**dict(self.headers), "path": self.path}, body))
                    number = len(outer.asked)
                    outer.open += 1
                    outer.most_open = max(outer.most_open, outer.open)
                status, data, headers = outer.reply(body, number)
                with outer.lock:
                    outer.open -= 1
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(data)), **headers}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass  # the client gave up waiting, as a test wants it to

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def close(self) -> None:
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()
