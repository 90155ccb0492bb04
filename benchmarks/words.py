"""What the parser of camera moves and orientation understands, and what the prompt enhancer keeps and adds.

    PYTHONPATH=.:tests python benchmarks/words.py [--cases N] [--seed N] [--wrong]

Captions: N random clips are put into words by annotation/camera_text and parsed back. Templates and lists: sentences of
tests/model. Enhancer: every sentence of the lists as a prompt, with measured motion of random clips. Channel: how far
apart opposite moves are in direction_features and in the text encoder's pooled vector. --wrong prints what is missed.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np
import torch

from annotation.camera_text import camera_text
from annotation.camera_travel import move_rows
from model.text.directions import Directions, direction_features, directions_of_moves
from model.text.encoder import make_text_encoder
from model.text.enhancer import MOST_WORDS, MotionStatement, enhance
from model.text.prompt_words import content_words, missing_words, words_of
from model.text.stage_directions import parse_directions
from tests.model import held_aside_sentences as lists
from tests.model.direction_templates import TEMPLATES, sentences
from tests.model.directions_score import Score, score
from tests.model.made_camera_moves import random_case

LISTS = ("HELD_ASIDE", "SECOND_ASIDE", "THIRD_ASIDE", "FOURTH_ASIDE", "FIFTH_ASIDE")
OPPOSITES = (
    ("The camera pans left.", "The camera pans right."),
    ("The camera tilts up.", "The camera tilts down."),
    ("The camera zooms in.", "The camera zooms out."),
    ("The camera dollies in.", "The camera dollies out."),
)


def captions(cases: int, seed: int) -> Score:
    total = Score()
    for number in range(cases):
        made = random_case(np.random.default_rng((seed, number)))
        text = camera_text(made.moves, made.duration_s, made.track)
        told = directions_of_moves(move_rows(made.moves, made.track), made.duration_s).camera
        handheld = any(move.kind == "handheld" for move in told)
        # Between its moves a hand does not hold still: the captioner leaves that out.
        expected = {(move.label, move.start) for move in told if not (handheld and move.kind == "static")}
        total.count(text, [label for label, _ in expected], parse_directions(text))
    return total


def shown(name: str, counted: Score, wrong: bool) -> None:
    facing = f", orientation {counted.facing_right} of {counted.sentences}" if counted.sentences else ""
    print(
        f"{name}: {counted.found} found, {counted.false} false, {counted.missed} missed: "
        f"precision {counted.precision:.3f}, recall {counted.recall:.3f}, F1 {counted.f1:.3f}{facing}"
    )
    for line in counted.wrong if wrong else ():
        print(f"    {line}")


def enhancer(prompts: list[str], seed: int) -> None:
    lost = long = contradicted = filled = 0
    for number, prompt in enumerate(prompts):
        made = random_case(np.random.default_rng((seed, number)))
        directions = directions_of_moves(move_rows(made.moves, made.track), made.duration_s)
        text = camera_text(made.moves, made.duration_s, made.track)
        motion = MotionStatement("a full-body shot", "a person", ("walking",), camera=text, directions=directions)
        result = enhance(prompt, motion)
        lost += bool(
            missing_words(prompt, result.prompt) or Counter(words_of(prompt)) - Counter(words_of(result.prompt))
        )
        long += len(words_of(result.prompt)) > max(MOST_WORDS, len(words_of(prompt)))
        filled += any(change.slot == "camera" for change in result.changes)
        known = set(parse_directions(prompt).labels()) | set(parse_directions(text).labels())
        contradicted += not set(parse_directions(result.prompt).labels()) <= known
    words = sum(len(content_words(prompt)) for prompt in prompts)
    print(
        f"enhancer: {len(prompts)} prompts with {words} content words: {lost} prompts lost one, {long} are too long, "
        f"{filled} got the measured camera, {contradicted} say more of the camera than prompt and motion"
    )


def channel() -> None:
    encoder = make_text_encoder()
    for one, other in OPPOSITES:
        pooled = [encoder.encode(text).pooled_D for text in (one, other)]
        features = [torch.from_numpy(direction_features(parse_directions(text), 8)).flatten() for text in (one, other)]
        moves = [
            torch.from_numpy(direction_features(Directions(parse_directions(t).camera), 8)[:, :8]).flatten()
            for t in (one, other)
        ]
        cosine = torch.nn.functional.cosine_similarity
        print(
            f"channel: {one!r} / {other!r}: cosine {cosine(*pooled, dim=0):.3f} pooled ({encoder.name.split('-')[0]}), "
            f"{cosine(*features, dim=0):+.3f} channel, {cosine(*moves, dim=0):+.3f} its rates"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wrong", action="store_true")
    args = parser.parse_args()
    shown(f"captions ({args.cases} clips)", captions(args.cases, args.seed), args.wrong)
    wordings = list(sentences())
    began_s = time.process_time()
    counted = score(wordings)
    per_sentence_ms = (time.process_time() - began_s) / len(wordings) * 1000
    shown(f"templates ({len(TEMPLATES)}, {len(wordings)} wordings)", counted, args.wrong)
    print(f"parsing: {per_sentence_ms:.2f} ms of CPU per sentence")
    for name in LISTS:
        rows = getattr(lists, name)
        shown(f"{name} ({len(rows)} sentences)", score(rows), args.wrong)
    enhancer([text for name in LISTS for text, *_ in getattr(lists, name)], args.seed)
    channel()


if __name__ == "__main__":
    main()
