"""Camera moves and orientation from text: our own captions give their labels back, people's wordings are understood."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from builders import camera_track
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.actions.vocabulary import VOCABULARY
from annotation.camera_moves import MOVE_LABELS, Interval
from annotation.camera_text import camera_text
from annotation.camera_travel import move_rows
from annotation.caption import _EXPRESSION_PHRASES, Slots, caption
from model.text.directions import (
    DIRECTION_COLUMNS,
    FAST,
    KIND_AND_SIGN,
    NORMAL,
    SLOW,
    WHIP,
    CameraMove,
    Directions,
    Orientation,
    direction_features,
    directions_of_moves,
)
from model.text.stage_directions import parse_directions
from schemas.errors import SchemaError
from tests.model import held_aside_sentences as lists
from tests.model.direction_templates import TEMPLATES, sentences
from tests.model.directions_score import Score, facing, score
from tests.model.made_camera_moves import AXES, PACES, Case, case, random_case

ONCE_HELD_ASIDE = (
    *lists.HELD_ASIDE, *lists.SECOND_ASIDE, *lists.THIRD_ASIDE, *lists.FOURTH_ASIDE, *lists.FIFTH_ASIDE,
)  # fmt: skip
_COLUMN = {name: column for column, name in enumerate(DIRECTION_COLUMNS)}


def spoken(made: Case) -> str:
    return camera_text(made.moves, made.duration_s, made.track)


def labels_of(made: Case) -> tuple[str, ...]:
    rows = move_rows(made.moves, made.track)
    return tuple(dict.fromkeys(directions_of_moves(rows, made.duration_s, made.track).labels()))


# Our own captions


@pytest.mark.parametrize("label", MOVE_LABELS)
def test_every_label_of_the_contract_comes_back_from_its_sentence(label: str) -> None:
    assert parse_directions(camera_text([Interval(label, 0, 2, 0.9)], 2.0)).labels() == (label,)


def test_moves_at_once_and_in_order_come_back_with_their_times() -> None:
    singles = [label for axis in AXES for label in axis]
    for first, second in itertools.permutations(singles, 2):
        after = parse_directions(spoken(case([[(first, 0.2, "turn")], [(second, 0.2, "turn")]])))
        assert after.labels() == (first, second)
        assert [(move.start, move.end) for move in after.camera] == [(0, 0.5), (0.5, 1)]
        if not any({first, second} == set(axis) for axis in AXES):
            together = parse_directions(spoken(case([[(first, 0.2, "turn"), (second, 0.2, "turn")]])))
            assert sorted(together.labels()) == sorted((first, second))
            assert {(move.start, move.end) for move in together.camera} == {(0, 1)}


@pytest.mark.parametrize(
    ("label", "how"), [(m, h) for axis in (AXES[0], AXES[1], AXES[3]) for m in axis for h in ("travel", "arc")]
)
def test_travels_come_back(label: str, how: str) -> None:
    made = case([[(label, 0.2, how)]])
    (told,) = labels_of(made)
    assert told.split("_")[0] in ("truck", "pedestal", "dolly", "orbit")
    assert parse_directions(spoken(made)).labels() == (told,)


@pytest.mark.parametrize(("pace", "speed"), list(zip(PACES, (SLOW, NORMAL, FAST, WHIP), strict=True)))
def test_paces_come_back(pace: float, speed: float) -> None:
    for label in ("pan_left", "tilt_up", "zoom_in"):
        (move,) = parse_directions(spoken(case([[(label, pace, "turn")]]))).camera
        assert move.speed == speed


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_our_captioner_says_gives_its_labels_back_in_order(seed: int) -> None:
    made = random_case(np.random.default_rng(seed))
    rows = move_rows(made.moves, made.track)
    expected = directions_of_moves(rows, made.duration_s)
    # Between its moves a hand does not hold still: the captioner leaves that out.
    want = {(m.label, round(m.start * made.duration_s / 2)) for m in expected.camera if m.kind != "handheld"}
    if any(each.label == "handheld" for each in made.moves):
        want = {each for each in want if each[0] != "static"}
    got = [m for m in parse_directions(spoken(made)).camera if m.kind != "handheld"]
    assert sorted({m.label for m in got}) == sorted({label for label, _ in want}), spoken(made)
    beats = sorted({beat for _, beat in want})
    assert {(m.label, round(m.start * len(beats))) for m in got} == {(name, beats.index(b)) for name, b in want}, (
        spoken(made)
    )


def test_of_our_captions_only_the_camera_sentence_speaks_of_the_camera() -> None:
    phrases = [word.phrase for word in VOCABULARY.values()] + list(_EXPRESSION_PHRASES.values())
    phrases += ["holding a cup with the left hand", "with both hands in view", "with the right hand in view"]
    for phrase in phrases:
        for scale, camera in (("half_body", ""), ("full_body", "The camera zooms out.")):
            said = caption(Slots("a person", scale, actions=(phrase,), camera=camera))
            assert parse_directions(said).labels() == (("zoom_out",) if camera else ()), said


def test_turns_of_our_captions_are_the_persons_own() -> None:
    for label, expected in (("turn_left", "turn+90"), ("turn_right", "turn-90"), ("spin", "turn~360")):
        said = caption(
            Slots("a person", "full_body", actions=(VOCABULARY[label].phrase,), camera="The camera pans left.")
        )
        assert facing(parse_directions(said).orientation) == expected
    looks = caption(Slots("a person", actions=("looking to the left", "leaning to the right", "raising the left hand")))
    assert facing(parse_directions(looks).orientation) == "-"


# What people write


def test_there_are_enough_sentences() -> None:
    assert len(TEMPLATES) >= 200
    assert len({text for text, _, _ in ONCE_HELD_ASIDE}) >= 200


def test_templates_are_understood_in_every_wording() -> None:
    assert score(sentences()).wrong == []


def test_the_score_counts_what_is_wrong() -> None:
    counted = Score()
    counted.count("x", ["pan_left", "zoom_in"], Directions((CameraMove("pan", -1), CameraMove("tilt", 1))))
    assert (counted.found, counted.false, counted.missed) == (1, 1, 1)
    assert (counted.precision, counted.recall, counted.f1) == (0.5, 0.5, 0.5)


def test_sentences_once_held_aside_stay_above_the_aim() -> None:
    """The parser has been mended for them since: what it made of them at first sight stands in benchmarks/results."""
    counted = score(ONCE_HELD_ASIDE)
    assert counted.f1 >= 0.95
    assert counted.facing_right >= 0.95 * counted.sentences


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("The camera pans left, zooming in at the end.", [("pan_left", 0, 1), ("zoom_in", 2 / 3, 1)]),
        (
            "In the first half the camera pans left, in the second half it tilts up.",
            [("pan_left", 0, 0.5), ("tilt_up", 0.5, 1)],
        ),
        ("After panning left, the camera tilts up.", [("pan_left", 0, 0.5), ("tilt_up", 0.5, 1)]),
        ("The camera tilts up after panning left.", [("pan_left", 0, 0.5), ("tilt_up", 0.5, 1)]),
        ("Before panning left, the camera tilts up.", [("tilt_up", 0, 0.5), ("pan_left", 0.5, 1)]),
        ("She sits, then stands. The camera pans left.", [("pan_left", 0, 1)]),
        ("She waves, then the camera pans left.", [("pan_left", 0.5, 1)]),
        ("The camera pans left and right.", [("pan_left", 0, 0.5), ("pan_right", 0.5, 1)]),
        (
            "The camera pans left. Then it zooms in. Finally it tilts up.",
            [("pan_left", 0, 1 / 3), ("zoom_in", 1 / 3, 2 / 3), ("tilt_up", 2 / 3, 1)],
        ),
    ],
)  # fmt: skip
def test_when_a_move_happens(text: str, spans: list[tuple[str, float, float]]) -> None:
    found = [(move.label, move.start, move.end) for move in parse_directions(text).camera]
    assert [name for name, *_ in found] == [name for name, *_ in spans]
    assert np.allclose([span for _, *span in found], [span for _, *span in spans])


def test_speed_belongs_to_the_clause_that_says_it() -> None:
    slow, fast = (
        parse_directions("A slowly walking man; the camera quickly pans left.").camera,
        parse_directions("The camera slowly zooms in while she runs fast.").camera,
    )
    assert [move.speed for move in (*slow, *fast)] == [FAST, SLOW]


@pytest.mark.parametrize(
    "text",
    [
        "The camera watches her turn left.",
        "The camera follows a woman walking to the right.",
        "The camera shows a man who moves closer.",
        "A hand holds the camera and moves to the left.",
    ],
)
def test_what_the_camera_looks_at_does_not_move_it(text: str) -> None:
    assert parse_directions(text).camera == ()


def test_what_is_ruled_out_is_told() -> None:
    assert parse_directions("The camera pans left without zooming or tilting.").denied == ("tilt", "zoom")
    assert parse_directions("The camera does not pan left.") == Directions(denied=("pan",))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300))
def test_any_string_is_accepted(text: str) -> None:
    directions = parse_directions(text)
    assert np.isfinite(direction_features(directions, 5)).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "the",
                "camera",
                "pans",
                "left",
                ",",
                "then",
                "tilts",
                "up",
                "zooms",
                "in",
                "and",
                ".",
                "while",
                "she",
                "turns",
                "around",
                "not",
                "without",
                "slowly",
                "before",
                "after",
                "facing",
                "from",
                "behind",
                "to",
            ]
        ),
        max_size=25,
    )
)
def test_any_order_of_known_words_is_accepted(words: list[str]) -> None:
    directions = parse_directions(" ".join(words))
    assert all(0 <= move.start < move.end <= 1 and move.label in KIND_AND_SIGN for move in directions.camera)


# The channel


def test_signs_are_the_contracts() -> None:
    for text, column, sign in (
        ("The camera pans right.", "pan", 1), ("The camera pans left.", "pan", -1),
        ("The camera tilts up.", "tilt", 1), ("The camera rolls counter-clockwise.", "roll", -1),
        ("The camera zooms out.", "log_zoom", -1), ("The camera dollies in.", "dolly", 1),
        ("The camera trucks left.", "truck", -1), ("The camera pedestals down.", "pedestal", -1),
        ("The camera orbits to the right.", "orbit", 1),
    ):  # fmt: skip
        values_TF = direction_features(parse_directions(text), 4)
        assert values_TF.dtype == np.float32
        expected = np.zeros(len(DIRECTION_COLUMNS))
        expected[_COLUMN[column]], expected[_COLUMN["camera_stated"]] = sign, 1
        assert np.array_equal(values_TF, np.tile(expected, (4, 1))), text


def test_what_is_not_stated_is_zero() -> None:
    assert not direction_features(parse_directions("A man sings in the rain."), 7).any()


def test_moves_stand_in_their_span_and_a_window_sees_its_part() -> None:
    directions = parse_directions("The camera pans left quickly, then holds still.")
    values_TF = direction_features(directions, 4)
    assert values_TF[:, _COLUMN["pan"]].tolist() == [-FAST, -FAST, 0, 0]
    assert values_TF[:, _COLUMN["static"]].tolist() == [0, 0, 1, 1]
    assert np.array_equal(direction_features(directions, 2, (0.5, 1.0)), values_TF[2:])


def test_a_move_takes_the_static_flag_away() -> None:
    values_TF = direction_features(parse_directions("Static camera, with a slow zoom in at the end."), 6)
    assert values_TF[:, _COLUMN["static"]].tolist() == [1, 1, 1, 1, 0, 0]
    assert values_TF[:, _COLUMN["log_zoom"]].tolist() == [0, 0, 0, 0, SLOW, SLOW]


def yaw_of(text: str, frames: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return direction_features(parse_directions(text), frames)[:, _COLUMN["yaw_sin"] : _COLUMN["turning"] + 1]


def test_yaw_is_told_as_sine_and_cosine() -> None:
    assert np.allclose(yaw_of("A man facing the camera."), [[0, 1, 1, 0, 0]] * 3)
    assert np.allclose(yaw_of("A man in profile facing left."), [[-1, 0, 1, 0, 0]] * 3, atol=1e-6)
    assert np.allclose(yaw_of("A man in profile."), [[0, 0, 1, 0, 0]] * 3, atol=1e-6)


def test_a_turn_passes_between_its_ends() -> None:
    left = yaw_of("She faces the camera and turns 90 degrees to the left.")
    assert np.allclose(left[1], [np.sin(np.pi / 4), np.cos(np.pi / 4), 1, 0.5, 0.5], atol=1e-6)
    assert (np.diff(left[:, 0]) > 0).all()
    # Which way round is not said: through neither side.
    around = yaw_of("A woman seen from behind turns around.", 5)
    assert np.allclose(around[:, 0], 0, atol=1e-6)
    assert (np.diff(around[:, 1]) > 0).all()
    assert np.allclose(around[:, 3:], [[0, 1]] * 5)
    # Only the end is known, so the beginning says nothing.
    assert yaw_of("She turns away from the camera.", 20)[:, 2].tolist() == [0] * 18 + [1] * 2


def test_bad_frames_and_windows_are_refused() -> None:
    with pytest.raises(SchemaError, match="0 frames"):
        direction_features(Directions(), 0)
    with pytest.raises(SchemaError, match="start < end"):
        direction_features(Directions(), 4, (0.5, 0.5))


# From labels


def test_labels_say_what_a_text_would_have_said() -> None:
    rows = [
        {"label": "pan_right", "start_s": 0.0, "end_s": 2.0, "confidence": 0.9},
        {"label": "zoom_in", "start_s": 2.0, "end_s": 4.0, "confidence": 0.1},
        {"label": "static", "start_s": 2.0, "end_s": 5.0, "confidence": 0.8},
    ]
    found = directions_of_moves(rows, 4.0)
    assert found == Directions((CameraMove("pan", 1, NORMAL, 0.0, 0.5), CameraMove("static", 0, NORMAL, 0.5, 1.0)))
    said = parse_directions("The camera pans right, then holds still.")
    assert np.array_equal(direction_features(found, 8), direction_features(said, 8))


def test_a_track_gives_labels_their_speed() -> None:
    track = camera_track(T=16, pan_rad=0.0175, fps=8.0)  # 0.14 rad/s
    rows = [{"label": "pan_right", "start_s": 0.0, "end_s": 2.0, "confidence": 0.9}]
    (move,) = directions_of_moves(rows, 2.0, track).camera
    assert move.speed == pytest.approx(1.0, rel=0.07)  # 15 steps in 16 frames' time
    (twice,) = directions_of_moves(rows, 2.0, camera_track(T=16, pan_rad=0.035, fps=8.0)).camera
    assert twice.speed == pytest.approx(2 * move.speed, rel=1e-4)


def test_bad_labels_are_refused() -> None:
    with pytest.raises(SchemaError, match="pan_lft"):
        directions_of_moves([{"label": "pan_lft", "start_s": 0, "end_s": 1, "confidence": 1}], 2.0)
    with pytest.raises(SchemaError, match="more than 0"):
        directions_of_moves([], 0.0)


def test_an_orientation_without_words_states_nothing() -> None:
    assert not Orientation().stated
