"""motionloom doctor: what is installed, which weights are present, and what each missing one turns off.

Imports neither torch nor Ray: package versions come from their metadata. Also `python -m pipelines.doctor`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from pipelines.terminal import print_json, print_lines, print_table, size_text

HELP = "show what is installed, which weights are present, and what is missing"
DISTRIBUTION = "motionloom"
WEIGHTS_ENV = "MOTIONLOOM_WEIGHTS"
MIN_PYTHON, BELOW_PYTHON = (3, 10), (3, 13)


@dataclass(frozen=True, slots=True)
class Weights:
    """An optional file or folder of weights. `patterns` are looked for below the weights folder."""

    name: str
    patterns: tuple[str, ...]
    turns_off: str


KNOWN_WEIGHTS = (
    Weights("open_clip checkpoint", ("open_clip*", "*clip*.safetensors", "*clip*.pt"), "the aesthetic score"),
    Weights("LAION aesthetic head", ("*aesthetic*.pth", "*aesthetic*.safetensors"), "the aesthetic score"),
    Weights("ultralytics person detector", ("yolo*.pt",), "the stronger person detector; MediaPipe is used instead"),
    Weights("face_landmarker.task", ("face_landmarker.task",), "the 52 face coefficients; a geometric subset is used"),
    Weights("Wan VAE", ("*[Ww]an*[Vv][Aa][Ee]*",), "the learned video codec; the weight-free codec is used instead"),
    Weights("umT5 text encoder", ("*umt5*",), "the large text encoder; the small embedded one is used instead"),
)


@dataclass(frozen=True, slots=True)
class Package:
    """A requirement of motionloom and what is installed for it. `problem` is None when they agree."""

    name: str
    wanted: str
    installed: str | None
    problem: str | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    packages = required_packages()
    document = {
        "python": python_state(),
        "packages": [asdict(package) for package in packages],
        "weights_folder": str(weights_folder()),
        "weights": find_weights(weights_folder()),
        "machine": machine(),
        "video": video_codecs(),
        "fix": fix_line(packages),
    }
    document["ok"] = document["fix"] is None
    if args.json:
        print_json(document)
    else:
        _print(document)
    return 0 if document["ok"] else 1


def python_state() -> dict[str, Any]:
    """The running interpreter and whether motionloom supports it."""
    supported = MIN_PYTHON <= sys.version_info[:2] < BELOW_PYTHON
    return {"version": platform.python_version(), "supported": supported, "executable": sys.executable}


def required_packages() -> list[Package]:
    """Every requirement in motionloom's own metadata; extras such as `dev` are left out."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [Package(DISTRIBUTION, "", None, "not installed")]
    return [check_requirement(line) for line in lines if "extra ==" not in line]


def check_requirement(line: str) -> Package:
    """One requirement line against what is installed."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return Package(line, "", None, "unreadable requirement")
    wanted = str(requirement.specifier)
    try:
        installed = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Package(requirement.name, wanted, None, "not installed")
    # Local builds such as 2.6.0+cpu and pre-releases satisfy the bound that their number does.
    fits = requirement.specifier.contains(installed, prereleases=True)
    return Package(requirement.name, wanted, installed, None if fits else f"{wanted} is wanted")


def fix_line(packages: list[Package]) -> str | None:
    """What to install, in one line; None when nothing is missing."""
    if not MIN_PYTHON <= sys.version_info[:2] < BELOW_PYTHON:
        return f"use Python {'.'.join(map(str, MIN_PYTHON))} to 3.{BELOW_PYTHON[1] - 1}"
    broken = [f"'{package.name}{package.wanted}'" for package in packages if package.problem]
    return f"{sys.executable} -m pip install {' '.join(broken)}" if broken else None


def weights_folder() -> Path:
    """$MOTIONLOOM_WEIGHTS, or the cache folder of the user."""
    given = os.environ.get(WEIGHTS_ENV)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "motionloom" / "weights"


def find_weights(folder: Path) -> list[dict[str, Any]]:
    """Every known optional weight: where it lies, or None and what that turns off."""
    found = []
    for weights in KNOWN_WEIGHTS:
        paths = (
            sorted(path for pattern in weights.patterns for path in folder.rglob(pattern)) if folder.is_dir() else []
        )
        row = {"name": weights.name, "path": str(paths[0]) if paths else None, "turns_off": weights.turns_off}
        found.append(row)
    return found


def machine() -> dict[str, Any]:
    """Processors that this process may use, memory, and accelerators as the driver lists them."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "platform": platform.platform(),
        "cpus": usable,
        "memory_bytes": memory_bytes(),
        "gpus": gpu_names(),
        "ray": _version("ray"),
    }


def memory_bytes() -> int | None:
    """Physical memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def gpu_names() -> list[str]:
    """NVIDIA devices by nvidia-smi; a device node without the tool counts as an unnamed one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ["NVIDIA device (nvidia-smi not found)"] if Path("/dev/nvidia0").exists() else []
    try:
        done = subprocess.run(
            [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def video_codecs() -> dict[str, Any]:
    """What PyAV's FFmpeg can do for us: read H.264, HEVC, VP9 and AV1, write H.264."""
    try:
        import av
    except ImportError as error:
        return {"problem": str(error)}
    return {
        "ffmpeg": ".".join(map(str, av.library_versions.get("libavcodec", ()))),
        "libx264": "libx264" in av.codecs_available,
        "decoders": {name: name in av.codecs_available for name in ("h264", "hevc", "vp9", "av1")},
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _print(document: dict[str, Any]) -> None:
    python, here, video = document["python"], document["machine"], document["video"]
    memory = "unknown" if here["memory_bytes"] is None else size_text(here["memory_bytes"])
    rows = [
        ("Python", f"{python['version']}{'' if python['supported'] else ' (not supported)'}"),
        ("platform", here["platform"]),
        ("processors", here["cpus"]),
        ("memory", memory),
        ("GPU", ", ".join(here["gpus"]) or "none; training and animation run on the processor"),
        ("Ray", here["ray"] or "not installed; use --runner local"),
        ("H.264 encoder", "libx264" if video.get("libx264") else "missing; clips cannot be written"),
        ("decoders", ", ".join(name for name, there in video.get("decoders", {}).items() if there) or "none"),
    ]
    print_table("machine", ("what", "value"), rows)
    packages = [
        (package["name"], package["wanted"], package["installed"], package["problem"] or "ok")
        for package in document["packages"]
    ]
    print_table("required packages", ("package", "wanted", "installed", "state"), packages)
    weights = [
        (row["name"], row["path"] or "missing", "–" if row["path"] else row["turns_off"]) for row in document["weights"]
    ]
    print_table(f"optional weights in {document['weights_folder']}", ("weights", "file", "turned off"), weights)
    print_lines(document["fix"] if document["fix"] else "everything required is installed")


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("doctor"))
