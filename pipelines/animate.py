"""`motionloom animate`: a reference character and a driving video in, an animation of the driving clip's length out."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from pipelines.responsible_use import UseTerms, add_use_arguments, clear, terms_from

log = logging.getLogger(__name__)

HELP = "move a reference character like the person in a driving video"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="MODEL", help="folder that train or distill wrote")
    parser.add_argument("--driving", required=True, metavar="VIDEO", help="video whose motion is taken over")
    parser.add_argument(
        "--reference", nargs="+", required=True, metavar="IMAGE", help="picture of the character (this version: one)"
    )
    parser.add_argument("--prompt", default=None, help="text; by default the caption of the driving motion")
    parser.add_argument("--output", required=True, metavar="OUT.mp4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 when it exists")
    add_use_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json
    from schemas.errors import RecipeError

    if len(args.reference) > 1:
        raise RecipeError(f"--reference: {len(args.reference)} pictures given, this version's models take one")
    result = animate_file(
        Path(args.model), Path(args.driving), Path(args.reference[0]), Path(args.output), args.prompt, args.seed,
        args.overwrite, terms=terms_from(args),
    )  # fmt: skip
    if args.json:
        print_json(result)
    else:
        print_rows(f"animation {args.output}", result)
    return 0


def animate_file(
    model_dir: Path,
    driving: Path,
    reference: Path,
    output: Path,
    prompt: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    *,
    terms: UseTerms,
) -> dict[str, Any]:
    """Annotates the driving video and generates as many frames, at its times. Returns: costs, size and prompt.

    What is written carries a watermark and a manifest (docs/responsible_use.md).
    Raises: RecipeError when a file is missing, OUT.mp4 exists, consent is missing or content is refused; DataError when
    the driving video or the picture cannot be read; ResourceError without c2pa.
    """
    from pipelines.training_output import quiet_threads

    quiet_threads()
    from annotation.sample import describe
    from model.data.framing import subject_box_px
    from model.generate import DrivingMotion, animate
    from model.store import load_model
    from pipelines.content_filter import read_picture
    from pipelines.progress import bar
    from schemas.errors import RecipeError

    if output.suffix.lower() != ".mp4":
        raise RecipeError(f"--output {output}: the animation is written as .mp4")
    if output.exists() and not overwrite:
        raise RecipeError(f"{output} exists; give --overwrite or another --output")
    for name, path in (("--driving", driving), ("--reference", reference)):
        if not path.is_file():
            raise RecipeError(f"{name} {path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    clearance = clear(terms, prompt, [read_picture(reference)])
    model = load_model(model_dir)
    reference_rgb_HWC, reference_tracks = _annotated_picture(reference)
    tracks, shape, versions = _annotated_video(driving)
    body, face = tracks["body.npz"], tracks["face.npz"]
    text = prompt if prompt is not None else describe(tracks, None, shape, versions)["caption"]
    clearance.check_prompt(text)
    motion = DrivingMotion(
        (shape.height_px, shape.width_px), body.pts_s_T, body, face, tracks["hands.npz"], tracks["camera.npz"]
    )
    box = subject_box_px(
        reference_tracks["body.npz"],
        reference_tracks["face.npz"],
        (reference_rgb_HWC.shape[0], reference_rgb_HWC.shape[1]),
    )
    with bar() as progress:
        task = progress.add_task("animate", total=None)
        made = animate(
            model, reference_rgb_HWC, motion, text, box, seed,
            on_segment=lambda done, total: progress.update(task, completed=done, total=total),
        )  # fmt: skip
    marks = clearance.publish(output, made.rgb_THWC, made.pts_s_T, model_dir, model.config, driving, text, seed)
    stats = made.stats
    return {
        "output": str(output),
        "kind": model.config.kind,
        "frames": len(made.rgb_THWC),
        # the last frame is shown as long as the one before it
        "duration_s": round(float(2 * made.pts_s_T[-1] - made.pts_s_T[-2] - made.pts_s_T[0]), 3)
        if len(made.pts_s_T) > 1
        else 0.0,
        "size_px": int(made.rgb_THWC.shape[1]),
        "network_evaluations": stats.evaluations,
        "segments": stats.segments,
        "evaluations_per_segment": stats.evaluations / stats.segments,
        "sampling_s": stats.seconds,
        "prompt": text,
        **marks,
    }


def _annotated_video(path: Path) -> tuple[Any, Any, Any]:
    """Tracks of a whole video in one decode, its shape, and the annotators' versions."""
    from annotation.base import ClipFrame
    from annotation.catalog import ClipAnnotation, annotator_versions, make_annotators
    from curation.decode import decode_for
    from curation.probe import probe
    from pipelines.progress import bar
    from schemas.errors import ProbeError

    try:
        header = probe(path)
    except ProbeError as error:
        raise ProbeError(f"--driving {path} is not a readable video: {error}") from error
    annotators = make_annotators()
    shape = ClipFrame(header.width_px, header.height_px, header.fps or 25.0)
    annotation = ClipAnnotation(annotators, shape)
    with bar() as progress:
        task = progress.add_task("motion", total=None)
        result = decode_for(
            path,
            annotation.requests(),
            annotation.observe,
            header.rotation_deg,
            on_frame=lambda _pts_s, _frame: progress.advance(task),
        )
    if result.error is not None:
        log.warning("driving video %s: %s; the animation ends there", path, result.error)
    return annotation.finish(), shape, annotator_versions(annotators)


def _annotated_picture(path: Path) -> tuple[Any, Any]:
    """A picture as RGB (H, W, 3), and the tracks of its single frame. Raises: DecodeError when it is no picture."""
    import cv2
    import numpy as np

    from annotation.base import ClipFrame
    from annotation.catalog import ClipAnnotation, make_annotators
    from schemas.errors import DecodeError
    from schemas.frames import FrameBatch

    bgr = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", dtype=np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise DecodeError(f"--reference {path} is not a readable picture")
    rgb_HWC = np.ascontiguousarray(bgr[..., ::-1])
    annotation = ClipAnnotation(make_annotators(), ClipFrame(rgb_HWC.shape[1], rgb_HWC.shape[0], 25.0))
    for request in annotation.requests():
        side = request.short_side_px
        factor = min(1.0, side / min(rgb_HWC.shape[:2])) if side else 1.0
        small = cv2.resize(rgb_HWC, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        annotation.observe(request.name, FrameBatch(small[None], np.zeros(1)))
    return rgb_HWC, annotation.finish()


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("animate"))
