"""The reference's looks on the driver: what is seen in the reference is seen in the driver's pose, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from puppet_pictures import pictures, puppet_dataset, scenes_of, tracks_of
from puppets import SIZE_PX, motion_of

from model.data.framing import Square, cut_out, scaled
from model.data.motion_inputs import body_inputs, face_place, face_place_in
from model.data.reader import Clips, DataRecipe
from model.data.windows import limb_colours, looks_of, to_model_range
from model.motion.limb_maps import BODY_BONES, PAINTED_BONES
from model.motion.looks import (
    FACE,
    HAIR,
    LIMBS,
    PARTS,
    TEXELS,
    TORSO,
    dressed,
    facing,
    fitting,
    textures_of,
    worn,
    worn_frames,
)  # fmt: skip

SIDE = 64
FACE_7 = torch.tensor([0.19, 0.5, 0.03, 0.0, 0.03, 0.03, 0.0])
"""A face that looks at us, on `standing`."""
NO_FACE = torch.zeros(7)


def standing() -> torch.Tensor:
    """(33, 3): somebody who faces the camera with arms hanging, all seen."""
    at = {
        0: (0.5, 0.2), 7: (0.53, 0.19), 8: (0.47, 0.19), 11: (0.58, 0.3), 12: (0.42, 0.3), 13: (0.62, 0.42),
        14: (0.38, 0.42), 15: (0.63, 0.53), 16: (0.37, 0.53), 19: (0.63, 0.56), 20: (0.37, 0.56), 23: (0.55, 0.52),
        24: (0.45, 0.52), 25: (0.55, 0.7), 26: (0.45, 0.7), 27: (0.55, 0.88), 28: (0.45, 0.88), 31: (0.57, 0.92),
        32: (0.43, 0.92),
    }  # fmt: skip
    joints = torch.zeros(33, 3)
    for joint, (x, y) in at.items():
        joints[joint] = torch.tensor([x, y, 1.0])
    return joints


EXACT = [part for part in range(PARTS) if part != HAIR]
"""Parts that are worn where they were sampled; hair is sampled at one place of a head and worn on all of it."""


def mirrored(joints: torch.Tensor) -> torch.Tensor:
    """Seen from behind: left and right change sides."""
    other = joints.clone()
    other[:, 0] = torch.where(joints[:, 2] > 0, 1.0 - joints[:, 0], 0.0)
    return other


def ramp() -> torch.Tensor:
    """(H, W, 3): x, y and a constant, so that a colour tells where it is from."""
    grid = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return torch.stack((grid.expand(SIDE, SIDE), grid[:, None].expand(SIDE, SIDE), torch.full((SIDE, SIDE), 0.5)), -1)


def test_in_its_own_pose_a_part_is_as_the_picture_shows_it() -> None:
    body = standing()
    textures = textures_of(ramp(), body, FACE_7)
    assert textures.shape == (PARTS, 4, TEXELS, TEXELS)
    assert textures[:, 3].all()
    frames, seen = worn_frames(body[None, None], FACE_7[None, None])
    assert seen.all()
    for part in EXACT:
        picture, along, across = worn(textures[None, part], frames[:, :, part], (SIDE, SIDE))
        mask = (torch.maximum(along.abs(), across.abs()) < 1)[0, 0]
        assert mask.any()
        assert (picture[0, 0, :3, mask] - ramp().permute(2, 0, 1)[:, mask]).abs().max() < 0.02


@pytest.mark.parametrize("turn_rad", [0.0, 0.7, -2.0])
def test_a_moved_turned_and_larger_driver_wears_the_same(turn_rad: float) -> None:
    body = standing()
    moved = body.clone()
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float32) * 1.3
    moved[:, :2] = torch.where(body[:, 2:] > 0, (body[:, :2] - 0.5) @ turn.T + torch.tensor([0.55, 0.45]), body[:, :2])
    face = FACE_7.clone()
    face[[1, 0]] = (FACE_7[[1, 0]] - 0.5) @ turn.T + torch.tensor([0.55, 0.45])
    face[3:] = (FACE_7[3:].reshape(2, 2) @ turn.T).flatten()
    textures = textures_of(ramp(), body, FACE_7)[None]
    frames = worn_frames(moved[None, None], face[None, None])[0]
    cells = ((torch.arange(SIDE) + 0.5) / SIDE).expand(SIDE, SIDE)
    back = (torch.stack((cells, cells.T), dim=-1) - torch.tensor([0.55, 0.45])) @ torch.linalg.inv(turn).T + 0.5
    shown = 0
    for part in EXACT:
        picture, along, across = worn(textures[:, part], frames[:, :, part], (SIDE, SIDE))
        mask = (torch.maximum(along.abs(), across.abs()) < 1)[0, 0]
        shown += bool(mask.any())
        if mask.any():
            assert (picture[0, 0, :2, mask].T - (back[mask] * 2 - 1)).abs().max() < 0.02
    assert shown > PARTS / 2


def test_a_torso_is_that_of_a_reference_that_faces_alike() -> None:
    front, behind = standing(), mirrored(standing())
    assert facing(front[None, None]) == pytest.approx(0.73, abs=0.01)
    assert facing(behind[None, None]) == pytest.approx(-0.73, abs=0.01)
    textures = torch.ones(1, 2, PARTS, 4, TEXELS, TEXELS)
    textures[0, 1, :, :3] = -1.0
    faces = torch.tensor([[0.73, -0.73]])
    both = torch.ones(1, 2, dtype=torch.bool)
    seen = fitting(textures, faces, both, torch.tensor([0.73]))
    assert seen[0, TORSO, :3].min() > 0.99
    assert seen[0, TORSO, 3].min() == 1.0
    turned = fitting(textures, faces, both, torch.tensor([-0.73]))
    assert turned[0, TORSO, :3].max() < -0.99
    alone = fitting(textures, faces, torch.tensor([[True, False]]), torch.tensor([-0.73]))
    assert alone[0, TORSO, 3].max() < 0.01
    assert alone[0, : len(LIMBS), 3].min() > 0.15  # an arm is an arm from every side
    assert alone[0, : len(LIMBS), :3].min() == 1.0


def test_what_is_not_seen_is_not_worn() -> None:
    body = standing()
    body[[13, 15], 2] = 0.1
    textures = textures_of(ramp(), body, NO_FACE)
    hidden = [LIMBS.index(bone) for bone in ((11, 13), (13, 15))]
    assert not textures[hidden].any()
    assert textures[LIMBS.index((12, 14)), 3].all()
    outside = standing()
    outside[:, 1] += 0.5
    assert not textures_of(ramp(), outside, NO_FACE)[LIMBS.index((25, 27)), 3].any()
    nobody = torch.zeros(33, 3)
    assert not textures_of(ramp(), nobody, NO_FACE).any()
    assert not facing(nobody[None, None]).any()


def test_without_textures_limbs_have_the_colours_along_them() -> None:
    body = standing()[None, None]
    colours = torch.rand(1, len(BODY_BONES) + 2, 4)
    colours[..., 3] = 1
    nothing = torch.zeros(1, PARTS, 4, TEXELS, TEXELS)
    made = dressed(body, torch.zeros(1, 1, 33, 3), NO_FACE[None, None], colours, nothing, (SIDE, SIDE))[0, 0]
    knee = made[:, int(0.79 * SIDE), int(0.55 * SIDE)]
    assert torch.allclose(knee[:3], colours[0, BODY_BONES.index((25, 27)), :3], atol=1e-4)
    textures = textures_of(ramp(), standing(), NO_FACE)[None]
    textured = dressed(body, torch.zeros(1, 1, 33, 3), NO_FACE[None, None], colours, textures, (SIDE, SIDE))[0, 0]
    assert torch.allclose(textured[:2, int(0.79 * SIDE), int(0.55 * SIDE)], torch.tensor([0.1, 0.58]), atol=0.05)


def test_a_puppet_dressed_in_itself_looks_like_itself(tmp_path: Path) -> None:
    """The first guess in the reference's own pose is nearer to the picture than limbs in plain colours are."""
    folder = tmp_path / "d"
    puppet_dataset(folder, 3, 2, 5, 6)
    clips = Clips(folder, DataRecipe(size_px=SIDE))
    better = []
    for index in range(6):
        clip = clips.get(index)
        time_s = clip.pts_s_T[[2]]
        body_TJ3, world_TJ3 = body_inputs(time_s, clip.square, clip.tracks.body)
        square = cut_out(clip.rgb_THWC[[2]], scaled(clip.square, clip.scale))[0]
        px = (body_TJ3[0, :, :2] * square.shape[0]).astype(np.float32)
        colours = torch.from_numpy(limb_colours(square, px, body_TJ3[0, :, 2]))[None]
        face_7 = face_place_in(clip.square, clip.tracks.face, float(time_s[0]))
        looks = torch.from_numpy(looks_of(square, body_TJ3[0], face_7))[None]
        truth = to_model_range(clip.seen(np.array([2]), clip.square, SIDE))[0].permute(2, 0, 1)
        body, world = torch.from_numpy(body_TJ3)[None], torch.from_numpy(world_TJ3)[None]

        def off(textures: torch.Tensor) -> float:
            made = dressed(body, world, torch.from_numpy(face_7)[None, None], colours, textures, (SIDE, SIDE))[0, 0]  # noqa: B023
            return float((made[3] * (made[:3] / made[3].clamp_min(1e-3) - truth).abs()).sum() / made[3].sum())  # noqa: B023

        better.append(off(looks) / off(torch.zeros_like(looks)))
    assert np.mean(better) < 0.8


def test_a_head_is_hair_from_behind_and_has_a_face_where_the_driver_shows_one() -> None:
    textures = torch.zeros(1, PARTS, 4, TEXELS, TEXELS)
    textures[0, HAIR] = torch.tensor([0.9, -0.9, -0.9, 1.0])[:, None, None]
    colours = torch.zeros(1, len(PAINTED_BONES), 4)
    colours[0, -1] = torch.tensor([0.2, 0.4, 0.6, 1.0])  # only one palm was seen

    def middle_of_head(face: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        body, world = standing()[None, None], torch.zeros(1, 1, 33, 3)
        return dressed(body, world, face[None, None], colours, looks, (SIDE, SIDE))[
            0, 0, :, int(0.19 * SIDE), SIDE // 2
        ]

    assert torch.allclose(middle_of_head(NO_FACE, textures), torch.tensor([0.9, -0.9, -0.9, 1.0]), atol=1e-3)
    # No reference shows a face: it has the colour of the hand. (The head below it keeps a twentieth.)
    assert torch.allclose(middle_of_head(FACE_7, textures), torch.tensor([0.2, 0.4, 0.6, 1.0]), atol=0.1)
    textures[0, FACE] = torch.tensor([-0.5, 0.1, 0.5, 1.0])[:, None, None]
    assert torch.allclose(middle_of_head(FACE_7, textures), torch.tensor([-0.5, 0.1, 0.5, 1.0]), atol=0.1)


def test_one_reference_gives_a_face_not_a_mean_of_all() -> None:
    textures = torch.ones(1, 3, PARTS, 4, TEXELS, TEXELS)
    textures[0, :, FACE, :3] = torch.tensor([-1.0, 1.0, 0.3])[:, None, None, None]
    textures[0, 1, FACE, 3, :6] = 0  # half outside of the picture
    from_behind = fitting(textures, torch.full((1, 3), 0.7), torch.ones(1, 3, dtype=torch.bool), torch.tensor([-0.7]))
    assert (from_behind[0, HAIR, 3] == 1.0).all()  # hair is hair from behind too
    assert (from_behind[0, FACE, 3] < 0.3).all()
    mask = torch.tensor([[False, True, True]])
    fits = fitting(textures, torch.full((1, 3), 0.7), mask, torch.tensor([0.7]))
    assert (fits[0, FACE, :3] == 0.3).all()
    assert (fits[0, FACE, 3] == 1.0).all()


def test_hair_is_found_on_heads_that_look_anywhere() -> None:
    """On 40 puppets, with and without a face in sight, within 30 of 255 of the hair they were drawn with."""
    found = []
    for subject in range(40):
        scene = scenes_of(11, subject, 1, 6)[0]
        motion = motion_of(scene)
        body, face, _, _ = tracks_of(scene, motion)
        whole = Square(0.0, 0.0, float(SIZE_PX))
        at_s = body.pts_s_T[[2]]
        joints_J3 = body_inputs(at_s, whole, body)[0][0]
        textures = looks_of(pictures(scene, motion)[2], joints_J3, face_place_in(whole, face, float(at_s[0])))
        if textures[HAIR, 3].all():
            hair = (textures[HAIR, :3].mean(axis=(1, 2)) + 1) * 127.5
            found.append(np.abs(hair - np.array(scene.who.hair)).max() < 30)
    assert len(found) > 30
    assert np.mean(found) >= 0.85


def test_a_turned_face_is_narrower() -> None:
    landmarks = np.array([[[0.4, 0.4], [0.6, 0.4], [0.4, 0.6], [0.6, 0.6]]], np.float32)
    ahead = face_place(landmarks, np.eye(3, dtype=np.float32)[None])[0]
    radius = np.sqrt(0.02)
    assert ahead == pytest.approx([0.5, 0.5, radius, 0, radius, radius, 0], abs=1e-6)
    yaw = np.array([[[0.5, 0, 0.866], [0, 1, 0], [-0.866, 0, 0.5]]], np.float32)
    narrow = landmarks.copy()
    narrow[..., 0] = 0.5 + (landmarks[..., 0] - 0.5) * 0.5
    turned = face_place(narrow, yaw)[0]
    assert turned[3:] == pytest.approx([0, radius, radius * 0.5, 0], abs=1e-3)


def test_no_face_has_no_place() -> None:
    scene = scenes_of(3, 0, 1, 6)[0]
    _, face, _, _ = tracks_of(scene)
    absent = replace(face, present_T=np.zeros_like(face.present_T))
    whole = Square(0.0, 0.0, float(SIZE_PX))
    assert not face_place_in(whole, absent).any()
    assert not face_place_in(whole, face, 100.0).any()
