"""An S3 server on loopback whose answers fail now and then: 500s, and bodies that are cut off in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import json
import logging
import os
import random
import tarfile
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow.parquet as pq

from schemas import storage

KEYS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "nobodys-secret", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class ObjectStore:
    """environment: what a client needs to talk to it. faults: what went wrong on purpose, by kind."""

    environment: dict[str, str]
    client: Any
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def get(self, bucket: str, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextlib.contextmanager
def object_store(buckets: tuple[str, ...], failing: float = 0.0, seed: int = 0) -> Iterator[ObjectStore]:
    """failing: share of requests that get a 500 or half of their answer; the store's own `client` is spared."""
    import boto3
    from moto.server import ThreadedMotoServer

    # A line for every request hides what a failing test has to say.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # Its objects are the process's, not the server's.
    urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"], region_name=KEYS["AWS_DEFAULT_REGION"],
    )  # fmt: skip
    for bucket in buckets:
        client.create_bucket(Bucket=bucket)
    store = ObjectStore({}, client)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store, (host, port), failing, random.Random(seed)))
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{proxy.server_address[1]}"
    store.environment = {**KEYS, "AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true"}
    # Its clients are kept for the process, and know the address of the first store of that name.
    storage._bucket.cache_clear()
    before = {name: os.environ.get(name) for name in store.environment}
    os.environ.update(store.environment)
    try:
        yield store
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        storage._bucket.cache_clear()
        proxy.shutdown()
        proxy.server_close()
        server.stop()


def _handler(
    store: ObjectStore, target: tuple[str, int], failing: float, rng: random.Random
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self._body()
            store.requests += 1
            how = rng.choice(("500", "cut")) if rng.random() < failing else ""
            if how == "500":
                store.faults[how] += 1
                self._answer(500, {"Content-Type": "application/xml"}, _INTERNAL)
                return
            connection = http.client.HTTPConnection(*target)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_HOP}
            connection.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
            response = connection.getresponse()
            data = response.read()
            connection.close()
            heads = {name: value for name, value in response.getheaders() if name.lower() not in _OF_THE_HOP}
            if how == "cut" and len(data) > 1 and self.command == "GET":
                store.faults[how] += 1
                self._answer(response.status, heads, data, len(data) // 2)
                return
            length = int(response.getheader("Content-Length") or 0) if self.command == "HEAD" else len(data)
            self._answer(response.status, heads, data, length=length)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

        def _body(self) -> bytes:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                while self.rfile.readline().strip():
                    pass
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(
            self, status: int, headers: dict[str, str], data: bytes, cut: int | None = None, length: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data if cut is None else data[:cut])
            if cut is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


_OF_THE_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive", "date", "server", "expect"})
_INTERNAL = b'<?xml version="1.0"?><Error><Code>InternalError</Code><Message>injected</Message></Error>'


def _renamed(data: bytes, names: dict[str, str]) -> bytes:
    for old, new in names.items():
        data = data.replace(old.encode(), new.encode())
    return data


def table_rows(table: bytes, names: dict[str, str]) -> list[bytes]:
    """Rows of a parquet file in any order, with URIs and ids of one place in place of another's."""
    found = pq.read_table(io.BytesIO(table)).to_pylist()
    return sorted(_renamed(json.dumps(row, sort_keys=True).encode(), names) for row in found)


def shard_members(shard: bytes, names: dict[str, str]) -> dict[str, str]:
    """A hash of every member of a shard, as above."""
    hashes = {}
    with tarfile.open(fileobj=io.BytesIO(shard)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            data = _renamed(content.read(), names)
            hashes[_renamed(member.name.encode(), names).decode()] = hashlib.sha256(data).hexdigest()
    return hashes
