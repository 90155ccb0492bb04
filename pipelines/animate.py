"""`motionloom animate`: a character and a driving video in, an animation of the driving clip's length out."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import local_path
from pipelines.responsible_use import UseTerms, add_use_arguments, clear, terms_from
from pipelines.subjects import add_library_argument, library_folder

if TYPE_CHECKING:
    from annotation.backends.chat_endpoint import ChatEndpoint

log = logging.getLogger(__name__)

HELP = "move a character like the person in a driving video"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipelines.enhance import add_endpoint_arguments

    parser.add_argument(
        "--model", type=local_path, required=True, metavar="MODEL", help="folder that train or distill wrote"
    )
    parser.add_argument(
        "--driving", type=local_path, required=True, metavar="VIDEO", help="video whose motion is taken over"
    )
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--reference", nargs="+", type=local_path, metavar="IMAGE", help="one or several pictures of the character"
    )
    who.add_argument("--subject", metavar="NAME", help="a subject of the library; the pictures that fit are chosen")
    add_library_argument(parser)
    parser.add_argument("--prompt", default=None, help="text; by default the caption of the driving motion")
    parser.add_argument(
        "--enhance",
        action="store_true",
        help="fill what --prompt leaves open from the driving motion (motionloom enhance)",
    )
    add_endpoint_arguments(parser)
    parser.add_argument(
        "--keep-proportions",
        action="store_true",
        help="leave arms and legs as long as the driver's; by default they get the character's proportions",
    )
    parser.add_argument("--output", type=local_path, required=True, metavar="OUT.mp4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace OUT.mp4 when it exists")
    add_use_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    from pipelines.enhance import endpoint_of
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json
    from schemas.errors import RecipeError

    endpoint = endpoint_of(args)
    if endpoint is not None and not args.enhance:
        raise RecipeError("--endpoint has no effect without --enhance; add it, or leave the endpoint out")
    if args.enhance and args.prompt is None:
        raise RecipeError("--enhance has no effect without --prompt: the caption of the driving motion is complete")
    if args.library is not None and args.subject is None:
        log.warning("--library %s has no effect without --subject NAME", args.library)
    result = animate_file(
        args.model, args.driving, args.reference or (), args.output,
        args.prompt, args.seed, args.overwrite, args.subject, args.library,
        args.enhance, endpoint, keep_proportions=args.keep_proportions, terms=terms_from(args),
    )  # fmt: skip
    if args.json:
        print_json(result)
    else:
        lists = {name: ", ".join(value) or None for name, value in result.items() if isinstance(value, list)}
        limbs = [f"{group} x {factor}" for group, factor in result["limb_factors"].items()]
        lists["limb_factors"] = ", ".join(limbs) or "as the driver's"
        print_rows(f"animation {args.output}", {**result, **lists})
    return 0


def animate_file(
    model_dir: Path,
    driving: Path,
    references: Sequence[Path],
    output: Path,
    prompt: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    subject: str | None = None,
    library: Path | None = None,
    enhance: bool = False,
    endpoint: ChatEndpoint | None = None,
    *,
    keep_proportions: bool = False,
    terms: UseTerms,
) -> dict[str, Any]:
    """Annotates the driving video and generates as many frames, at its times.

    The character is that of the pictures in `references`, or with `subject` that of the library. Which of them the
    model gets, and in which order, follows from the views that the driving video shows (docs/subjects).
    enhance: fill what the prompt leaves open from the driving motion; endpoint: and let it reword the result.
    keep_proportions: leave arms and legs as long as the driver's.
    Returns: costs, size, prompt, how much longer limbs were made, and which references were used and left out.
    What is written carries a watermark and a manifest (docs/responsible_use.md).
    Raises: RecipeError when a file or the subject is missing, OUT.mp4 exists, consent is missing or content is
            refused; DataError when the driving video or a picture cannot be read; ResourceError without c2pa.
    """
    from pipelines.training_output import quiet_threads

    quiet_threads()
    from model.data.clips import read_actions
    from model.generate import DrivingMotion, animate
    from model.identity.choose import needs_of
    from model.store import load_model
    from pipelines.annotated_media import annotated_video
    from pipelines.content_filter import read_picture
    from pipelines.enhance import described
    from pipelines.progress import bar
    from pipelines.references import candidates_of_files, candidates_of_subject, choose, consent_of, picture_of
    from schemas.errors import RecipeError

    if output.suffix.lower() != ".mp4":
        raise RecipeError(f"--output {output}: the animation is written as .mp4")
    if output.exists() and not overwrite:
        raise RecipeError(f"{output} exists; give --overwrite or another --output")
    for name, path in (("--driving", driving), *(("--reference", path) for path in references)):
        if not path.is_file():
            raise RecipeError(f"{name} {path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    if subject is None:
        # Before the networks that look at the pictures: a refusal should cost nothing.
        clearance = clear(terms, prompt, [read_picture(path) for path in references])
        candidates = candidates_of_files(references)
    else:
        candidates = candidates_of_subject(library_folder(library), subject)
        clearance = clear(terms, prompt, [picture_of(each) for each in candidates], consent_of(candidates))
    model = load_model(model_dir)
    tracks, shape, versions = annotated_video(driving, f"--driving {driving}")
    size_hw = (shape.height_px, shape.width_px)
    document = described(tracks.by_suffix, shape, versions)
    text, enhanced = _prompt_for(prompt, enhance, endpoint, document)
    clearance.check_prompt(text)
    motion = DrivingMotion(
        size_hw, tracks.body.pts_s_T, tracks.body, tracks.face, tracks.hands, tracks.camera, read_actions(document)
    )
    chosen = choose(candidates, needs_of(tracks.body, tracks.face, size_hw), model.config.data.max_references)
    with bar() as progress:
        task = progress.add_task("animate", total=None)
        made = animate(
            model, chosen.references, motion, text, seed,
            on_segment=lambda done, total: progress.update(task, completed=done, total=total),
            keep_proportions=keep_proportions,
        )  # fmt: skip
    used = clearance.using([candidate.sha256 for candidate in chosen.used])
    marks = used.publish(output, made.rgb_THWC, made.pts_s_T, model_dir, model.config, driving, text, seed)
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
        **({"enhanced": enhanced} if enhanced else {}),
        "limb_factors": {group: round(factor, 3) for group, factor in made.limb_factors.items()},
        "references": [candidate.name for candidate in chosen.used],
        "references_left_out": list(chosen.left_out),
        **marks,
    }


def _prompt_for(
    prompt: str | None, enhance: bool, endpoint: ChatEndpoint | None, document: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The text to animate by, and what was changed in the user's; empty where nothing was asked for."""
    from pipelines.enhance import enhance_prompt

    if prompt is not None and not enhance:
        return prompt, {}
    if prompt is None:
        return str(document["caption"]), {}
    made = asdict(enhance_prompt(prompt, document, endpoint))
    return str(made.pop("prompt")), {"given": prompt, **made}


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("animate"))
