"""What the face encoder lets through of who the driver is: a linear probe on its latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.motion_inputs import face_shape, motion_inputs
from model.data.reader import Clips
from model.data.windows import lead_in_rows
from model.dit.net import VideoDit
from model.generate import window_grid
from model.store import LoadedModel
from schemas.errors import RecipeError

Float = NDArray[np.float32]
Rows = dict[str, dict[str, float]]


def leak(model: LoadedModel, clips: Clips, of_subject: Mapping[str, Sequence[int]], seed: int) -> Rows:
    """How often a linear probe tells the subject from a window: learnt on half of every subject's clips, asked on the
    other half, both ways. Clips that share a take lie in the same half."""
    if not isinstance(model.net, VideoDit):
        raise RecipeError(
            f"leak asks our own network; this MODEL is a {type(model.net).__name__}: leave leak out of --only"
        )
    frames, lead_in = model.config.data.frames, model.codec.lead_in_frames
    device = next(model.net.parameters()).device
    inputs: dict[str, list[Float]] = {"face features": [], "landmarks with their own shape": []}
    who, half, clip_of = [], [], []
    for number, name in enumerate(sorted(of_subject)):
        for index in of_subject[name]:
            clip = clips.get(index)
            face = clip.tracks.face
            shapes = face_shape(face.landmarks_3d_TL3, face.head_rotation_T33)
            for start in range(0, len(clip.pts_s_T) - frames + 1, max(1, frames // 2)):
                frame_T = np.arange(start, start + frames)
                motion = motion_inputs(clip.pts_s_T[frame_T], clip.square, model.config.expression_names, clip.tracks)
                if not motion.face_present_T.all():
                    continue
                inputs["face features"].append(motion.face_TF)
                inputs["landmarks with their own shape"].append(shapes[frame_T].reshape(frames, -1))
                who.append(number)
                half.append(int(int(clips.entries[index].key.split("-")[1]) % 8 >= 4))
                clip_of.append(index)
    labels, side, clip_M = np.array(who), np.array(half), np.array(clip_of)
    both = [n for n in np.unique(labels) if {0, 1} == set(side[labels == n].tolist())]
    kept = np.isin(labels, both)
    labels = np.searchsorted(both, labels[kept])
    side, clip_M = side[kept], clip_M[kept]
    features = {name: np.stack(rows)[kept] for name, rows in inputs.items()}
    rows_T = lead_in_rows(frames, lead_in)
    given = torch.from_numpy(features["face features"][:, rows_T]).to(device)
    latents = model.net.face.latents(given, window_grid(model)[0]).float().cpu().numpy()
    features = {"face latents": latents, **features}
    rng = np.random.default_rng((seed, 3))
    # Whole clips change their label, within each half.
    shuffled = labels.copy()
    for value in (0, 1):
        whole = np.unique(clip_M[side == value])
        given_to = dict(zip(whole, rng.permutation(whole), strict=True))
        label_of = {clip: labels[clip_M == clip][0] for clip in whole}
        for clip in whole:
            shuffled[clip_M == clip] = label_of[given_to[clip]]
    chance = 1 / len(both)
    rows = {}
    for name, target in (("face latents", labels), ("face latents, labels shuffled", shuffled),
                         ("face features", labels), ("landmarks with their own shape", labels)):  # fmt: skip
        values = features[name.split(",")[0]].reshape(len(labels), -1)
        hits = [probe(values[side == a], target[side == a], values[side != a], target[side != a]) for a in (0, 1)]
        accuracy = float(np.mean(hits))
        rows[name] = {"accuracy": accuracy, "chance": chance, "above chance": accuracy - chance}
    return rows


def probe(
    values: Float, labels: NDArray[np.int64], asked: Float, answers: NDArray[np.int64], decay: float = 1e-3
) -> float:
    """Multinomial logistic regression on standardised features: share of right answers."""
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-4
    known, unknown = (torch.from_numpy((each - mean) / spread).float() for each in (values, asked))
    target, classes = torch.from_numpy(labels), int(max(labels.max(), answers.max())) + 1
    weights = torch.zeros(known.shape[1] + 1, classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        logits = known @ weights[:-1] + weights[-1]
        loss = torch.nn.functional.cross_entropy(logits, target) + decay * weights[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    found = (unknown @ weights[:-1] + weights[-1]).argmax(dim=1).numpy()
    return float((found == answers).mean())
