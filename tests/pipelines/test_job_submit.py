"""A curation as a submitted job, on a cluster with token authentication that this test starts and ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import moving_square_video

from pipelines.run_tables import read_table

REPOSITORY = Path(__file__).resolve().parents[2]


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def cluster() -> Iterator[tuple[str, dict[str, str], int]]:
    """Address of a one-node cluster of our own, the environment that may talk to it, and the port of its metrics."""
    # Ray's sockets need a short path; HOME keeps its token out of the user's home.
    folder = Path(tempfile.mkdtemp(prefix="mloom-"))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, "HOME": str(folder), **token}
    environment.pop("RAY_ADDRESS", None)
    environment["RAY_metrics_report_interval_ms"] = "500"
    gcs, dashboard, client, agent, metrics = free_ports(5)
    ray = str(Path(sys.executable).with_name("ray"))
    head = subprocess.Popen(
        [
            ray, "start", "--head", "--block", f"--port={gcs}", f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}", "--num-cpus=2",
            f"--metrics-export-port={metrics}",
            "--node-ip-address=127.0.0.1", f"--temp-dir={folder / 'ray'}", "--include-dashboard=true",
        ],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address = f"http://127.0.0.1:{dashboard}"
    try:
        for _ in range(240):
            if head.poll() is not None:
                pytest.fail(f"ray start ended with {head.returncode}")
            listed = subprocess.run(
                [ray, "job", "list", "--address", address], env=environment, capture_output=True, check=False
            )
            if listed.returncode == 0:
                break
            time.sleep(0.5)
        else:
            pytest.fail("the cluster did not come up")
        yield address, environment, metrics
    finally:
        # Every process of the cluster names its folder; those and no others are ended.
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in processes_of(folder):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            for _ in range(50):
                if not processes_of(folder) and head.poll() is not None:
                    break
                time.sleep(0.1)
        head.kill()
        head.wait()
        left = processes_of(folder)
        shutil.rmtree(folder, ignore_errors=True)
        assert not left, "the cluster left processes behind"


def processes_of(folder: Path) -> list[int]:
    """Process ids whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_a_submitted_job_curates(cluster: tuple[str, dict[str, str], int], tmp_path: Path) -> None:
    address, environment, metrics = cluster
    moving_square_video(tmp_path / "footage" / "a.mp4", frames=12)
    (tmp_path / "footage" / "b.mp4").write_text("not a video")
    submitted = subprocess.run(
        [
            str(Path(sys.executable).with_name("ray")), "job", "submit", "--address", address,
            "--runtime-env-json", '{"excludes": [".venv", ".git", "demo"]}', "--working-dir", str(REPOSITORY), "--",
            sys.executable, "-m", "pipelines.curate", "--input", str(tmp_path / "footage"), "--recipe", "keep_all",
            "--output", str(tmp_path / "run"),
        ],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert submitted.returncode == 0, submitted.stdout + submitted.stderr
    assert read_table(tmp_path / "run", "videos").num_rows == 1
    assert read_table(tmp_path / "run", "failures").num_rows == 1
    counted = motionloom_metrics(metrics)
    assert {line.split(" ")[0].split("{")[0] for line in counted} >= {
        "ray_motionloom_rows_total", "ray_motionloom_footage_seconds_total", "ray_motionloom_worker_seconds_total",
    }  # fmt: skip
    for outcome in ("done", "failed"):
        (line,) = [each for each in counted if "motionloom_rows_total" in each and f'outcome="{outcome}"' in each]
        assert 'stage="curate"' in line
        assert float(line.rsplit(" ", 1)[1]) == 1.0


def motionloom_metrics(port: int) -> list[str]:
    """Lines of our counters, as a Prometheus server would read them."""
    lines: list[str] = []
    deadline_s = time.monotonic() + 20
    while time.monotonic() < deadline_s:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith("ray_motionloom")]
        if sum("motionloom_rows" in line for line in lines) >= 2:
            break
        time.sleep(0.5)
    return lines
