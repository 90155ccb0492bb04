"""`motionloom verify-media`: does a video carry a manifest that holds, and our watermark?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import DataError, DecodeError, RecipeError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HELP = "check whether videos carry a manifest that holds, and the watermark"


@dataclass(frozen=True, slots=True)
class MediaReport:
    """One file. verified: the manifest holds, the watermark was found, and both name the same model.

    problem: why not, in one line; None for a verified file.
    """

    file: str
    verified: bool
    problem: str | None
    c2pa: str
    c2pa_reason: str | None = None
    signer: str | None = None
    generation: Mapping[str, Any] | None = None
    watermark: Mapping[str, Any] | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="videos")
    parser.add_argument(
        "--key", metavar="FILE", help="watermark key; by default $MOTIONLOOM_WATERMARK_KEY, else the public one"
    )
    parser.add_argument("--anchors", metavar="PEM", help="certificates of authorities whose signatures are trusted")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    from model.watermark import read_key
    from pipelines.provenance import require_c2pa
    from pipelines.terminal import print_json

    key = read_key(Path(args.key) if args.key else None)
    anchors_pem = _anchors(Path(args.anchors)) if args.anchors else None
    require_c2pa()
    reports = [verify(Path(file), key, anchors_pem) for file in args.files]
    if args.json:
        print_json({"files": [asdict(report) for report in reports], "verified": all(r.verified for r in reports)})
    else:
        _print(reports)
    return 0 if all(report.verified for report in reports) else 1


def verify(path: Path, key: bytes, anchors_pem: str | None = None) -> MediaReport:
    """Manifest and watermark of one file; a file that cannot be read is reported like any other."""
    from model.watermark import detect_in_mean
    from pipelines.provenance import read_manifest

    try:
        luma_HW, cut_short = averaged_luma(path)
        manifest = read_manifest(path, anchors_pem)
    except DataError as error:
        return MediaReport(str(path), False, str(error), "unreadable")
    found = detect_in_mean(luma_HW, key)
    payload = None if found.payload is None else f"{found.payload:08x}"
    problems = [] if manifest.holds else [f"C2PA {manifest.state}: {manifest.reason}"]
    if not found.found:
        problems.append("no watermark of this key")
    claimed = ((manifest.generation or {}).get("watermark") or {}).get("payload")
    if claimed and payload and claimed != payload:
        problems.append(f"the manifest names payload {claimed}, the watermark holds {payload}")
    if cut_short:
        problems.append(cut_short)
    return MediaReport(
        str(path),
        not problems,
        "; ".join(problems) or None,
        manifest.state,
        manifest.reason,
        manifest.signer,
        manifest.generation,
        {
            "found": found.found,
            "z": round(found.z, 2),
            "p_value": found.p_value,
            "payload": payload,
            "payload_confidence": round(found.payload_confidence, 3),
        },
    )


def averaged_luma(path: Path) -> tuple[NDArray[np.float32], str | None]:
    """(H, W) luma over all frames, one frame in memory at a time; and what stopped decoding before the end, or None.

    Raises: DataError when the file is missing, empty or no video; DecodeError when no frame can be decoded.
    """
    import av
    import numpy as np

    from model.watermark import mean_luma

    if not path.is_file():
        raise DataError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty")
    total_HWC: NDArray[np.uint32] | None = None
    frames, stopped = 0, None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DecodeError(f"{path}: has no video stream")
            for frame in container.decode(container.streams.video[0]):
                rgb_HWC = frame.to_ndarray(format="rgb24")
                if total_HWC is None:
                    total_HWC = np.zeros(rgb_HWC.shape, dtype=np.uint32)
                if rgb_HWC.shape != total_HWC.shape:
                    stopped = f"the frame size changes after {frames} frames"
                    break
                total_HWC += rgb_HWC
                frames += 1
    except av.FFmpegError as error:
        stopped = f"decoding stopped after {frames} frames: {error}"
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if total_HWC is None:
        raise DecodeError(f"{path}: not a readable video" + (f" ({stopped})" if stopped else ""))
    return mean_luma(total_HWC, frames), stopped


def _anchors(path: Path) -> str:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        text = path.read_text(encoding="ascii")
        load_pem_x509_certificates(text.encode())
    except OSError as error:
        raise RecipeError(f"--anchors {path}: {error.strerror}") from error
    except ValueError as error:
        raise RecipeError(f"--anchors {path}: holds no PEM certificate ({error})") from error
    return text


def _print(reports: list[MediaReport]) -> None:
    from pipelines.terminal import print_lines, print_table

    rows = []
    for report in reports:
        mark = report.watermark or {}
        statistics = f"{mark['z']:.1f}" if mark else None
        chance = f"{mark['p_value']:.1e}" if mark else None
        state = ("found" if mark["found"] else "not found") if mark else None
        rows.append(
            (
                report.file,
                "yes" if report.verified else "no",
                report.c2pa,
                state,
                statistics,
                chance,
                mark.get("payload"),
            )
        )
    columns = ("file", "verified", "C2PA", "watermark", "z", "p value", "model (payload)")
    print_table("media", columns, rows, right=("z", "p value"))
    for report in reports:
        if report.problem:
            # Errors of unreadable files name the file themselves.
            prefix = "" if report.problem.startswith(report.file) else f"{report.file}: "
            print_lines(prefix + report.problem)
        if report.c2pa == "valid":
            print_lines(f"{report.file}: signed by {report.signer}; nobody vouches for that name (valid, not trusted)")


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("verify_media"))
