"""The reference's looks on the driver: what is seen in the reference is seen in the driver's pose, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from puppet_pictures import puppet_dataset

from model.data.framing import cut_out, scaled
from model.data.motion_inputs import body_inputs
from model.data.reader import Clips, DataRecipe
from model.data.windows import limb_colours, looks_of, to_model_range
from model.motion.limb_maps import BODY_BONES
from model.motion.looks import (
    HEAD_PART,
    LIMBS,
    PARTS,
    TEXELS,
    TORSO,
    dressed,
    facing,
    fitting,
    part_frames,
    textures_of,
    worn,
)  # fmt: skip

SIDE = 64


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
    textures = textures_of(ramp(), body)
    assert textures.shape == (PARTS, 4, TEXELS, TEXELS)
    assert textures[:, 3].all()
    frames, seen = part_frames(body[None, None])
    assert seen.all()
    picture, place = worn(textures[None], frames, (SIDE, SIDE))
    inside = (place.abs() < 1).all(dim=3)[0, 0]
    for part in range(PARTS):
        mask = inside[part]
        assert mask.any()
        assert (picture[0, 0, part, :3, mask] - ramp().permute(2, 0, 1)[:, mask]).abs().max() < 0.02


@pytest.mark.parametrize("turn_rad", [0.0, 0.7, -2.0])
def test_a_moved_turned_and_larger_driver_wears_the_same(turn_rad: float) -> None:
    body = standing()
    moved = body.clone()
    cosine, sine = np.cos(turn_rad), np.sin(turn_rad)
    turn = torch.tensor([[cosine, -sine], [sine, cosine]], dtype=torch.float32) * 1.3
    moved[:, :2] = torch.where(body[:, 2:] > 0, (body[:, :2] - 0.5) @ turn.T + torch.tensor([0.55, 0.45]), body[:, :2])
    textures = textures_of(ramp(), body)[None]
    picture, place = worn(textures, part_frames(moved[None, None])[0], (SIDE, SIDE))
    inside = (place.abs() < 1).all(dim=3)[0, 0]
    cells = ((torch.arange(SIDE) + 0.5) / SIDE).expand(SIDE, SIDE)
    back = (torch.stack((cells, cells.T), dim=-1) - torch.tensor([0.55, 0.45])) @ torch.linalg.inv(turn).T + 0.5
    shown = [part for part in range(PARTS) if inside[part].any()]
    assert len(shown) > PARTS / 2
    for part in shown:
        mask = inside[part]
        assert (picture[0, 0, part, :2, mask].T - (back[mask] * 2 - 1)).abs().max() < 0.02


def test_head_and_torso_are_those_of_a_reference_that_faces_alike() -> None:
    front, behind = standing(), mirrored(standing())
    assert facing(front[None, None]) == pytest.approx(0.73, abs=0.01)
    assert facing(behind[None, None]) == pytest.approx(-0.73, abs=0.01)
    textures = torch.ones(1, 2, PARTS, 4, TEXELS, TEXELS)
    textures[0, 1, :, :3] = -1.0
    faces = torch.tensor([[0.73, -0.73]])
    both = torch.ones(1, 2, dtype=torch.bool)
    seen = fitting(textures, faces, both, torch.tensor([0.73]))
    assert seen[0, [TORSO, HEAD_PART], :3].min() > 0.99
    assert seen[0, [TORSO, HEAD_PART], 3].min() == 1.0
    turned = fitting(textures, faces, both, torch.tensor([-0.73]))
    assert turned[0, [TORSO, HEAD_PART], :3].max() < -0.99
    alone = fitting(textures, faces, torch.tensor([[True, False]]), torch.tensor([-0.73]))
    assert alone[0, [TORSO, HEAD_PART], 3].max() < 0.01
    assert alone[0, : len(LIMBS), 3].min() > 0.15  # an arm is an arm from every side
    assert alone[0, : len(LIMBS), :3].min() == 1.0


def test_what_is_not_seen_is_not_worn() -> None:
    body = standing()
    body[[13, 15], 2] = 0.1
    textures = textures_of(ramp(), body)
    hidden = [LIMBS.index(bone) for bone in ((11, 13), (13, 15))]
    assert not textures[hidden].any()
    assert textures[LIMBS.index((12, 14)), 3].all()
    outside = standing()
    outside[:, 1] += 0.5
    assert not textures_of(ramp(), outside)[LIMBS.index((25, 27)), 3].any()
    nobody = torch.zeros(33, 3)
    assert not textures_of(ramp(), nobody).any()
    assert not facing(nobody[None, None]).any()


def test_without_textures_limbs_have_the_colours_along_them() -> None:
    body = standing()[None, None]
    colours = torch.rand(1, len(BODY_BONES) + 2, 4)
    colours[..., 3] = 1
    nothing = torch.zeros(1, PARTS, 4, TEXELS, TEXELS)
    made = dressed(body, torch.zeros(1, 1, 33, 3), colours, nothing, (SIDE, SIDE))[0, 0]
    knee = made[:, int(0.79 * SIDE), int(0.55 * SIDE)]
    assert torch.allclose(knee[:3], colours[0, BODY_BONES.index((25, 27)), :3], atol=1e-4)
    textures = textures_of(ramp(), standing())[None]
    textured = dressed(body, torch.zeros(1, 1, 33, 3), colours, textures, (SIDE, SIDE))[0, 0]
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
        looks = torch.from_numpy(looks_of(square, body_TJ3[0]))[None]
        truth = to_model_range(clip.seen(np.array([2]), clip.square, SIDE))[0].permute(2, 0, 1)
        body, world = torch.from_numpy(body_TJ3)[None], torch.from_numpy(world_TJ3)[None]

        def off(textures: torch.Tensor) -> float:
            made = dressed(body, world, colours, textures, (SIDE, SIDE))[0, 0]  # noqa: B023
            return float((made[3] * (made[:3] / made[3].clamp_min(1e-3) - truth).abs()).sum() / made[3].sum())  # noqa: B023

        better.append(off(looks) / off(torch.zeros_like(looks)))
    assert np.mean(better) < 0.8
