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
from schemas.weights import (
    AESTHETIC_HEAD_PATTERNS,
    CLIP_PATTERNS,
    DETECTOR_PATTERNS,
    FACE_TASK_PATTERNS,
    UMT5_PATTERNS,
    first_match,
    weights_folder,
)

HELP = "show what is installed, which weights are present, and what is missing"
DISTRIBUTION = "motionloom"
SOURCE = Path(__file__).resolve().parent.parent
MIN_PYTHON, BELOW_PYTHON = (3, 10), (3, 13)


@dataclass(frozen=True, slots=True)
class Weights:
    """Optional weights. `patterns` are looked for below the weights folder; `without` is what happens when absent.

    loader: the module that uses them; None while this version has none, so that finding a file changes nothing.
    """

    name: str
    patterns: tuple[str, ...]
    without: str
    loader: str | None = None


KNOWN_WEIGHTS = (
    Weights(
        "open_clip checkpoint",
        CLIP_PATTERNS,
        "the aesthetic score and the style estimate are null, subject_consistency goes by colours alone, "
        "animate does not look at what reference pictures show",
        "curation.backends.clip_images",
    ),
    Weights(
        "LAION aesthetic head",
        AESTHETIC_HEAD_PATTERNS,
        "the aesthetic score is null",
        "curation.backends.aesthetic_head",
    ),
    Weights(
        "ultralytics detector",
        DETECTOR_PATTERNS,
        "people are found by MediaPipe's embedded models, things at the hand have no name",
        "annotation.backends.ultralytics_detector",
    ),
    Weights(
        "face_landmarker.task",
        FACE_TASK_PATTERNS,
        "expression coefficients come from the landmarks' geometry, a part of ARKit's names",
        "annotation.backends.blendshapes",
    ),
    Weights("Wan VAE", ("*[Ww]an*[Vv][Aa][Ee]*",), "video is coded by the codec fitted to the data"),
    Weights("umT5 text encoder", UMT5_PATTERNS, "text is encoded by the embedded MiniLM", "model.text.umt5"),
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
    document: dict[str, Any] = {
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
    """Every requirement of motionloom; extras such as `dev` are left out."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [Package(DISTRIBUTION, "", None, f"not installed; a source tree installs with pip install -e {SOURCE}")]
    checked = (check_requirement(line) for line in lines)
    return [package for package in checked if package is not None]


def check_requirement(line: str) -> Package | None:
    """One requirement line against what is installed; None when it is not asked for here (an extra, another system)."""
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return Package(line, "", None, "unreadable requirement")
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
        return None
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
    if any(package.name == DISTRIBUTION for package in packages):
        return f"{sys.executable} -m pip install -e {SOURCE}"
    broken = [f"'{package.name}{package.wanted}'" for package in packages if package.problem]
    return f"{sys.executable} -m pip install {' '.join(broken)}" if broken else None


def find_weights(folder: Path) -> list[dict[str, Any]]:
    """Every known optional weight: where it lies (or None), what its absence means, and what would load it."""
    found = []
    for weights in KNOWN_WEIGHTS:
        path = first_match(weights.patterns, folder)
        found.append(
            {
                "name": weights.name,
                "path": None if path is None else str(path),
                "without": weights.without,
                "loader": weights.loader,
            }
        )
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
        (row["name"], row["path"] or "missing", row["loader"] or "no loader in this version", row["without"])
        for row in document["weights"]
    ]
    title = f"optional weights in {document['weights_folder']}"
    print_table(title, ("weights", "file", "loaded by", "without them"), weights)
    print_lines(document["fix"] if document["fix"] else "everything required is installed")


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("doctor"))
