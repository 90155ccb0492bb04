"""Limb maps, somebody else's limbs, meaning without place: each on joints whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import EXPRESSION_NAMES, dataset
from puppet_pictures import puppet_dataset, tracks_of
from puppets import draw_identity, draw_scene, stretched

from model.data.augment import AugmentRecipe, augmented, limb_ratios, with_limbs, without_joints
from model.data.clips import Clip
from model.data.framing import Square, close_square
from model.data.motion_inputs import MotionInputs, motion_inputs, with_neutral_face
from model.data.reader import Clips, DataRecipe, StageData, WindowReader
from model.data.references import ReferenceRecipe, References, still_of
from model.data.semantic import semantic_motion
from model.data.windows import limb_colours, mean_colours
from model.motion.encoders import FACE_REACH, FACE_STROKES, FaceEncoder, in_face
from model.motion.limb_maps import (
    BODY_BONES,
    BODY_COLOURS_L3,
    BODY_RADII,
    HAND_RADII,
    Painting,
    cover_tokens,
    finger_cover,
    hand_radii,
    limb_cover,
    limb_picture,
    limb_radii,
    nearer,
    over,
    painted_hands,
    plain,
    with_round_head,
)
from model.rng import StepRng

WHO = draw_identity(np.random.default_rng(1))
SCENE = draw_scene(WHO, np.random.default_rng(2))
SQUARE = Square(0, 0, 192)


def motion_inputs_of(scene: object = SCENE) -> MotionInputs:
    tracks = with_neutral_face(*tracks_of(scene))  # type: ignore[arg-type]
    return motion_inputs(tracks.body.pts_s_T, SQUARE, EXPRESSION_NAMES, tracks)


def test_a_limb_is_where_it_runs_and_as_bright_as_it_is_sure() -> None:
    joints = torch.zeros(1, 3, 33, 3)
    joints[..., 11, :2], joints[..., 12, :2] = torch.tensor([0.25, 0.5625]), torch.tensor([0.75, 0.5625])
    joints[0, 0, [11, 12], 2], joints[0, 1, [11, 12], 2], joints[0, 2, [11, 12], 2] = 1.0, 0.6, 0.2
    cover = limb_cover(joints, [(11, 12), (12, 14)], (8, 8))
    assert cover.shape == (1, 3, 2, 8, 8)
    assert cover[0, 0, 0, 4, 2:6].tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert torch.allclose(cover[0, 1, 0], cover[0, 0, 0] * 0.36, atol=1e-6)
    assert not cover[0, 2].any()
    assert not cover[0, 0, 0, :3].any()
    assert not cover[:, :, 1].any()


def test_a_skeleton_picture_has_a_colour_per_bone_and_lines_that_grow_with_it() -> None:
    joints = torch.zeros(1, 2, 33, 3)
    joints[0, 0, 11], joints[0, 0, 13] = torch.tensor([0.25, 0.5, 1.0]), torch.tensor([0.75, 0.5, 0.8])
    small, large = (limb_picture(joints, (size, size)) for size in (128, 512))
    assert torch.allclose(small[0, 0, 64, 64], 0.8 * torch.tensor(BODY_COLOURS_L3[4]) * (1 - 0.5 / 1.5), atol=1e-4)
    assert small[0, 1].abs().max() == 0.0  # nobody seen
    assert small[0, 0, 10].abs().max() == 0.0
    assert float(large.mean()) == pytest.approx(float(small.mean()), rel=1e-3)


def test_cells_of_a_patch_become_its_token() -> None:
    cover = torch.arange(2 * 3 * 4 * 4).reshape(1, 2, 3, 4, 4).float()
    tokens = cover_tokens(cover, (1, 2, 2))
    assert tokens.shape == (1, 4, 2 * 3 * 4)
    assert tokens[0, 1].reshape(2, 3, 2, 2)[1, 2].tolist() == cover[0, 1, 2, :2, 2:].tolist()


def painted(cover: torch.Tensor, colours: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, T, 4, h, w): limbs (B, T, L, h, w) in plain colours (B, L, 4) with weights (B, T, L)."""
    painting = Painting(cover.shape[0], cover.shape[1], (cover.shape[3], cover.shape[4]), cover.device)
    for index in range(cover.shape[2]):
        painting.add(cover[:, :, index], plain(colours[:, index]), weight[..., index])
    return painting.picture()


def test_limbs_take_the_colours_of_the_reference() -> None:
    """A red left and a blue right forearm in the references are a red and a blue forearm in the driver's pose."""
    rgb = np.zeros((32, 32, 3), np.uint8)
    rgb[8:12, :16], rgb[8:12, 16:] = (255, 0, 0), (0, 0, 255)
    body = np.zeros((33, 3), np.float32)
    body[[13, 15]] = [(0.1, 0.3, 1), (0.4, 0.3, 1)]
    body[[14, 16]] = [(0.9, 0.3, 1), (0.6, 0.3, 1)]
    shown = limb_colours(rgb, body[:, :2] * 32, body[:, 2])
    colours = mean_colours([shown, limb_colours(rgb[::-1], body[:, :2], np.zeros(33, np.float32))])
    left, right = BODY_BONES.index((13, 15)), BODY_BONES.index((14, 16))
    assert colours[left].tolist() == [1, -1, -1, 1]
    assert colours[right].tolist() == [-1, -1, 1, 1]
    assert colours[BODY_BONES.index((11, 13))].tolist() == [0, 0, 0, 0]
    driver = torch.zeros(1, 1, 33, 3)
    driver[0, 0, [13, 15]] = torch.tensor([[0.2, 0.8, 1.0], [0.4, 0.8, 1.0]])
    cover = limb_cover(driver, BODY_BONES, (10, 10))
    weight = nearer(torch.zeros(1, 1, 33, 3), BODY_BONES)
    made = painted(cover, torch.from_numpy(colours[: len(BODY_BONES)])[None], weight)
    assert made[0, 0, :, 8, 3].tolist() == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3], abs=0.01)
    assert not made[0, 0, :, :5].any()


def test_the_nearer_limb_hides_the_farther_one() -> None:
    """A red arm half a torso before a blue one; as near as each other they mix."""
    cover = torch.zeros(1, 1, 2, 2, 2)
    cover[0, 0, 0, 0], cover[0, 0, 1, :, 0] = 1.0, 0.5
    colours = torch.tensor([[[1.0, 0, 0, 1], [0, 0, 1, 1]]])
    world = torch.zeros(1, 1, 4, 3)
    bones = [(0, 1), (2, 3)]
    alike = painted(cover, colours, nearer(world, bones))[0, 0]
    assert alike[:, 0, 0].tolist() == pytest.approx([2 / 3, 0, 1 / 3, 1])
    assert alike[:, 1, 0].tolist() == pytest.approx([0, 0, 0.5, 0.5])
    world[0, 0, :2, 2] = -0.5
    hidden = painted(cover, colours, nearer(world, bones))[0, 0]
    assert hidden[:, 0, 0].tolist() == pytest.approx([1, 0, 0, 1], abs=0.03)
    assert torch.allclose(over(alike[None, None], hidden[None, None])[0, 0, :, 0, 0], alike[:, 0, 0])
    assert over(alike[None, None], hidden[None, None])[0, 0, :, 1, 0].tolist() == pytest.approx([0, 0, 0.75, 0.75])


def test_a_head_is_round() -> None:
    body = torch.zeros(1, 1, 33, 3)
    body[0, 0, [0, 7, 8]] = torch.tensor([[0.5, 0.3, 1], [0.6, 0.2, 1], [0.4, 0.1, 0.9]])
    rounded = with_round_head(body)
    assert rounded[0, 0, [0, 7, 8], :2].mean(dim=0).tolist() == pytest.approx([0.5, 0.2])
    assert (rounded[0, 0, 7] - rounded[0, 0, 8])[:2].tolist() == pytest.approx([0.05, 0.025])
    assert torch.equal(rounded[..., 2], body[..., 2])
    assert torch.equal(rounded[:, :, 9:], body[:, :, 9:])


def test_limbs_are_as_thick_as_the_longest_torso_says() -> None:
    """The second frame shows the torso from above, the second sample shows none."""
    body = torch.zeros(2, 2, 33, 3)
    body[0, :, [11, 12, 23, 24]] = torch.tensor([[0.4, 0.2, 1], [0.6, 0.2, 1], [0.4, 0.6, 1], [0.6, 0.6, 1]])
    body[0, 1, [23, 24], 1] = 0.3
    body[:, :, 13], body[:, :, 15] = torch.tensor([0.2, 0.8, 1.0]), torch.tensor([0.8, 0.8, 1.0])
    radii, forearm = limb_radii(body), BODY_BONES.index((13, 15))
    assert radii[0].tolist() == pytest.approx([0.4 * share for share in BODY_RADII])
    assert radii[1].tolist() == [0.0] * len(BODY_BONES)
    thick, line = limb_cover(body, BODY_BONES, (100, 100), radii)[:, 1, forearm]
    assert int((thick[:, 50] == 1).sum()) == 2 * round(100 * 0.4 * BODY_RADII[forearm])
    # Without a torso a line, which fades over one cell, where without radii it does over one and a half.
    soft = limb_cover(body, BODY_BONES, (100, 100))[1, 1, forearm]
    assert torch.allclose(line, (1.5 * soft - 0.5).clamp_min(0), atol=1e-5)


def test_fingers_of_either_hand_are_told_apart() -> None:
    """A left forefinger and a right thumb."""
    cover = torch.zeros(1, 1, 40, 2, 2)
    cover[0, 0, 4:8, 0, 0], cover[0, 0, 20:24, 1, 1] = torch.tensor([0.2, 1.0, 0.5, 0.0]), 0.5
    fingers = finger_cover(cover)[0, 0]
    assert fingers[:, 0, 0].tolist() == [0, 1, 0, 0, 0]
    assert fingers[:, 1, 1].tolist() == [0.5, 0, 0, 0, 0]
    assert not fingers[:, 0, 1].any()


def test_hands_are_painted_as_thick_as_their_palms_say_and_in_their_colours() -> None:
    """A left hand in red whose fingers point up; a right one whose colour nobody saw."""
    hands = torch.zeros(1, 2, 2, 21, 3)
    hands[..., 0, :2] = torch.tensor([0.5, 0.8])
    for joint in range(1, 21):
        finger, along = (joint - 1) // 4, (joint - 1) % 4
        hands[..., joint, 0], hands[..., joint, 1] = 0.3 + 0.1 * finger, 0.6 - 0.1 * along
    hands[..., 9, :2] = torch.tensor([0.5, 0.6])  # a palm of 0.2
    hands[..., 2] = 1.0
    hands[0, :, :, :, 1] = 0.8 - 0.5 * (0.8 - hands[0, :, :, :, 1])  # bowed towards us: it does not get thinner
    shape = torch.zeros(1, 2, 2, 21, 3)
    shape[..., :2] = (hands[..., :2] - hands[:, :, :, :1, :2]) / 0.2
    shape[..., 2] = -(3**0.5) * shape[..., 1]
    told = torch.cat((shape.flatten(3), torch.ones(1, 2, 2, 1)), dim=-1)
    assert torch.linalg.vector_norm(shape[0, 0, 0, 9]) == pytest.approx(1.0)
    assert hand_radii(hands[:, :, 0], told[:, :, 0])[0].tolist() == pytest.approx([0.2 * r for r in HAND_RADII])
    # Of a hand without a shape the palm in the picture is all there is.
    silent = torch.zeros_like(told)
    assert hand_radii(hands[:, :, 0], silent[:, :, 0])[0].tolist() == pytest.approx([0.1 * r for r in HAND_RADII])
    colours = torch.tensor([[[1.0, -1, -1, 1], [-1, -1, 1, 0]]])
    made = painted_hands(hands, told, colours, (100, 100))[0]
    assert made[0, :, 62, 50].tolist() == [1, -1, -1, 1]
    thick = int((made[0, 3, 62, 46:55] == 1).sum())
    assert thick == 2 * round(100 * 0.2 * HAND_RADII[-1])  # middles of pixels that far on either side
    assert not made[0, :, 62, 99].any()
    alone = hands.clone()
    alone[:, :, 0, :, 2] = 0.0
    assert not painted_hands(alone, told, colours, (100, 100)).any()


def test_a_face_is_a_field_around_its_place() -> None:
    place = torch.tensor([[[0.5, 0.25, 0.125, 0, 0, 0, 0]], [[0.5, 0.25, 0.25, 0, 0, 0, 0]]])
    near, where = in_face(place, 8, 8)
    assert near.shape == (2, 1, 8, 8)
    assert (near[0] > 0).sum() < (near[1] > 0).sum() <= 64
    # Cell (4, 1) has its middle at (0.5625, 0.1875): half a radius below and half to the left of the small face's.
    assert where[0, 0, 4, 1, :2].tolist() == pytest.approx([0.5, -0.5])
    assert where[1, 0, 4, 1, :2].tolist() == pytest.approx([0.25, -0.25])
    assert where[..., :2].abs().max() <= FACE_REACH

    encoder = FaceEncoder(2, 9, 4, 16)
    face, present = torch.randn(2, 2, 9), torch.tensor([[True, True], [False, False]])
    keep = torch.tensor([True, True])
    added = encoder.added_field(face, place.expand(2, 2, 7), present, (1, 8, 8), keep).reshape(2, 8, 8, 16)
    assert added[0, 4, 1].any()
    assert not added[0, 4, 7].any()  # more than three radii away
    assert not added[1].any()  # nobody seen
    assert not encoder.added_field(face, place.expand(2, 2, 7), present, (1, 8, 8), ~keep).any()
    strokes = encoder.paint(face, place.expand(2, 2, 7), present, (1, 8, 8), keep)
    assert strokes.shape == (2, 1, FACE_STROKES, 32, 32)
    assert strokes[0, 0, :, 16, 8].any()
    assert not strokes[0, 0, :, 16, 30].any()


def test_a_close_view_knows_colours_beyond_its_edge_and_where_limbs_run(puppets: Path) -> None:
    clips = Clips(puppets, DataRecipe(size_px=64))
    clip, frame = clips.get(0), 3
    seen_s = float(clip.pts_s_T[frame])
    hand = clip.square_of("right_hand", seen_s, seen_s)
    assert hand.side_px < clip.square.side_px / 2
    whole, close = (still_of(clip, frame, view, 64) for view in ("subject", "right_hand"))
    trousers = BODY_BONES.index((23, 25))
    assert whole.limb_colours_L4[trousers, 3] == 1
    assert np.allclose(close.limb_colours_L4, whole.limb_colours_L4)
    tracks = clip.tracks
    near, far = (motion_inputs(clip.pts_s_T[[frame]], square, EXPRESSION_NAMES, tracks) for square in (hand, SQUARE))
    in_px = near.body_TJ3[0, :, :2] * hand.side_px + np.array([hand.left_px, hand.top_px])
    assert np.allclose(in_px, far.body_TJ3[0, :, :2] * 192, atol=0.01)


def test_longer_limbs_point_the_same_way_and_stand_on_the_same_floor() -> None:
    motion = motion_inputs_of()
    longer = with_limbs(motion, {"arms": 1.3, "legs": 1.2, "torso": 1.0})

    def bone(each: MotionInputs, a: int, b: int) -> np.ndarray:  # type: ignore[type-arg]
        return each.body_TJ3[:, b, :2] - each.body_TJ3[:, a, :2]

    assert np.allclose(bone(longer, 11, 13), 1.3 * bone(motion, 11, 13), atol=1e-5)
    assert np.allclose(bone(longer, 24, 26), 1.2 * bone(motion, 24, 26), atol=1e-5)
    assert np.allclose(bone(longer, 11, 23), bone(motion, 11, 23), atol=1e-5)
    floor = motion.body_TJ3[:, 27:29, 1].max(axis=1)
    assert np.allclose(longer.body_TJ3[:, 27:29, 1].max(axis=1), floor, atol=1e-5)
    wrist = longer.body_TJ3[:, 15, :2] - motion.body_TJ3[:, 15, :2]
    moved = longer.hands_T2H3[:, 0, 7, :2] - motion.hands_T2H3[:, 0, 7, :2]
    assert np.allclose(moved, wrist, atol=1e-5)


def test_limb_ratios_tell_stretched_limbs() -> None:
    def ratios(scene: object) -> dict[str, float]:
        body = tracks_of(scene)[0]  # type: ignore[arg-type]
        return limb_ratios(body.joints_px_PTJ2[0], body.conf_PTJ[0])

    front = replace(SCENE, yaw=0.0, action="raising arms")
    usual, long = ratios(front), ratios(replace(front, who=stretched(WHO, 1.25)))
    assert long["arms"] / usual["arms"] == pytest.approx(1.25, abs=0.04)
    assert long["legs"] / usual["legs"] == pytest.approx(1.25, abs=0.04)
    assert limb_ratios(np.zeros((3, 33, 2), np.float32), np.zeros((3, 33), np.float32)) == {}


def test_augmentation_keeps_its_rates_and_its_seed() -> None:
    motion = motion_inputs_of()
    never = AugmentRecipe(limbs=0, missing=0, unsure=0)
    assert augmented(motion, never, np.random.default_rng(0)) == motion
    changed = [
        augmented(motion, AugmentRecipe(limbs=0.5, missing=0, unsure=0), np.random.default_rng(i)) for i in range(60)
    ]
    assert 18 <= sum(each is not motion for each in changed) <= 42
    unsure = augmented(motion, AugmentRecipe(limbs=0, missing=0, unsure=1), np.random.default_rng(0))
    moved = np.abs(unsure.body_TJ3[..., :2] - motion.body_TJ3[..., :2]).max(axis=(0, 2)) > 0
    assert moved.sum() == 11
    assert (unsure.body_TJ3[:, moved, 2] < 0.5).all()
    again = augmented(motion, AugmentRecipe(limbs=0, missing=0, unsure=1), np.random.default_rng(0))
    assert np.array_equal(unsure.body_TJ3, again.body_TJ3)


def test_a_hand_without_its_wrist_is_not_seen() -> None:
    without = without_joints(motion_inputs_of(), np.array([15, 3]))
    assert not without.hands_T2H3[:, 0].any()
    assert without.hands_T2H3[:, 1].any()
    assert not without.body_TJ3[:, 15].any()


def test_meaning_has_no_place_and_no_length() -> None:
    first = semantic_motion(tracks_of(SCENE)[0], 0.8).directions_SF
    elsewhere = replace(SCENE, place=(0.3, 0.8), stature=0.7)
    assert np.allclose(semantic_motion(tracks_of(elsewhere)[0], 0.8).directions_SF, first, atol=1e-5)
    other = replace(SCENE, action="waving" if SCENE.action != "waving" else "walking")
    assert np.abs(semantic_motion(tracks_of(other)[0], 0.8).directions_SF - first).max() > 0.3


def test_close_views_hold_their_part() -> None:
    scene = replace(SCENE, yaw=0.0)
    _, face, hands, _ = tracks_of(scene)
    for view, points in (("face", face.landmarks_px_TL2), ("right_hand", hands.joints_px_T2J2[:, 1])):
        square = close_square(view, (192, 192), face, hands, 0.0, 0.16)  # type: ignore[arg-type]
        assert square is not None
        inside = square.to_crop(points[:3].astype(np.float32))
        assert inside.min() > 0
        assert inside.max() < 1
        assert square.side_px < 110
    behind = replace(SCENE, yaw=np.pi)
    assert close_square("face", (192, 192), *tracks_of(behind)[1:3], 0.0, 0.6) is None


@pytest.fixture(scope="module")
def puppets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return puppet_dataset(tmp_path_factory.mktemp("puppets"), subjects=2, clips=4, frames=16)


def test_references_come_from_the_same_subject_only(puppets: Path) -> None:
    clips = Clips(puppets, DataRecipe(size_px=32))
    stage = StageData.model_validate({"references": {"counts": [0, 0, 1], "other_clip": 1.0}})
    reader = WindowReader(clips, stage, EXPRESSION_NAMES, 0)
    asked: list[str] = []
    original = clips.get

    def get(index: int) -> object:
        asked.append(clips.entries[index].key)
        return original(index)

    clips.get = get  # type: ignore[method-assign, assignment]
    from model.codec.pixel import PixelCodec
    from model.text.encoder import HashedBytesText

    for step in range(8):
        asked.clear()
        batch = reader.batch(StepRng(0, step), PixelCodec(), HashedBytesText(), 1)
        assert {key[:5] for key in asked} == {batch.keys[0][:5]}
        assert set(asked) - {batch.keys[0]}
        assert batch.conditions.reference_mask_BK.all()


def test_a_close_reference_shows_its_part(puppets: Path) -> None:
    """A figure that turns away has no face in some frames: those are no references for a view of the face."""
    clips = Clips(puppets, DataRecipe(size_px=64))
    clip = clips.get(0)
    face = clip.tracks.face
    half = np.arange(len(face.present_T)) < len(face.present_T) // 2
    turned = replace(clip, tracks=replace(clip.tracks, face=replace(face, present_T=face.present_T & half)))
    assert clip.tracks.face.present_T.all()
    assert turned.shows("subject").all()
    assert np.array_equal(turned.shows("face"), half)
    nowhere = replace(clip, tracks=replace(clip.tracks, face=replace(face, present_T=np.zeros_like(half))))
    assert nowhere.shows("face").all()
    draw = References([], ReferenceRecipe(counts=(1.0,), other_clip=0.0, same_view=1.0)).draw
    window = np.arange(3)
    for seed in range(8):
        still = draw(clips.get, turned, window, "face", np.random.default_rng(seed), 64, 1)[0]
        seen = [still_of(turned, frame, "face", 64).rgb_HWC for frame in np.flatnonzero(half)]
        assert any(np.array_equal(still.rgb_HWC, each) for each in seen)


def test_references_of_a_face_come_from_clips_that_show_it(puppets: Path) -> None:
    clips = Clips(puppets, DataRecipe(size_px=64))
    own = [index for index, entry in enumerate(clips.entries) if entry.subject == clips.entries[0].subject]
    assert len(own) > 2
    entries = [
        replace(entry, label_quality={"face_measured_fraction": 0.9 if index == own[-1] else 0.1})
        for index, entry in enumerate(clips.entries)
    ]
    asked: list[int] = []

    def clip_at(index: int) -> Clip:
        asked.append(index)
        return clips.get(index)

    references = References(entries, ReferenceRecipe(counts=(1.0,), other_clip=1.0, same_view=1.0))
    for seed in range(6):
        references.draw(clip_at, clips.get(0), np.arange(3), "face", np.random.default_rng(seed), 64, 1)
    assert set(asked) == {own[-1]}
    asked.clear()
    for seed in range(12):
        references.draw(clip_at, clips.get(0), np.arange(3), "subject", np.random.default_rng(seed), 64, 1)
    assert len(set(asked)) > 1


def test_alone_a_clip_is_its_own_reference(tmp_path: Path) -> None:
    reader = WindowReader(Clips(dataset(tmp_path, n=1, frames=24), DataRecipe(size_px=32)), StageData(), (), 0)
    assert reader._references._same == {}


def test_puppets_are_the_same_twice_and_say_who_they_are(puppets: Path, tmp_path: Path) -> None:
    again = puppet_dataset(tmp_path / "again", subjects=2, clips=4, frames=16)
    assert (again / "index.json").read_bytes() == (puppets / "index.json").read_bytes()
    from schemas.index import load_samples

    assert {entry.subject for entry in load_samples(puppets)} == {"p0000", "p0001"}
