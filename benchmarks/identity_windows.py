"""Windows of model_identity.py: puppets that drive, references of others, and what the truth would look like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from puppet_figures import Pictures, part_colours
from puppet_judges import SIZE_PX, Judges, truth_of
from puppet_pictures import backdrop, draw_puppet, scenes_of, tracks_of
from puppets import Identity, Scene, motion_of

from model.conditions import Conditions
from model.data.clips import Clip
from model.data.framing import Square, crop_resized
from model.data.motion_inputs import Tracks, motion_inputs, with_neutral_face
from model.data.reader import Clips, words_of
from model.data.references import still_of
from model.data.retarget import Proportions, driving_square, limb_factors, proportions_in, proportions_of, retargeted
from model.data.semantic import semantic_motion
from model.data.windows import ReferenceInputs, encode_references, window_conditions
from model.motion.encoders import BODY_JOINTS
from model.store import LoadedModel
from schemas.errors import RecipeError

Float = NDArray[np.float32]
Rows = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Still:
    """A reference picture and the limbs of who is on it."""

    inputs: ReferenceInputs
    proportions: Proportions


@dataclass(frozen=True)
class Drive:
    """One window to generate. points_TJ2: px of the picture where the (retargeted) skeleton puts the joints."""

    conditions: Conditions
    square: Square
    points_TJ2: Float


class Held:
    """Clips of --held with the scenes they show."""

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips, self.seed = clips, seed
        self.of_subject: dict[str, list[int]] = {}
        for index, entry in enumerate(clips.entries):
            self.of_subject.setdefault(str(entry.subject), []).append(index)

    @cache  # noqa: B019
    def scene(self, index: int) -> Scene:
        """Raises: RecipeError when the made scene is not the clip's: then --held-seed is wrong."""
        clip, entry = self.clips.get(index), self.clips.entries[index]
        subject, place = int(str(entry.subject)[1:]), int(entry.key.split("-")[1])
        count = len(self.of_subject[str(entry.subject)])
        scene = scenes_of(self.seed, subject, count, len(clip.pts_s_T))[place]
        if not np.allclose(tracks_of(scene)[0].joints_px_PTJ2, clip.tracks.body.joints_px_PTJ2, atol=0.01):
            raise RecipeError(f"--held-seed {self.seed} did not make {entry.key} of {self.clips.dataset}; give its own")
        return scene

    @cache  # noqa: B019
    def headings(self, index: int) -> Float:
        """(T, 2): depth and width of the shoulders' line; (0, 1) faces the camera, (0, -1) turns its back."""
        clip = self.clips.get(index)
        return truth_of(clip, np.arange(len(clip.pts_s_T)), "subject").numbers_TK

    def heading(self, index: int, frame_T: NDArray[np.int64]) -> Float:
        """(2,): the mean over these frames."""
        return np.asarray(self.headings(index)[frame_T].mean(axis=0), np.float32)

    def facing(self, indices: Sequence[int], heading: Float) -> Still:
        """Of these clips the frame whose subject is turned most like `heading`."""
        best, found = -2.0, (indices[0], 0)
        for index in indices:
            likeness_T = self.headings(index) @ heading
            if float(likeness_T.max()) > best + 1e-6:
                best, found = float(likeness_T.max()), (index, int(likeness_T.argmax()))
        return self.still(*found)

    def still(self, index: int, frame: int) -> Still:
        clip, at = self.clips.get(index), slice(frame, frame + 1)
        body = clip.tracks.body
        proportions = proportions_of(body.joints_px_PTJ2[0, at], body.joints_world_m_PTJ3[0, at], body.conf_PTJ[0, at])
        return Still(still_of(clip, frame, "subject", SIZE_PX), proportions)


def drive(
    model: LoadedModel, clip: Clip, filmed: Tracks, frame_T: NDArray[np.int64], stills: Sequence[Still],
    proportions: bool = True,
) -> Drive:  # fmt: skip
    """The window as `animate` would have it: `filmed` in the proportions of the stills, or in its own."""
    known = [still.proportions for still in stills] if proportions else []
    tracks = retargeted(filmed, limb_factors(proportions_in(filmed.body), known))
    square = driving_square(clip.size_hw, filmed, tracks)
    time_s_T = clip.pts_s_T[frame_T]
    conditions = window_conditions(
        motion_inputs(time_s_T, square, model.config.expression_names, tracks), time_s_T,
        encode_references([still.inputs for still in stills], model.codec, model.config.data.max_references),
        semantic_motion(tracks.body, float(time_s_T.min() + time_s_T.max()) / 2), words_of(clip, time_s_T), model.text,
        model.codec.lead_in_frames,
    )  # fmt: skip
    return Drive(conditions, square, points_in(square, tracks, frame_T))


def points_in(square: Square, tracks: Tracks, frame_T: NDArray[np.int64]) -> Float:
    """(T, 19, 2) px of the 64 px picture."""
    return square.to_crop(tracks.body.joints_px_PTJ2[0][frame_T][:, list(BODY_JOINTS)]) * SIZE_PX


def drawn(scene: Scene, who: Identity, frame_T: NDArray[np.int64], square: Square) -> tuple[Pictures, Float]:
    """The truth of `who` doing a scene's motion: pictures (T, 64, 64, 3) and joints (T, 19, 2)."""
    scene = replace(scene, who=who)
    motion = motion_of(scene)
    canvas = backdrop(scene)[frame_T]
    for picture, t in zip(canvas, frame_T, strict=True):
        draw_puppet(picture, scene, motion, int(t))
    tracks = with_neutral_face(*tracks_of(scene, motion))
    return crop_resized(canvas, square, SIZE_PX), points_in(square, tracks, frame_T)


def draw_window(held: Held, model: LoadedModel, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    index, frames = int(rng.integers(len(held.clips.entries))), model.config.data.frames
    stride = int(rng.integers(1, 3))
    start = int(rng.integers(len(held.clips.get(index).pts_s_T) - stride * (frames - 1)))
    return index, start + stride * np.arange(frames)


def other_subject(held: Held, subject: str, rng: np.random.Generator) -> str:
    names = sorted(name for name in held.of_subject if name != subject)
    return names[int(rng.integers(len(names)))]


Make = Callable[[Sequence[Drive]], Pictures]


def colours_of(made: Pictures, points_WTJ2: Sequence[Float]) -> Float:
    """(W, parts, 3)."""
    return np.stack([part_colours(m, p) for m, p in zip(made, points_WTJ2, strict=True)])


def pose_px(judges: Judges, made: Pictures, points_WTJ2: Sequence[Float]) -> float:
    """How far the judge reads the joints from where they should be, of those in the picture."""
    wanted, found = np.stack(points_WTJ2), read_points(judges, made)
    inside = ((wanted > 0) & (wanted < SIZE_PX)).all(axis=-1)
    return float(np.linalg.norm(found - wanted, axis=-1)[inside].mean())


def read_points(judges: Judges, made: Pictures) -> Float:
    points = judges.read("subject", made.reshape(-1, *made.shape[2:]))[0]
    return points.reshape(*made.shape[:2], *points.shape[1:])
