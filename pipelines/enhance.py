"""`motionloom enhance`: a prompt in the form of the captions that a model was trained with.

The prompt's words stay; what it leaves open is filled from measured motion, and contradictions are reported.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.arguments import local_path

if TYPE_CHECKING:
    from annotation.backends.chat_endpoint import ChatEndpoint
    from model.text.enhancer import Enhanced, MotionStatement
    from schemas.storage import Location

log = logging.getLogger(__name__)

HELP = "put a prompt into the form of a caption, filled from measured motion where it says nothing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="what is to be seen; text, never an instruction")
    motion = parser.add_mutually_exclusive_group()
    motion.add_argument("--motion", nargs=2, metavar=("DATASET", "KEY"), help="sample whose labels describe the motion")
    motion.add_argument("--driving", type=local_path, metavar="VIDEO", help="video whose motion is measured now")
    add_endpoint_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print prompt, slots, changes and conflicts as JSON")


def add_endpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """--endpoint and what belongs to it; the key is read from $MOTIONLOOM_ENDPOINT_KEY."""
    parser.add_argument(
        "--endpoint", metavar="URL", help="OpenAI-compatible base, such as http://host:8000/v1, that rewords the prompt"
    )
    parser.add_argument("--endpoint-model", metavar="NAME", default="", help="the model that the endpoint serves")
    parser.add_argument("--endpoint-timeout-s", type=float, default=30.0, metavar="S")


def run(args: argparse.Namespace) -> int:
    from pipelines.summary import print_rows
    from pipelines.terminal import print_json, print_lines, print_table

    endpoint = endpoint_of(args)
    motion: Mapping[str, Any] | None = None
    if args.motion:
        from schemas.storage import located

        motion = sample_document(located(args.motion[0]), args.motion[1])
    elif args.driving:
        motion = driving_document(args.driving)
    made = enhance_prompt(args.prompt, motion, endpoint)
    if args.json:
        print_json(asdict(made))
        return 0
    print_lines(made.prompt)
    if made.changes:
        rows = [(each.slot, each.before, each.after, each.why) for each in made.changes]
        print_table("changed", ("slot", "before", "after", "why"), rows)
    print_rows(f"slots, by {made.source}", dict(made.slots))
    return 0


def endpoint_of(args: argparse.Namespace) -> ChatEndpoint | None:
    """Raises: RecipeError when only a part of it is named, or the address is none."""
    from annotation.backends.chat_endpoint import ChatEndpoint, EndpointSettings
    from schemas.errors import RecipeError

    if args.endpoint is None:
        if args.endpoint_model:
            raise RecipeError("--endpoint-model without --endpoint: say where the model is served")
        return None
    if not args.endpoint.startswith(("http://", "https://")):
        raise RecipeError(f"--endpoint {args.endpoint}: expected http://… or https://…")
    if not args.endpoint_model:
        raise RecipeError("--endpoint without --endpoint-model: name the model that the endpoint serves")
    if not args.endpoint_timeout_s > 0:
        raise RecipeError(f"--endpoint-timeout-s {args.endpoint_timeout_s:g}: expected more than 0")
    settings = EndpointSettings(
        args.endpoint, args.endpoint_model, timeout_s=args.endpoint_timeout_s, attempts=2, first_wait_s=0.5
    )
    return ChatEndpoint(settings)


def enhance_prompt(
    prompt: str, document: Mapping[str, Any] | None = None, endpoint: ChatEndpoint | None = None
) -> Enhanced:
    """The enhanced prompt; conflicts, and an endpoint whose answer is not used, are warnings in the log.

    document: a sample's JSON, or what `annotation.sample.describe` says of a driving video with its duration_s.
    Raises: RecipeError for a prompt without words where there is no motion.
    """
    from model.text.enhancer import enhance

    made = enhance(prompt, motion_statement(document) if document is not None else None)
    for conflict in made.conflicts:
        log.warning(
            "the prompt says %s, the motion was measured as %s: the prompt's words stay, the motion does not change",
            conflict.said, conflict.measured,
        )  # fmt: skip
    for note in made.notes:
        log.warning("%s", note)
    return reworded(prompt, made, endpoint) if endpoint is not None else made


def reworded(prompt: str, made: Enhanced, endpoint: ChatEndpoint) -> Enhanced:
    """With the endpoint's wording where it keeps to what is known; otherwise as it was, with the reason."""
    from dataclasses import replace

    from annotation.backends.chat_endpoint import Question
    from model.text.enhancer import REWORD, Change, check_rewording, reword_text
    from model.text.prompt_words import slots_of

    (answer,) = endpoint.ask([Question(REWORD, reword_text(made))])
    problem = answer.problem
    told = made.prompt
    if answer.text is not None:
        told, problem = check_rewording(prompt, made, answer.text)
    if problem is not None:
        log.warning("the endpoint's wording is not used (%s); the prompt is the template's", problem)
        return replace(made, notes=(*made.notes, f"endpoint: {problem}"))
    change = Change("wording", made.prompt, told, f"reworded by {endpoint.settings.model}")
    return replace(made, prompt=told, slots=slots_of(told), changes=(*made.changes, change), source="endpoint")


def motion_statement(document: Mapping[str, Any]) -> MotionStatement:
    """Raises: SchemaError when its labels are not the contract's."""
    from annotation.caption import shot_phrase, slots_of_labels
    from model.text.directions import directions_of_moves
    from model.text.enhancer import MotionStatement
    from schemas.errors import SchemaError

    try:
        slots = slots_of_labels(document)
        moves = (document.get("camera") or {}).get("moves") or ()
        directions = directions_of_moves(moves, float(document["duration_s"]))
        labels = dict.fromkeys(str(row["label"]) for row in document.get("actions") or ())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SchemaError(f"the motion's labels cannot be read: {type(error).__name__} {error}") from error
    return MotionStatement(
        shot=shot_phrase(slots.shot_scale),
        subject=slots.subject,
        actions=slots.actions,
        expressions=slots.expressions,
        hands=slots.hands,
        camera=slots.camera,
        directions=directions,
        labels=tuple(labels),
    )


def sample_document(dataset: Location, key: str) -> dict[str, Any]:
    """KEY.json with its newest labels. Raises: RecipeError for an unknown key; CorruptShard without the member."""
    from pipelines.shards import find_entry
    from schemas.codecs import decode_json
    from schemas.errors import CorruptShard
    from schemas.index import load_samples
    from schemas.shard import read_members

    entry = find_entry(load_samples(dataset), key)
    members = read_members(dataset, entry, ("json",))
    if "json" not in members:
        raise CorruptShard(f"shard {entry.shard}, sample {key}: member json is missing")
    document: dict[str, Any] = decode_json(members["json"])
    return document


def driving_document(video: Path) -> dict[str, Any]:
    """Labels of a driving video, measured now. Raises: RecipeError when there is no such file; DataError."""
    from pipelines.annotated_media import annotated_video
    from schemas.errors import RecipeError

    if not video.is_file():
        raise RecipeError(f"--driving {video}: {'is a folder, not a file' if video.is_dir() else 'no such file'}")
    tracks, shape, versions = annotated_video(video, f"--driving {video}")
    return described(tracks.by_suffix, shape, versions)


def described(tracks: Any, shape: Any, versions: Any) -> dict[str, Any]:
    """Labels and caption of a whole video, and how long it lasts."""
    from annotation.caption import clip_duration_s
    from annotation.sample import describe

    return {**describe(tracks, None, shape, versions), "duration_s": clip_duration_s(tracks["body.npz"])}


if __name__ == "__main__":
    from pipelines.cli import run_module

    sys.exit(run_module("enhance"))
