"""A second opinion on actions from an image-text model (open_clip's): which phrase of the vocabulary fits the pictures.

Zero-shot as Radford et al. 2021 classify, by the cosines between a picture and one sentence per label; only their order
counts. A still picture shows an arm's place and hardly a rhythm, so the opinion moves confidences and adds no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from annotation.actions.vocabulary import VOCABULARY
from annotation.camera_moves import Interval

# A label that fits better than three quarters of the vocabulary gains this share of what it lacks to 1; one that fits
# worse than three quarters loses this share.
_GAIN, _LOSS = 0.3, 0.3
_QUARTER = 0.25
# Movement as such cannot be told from a picture.
_NOT_ASKED = ("pace",)


class ImageText(Protocol):
    """Vectors of length 1, (D,) of a picture (H, W, 3) and (N, D) of N texts."""

    def embed_image(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32]: ...

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class ZeroShot:
    def __init__(self, model: ImageText) -> None:
        self._model = model
        self._labels = [label for label, word in VOCABULARY.items() if word.group not in _NOT_ASKED]
        self._texts_ND: NDArray[np.float32] | None = None

    def weigh(self, pictures: Sequence[tuple[float, NDArray[np.uint8]]], actions: Sequence[Interval]) -> list[Interval]:
        """The actions with confidences moved by what the pictures inside their intervals show; the others as they were.

        pictures: clip time in seconds and RGB.
        """
        asked = [each for each in actions if each.label in self._labels]
        if not asked or not pictures:
            return list(actions)
        if self._texts_ND is None:
            sentences = [f"a photo of a person {VOCABULARY[label].phrase}" for label in self._labels]
            self._texts_ND = self._model.embed_texts(sentences)
        cosines_PN = np.stack([self._model.embed_image(rgb_HWC) for _, rgb_HWC in pictures]) @ self._texts_ND.T
        # Some sentences fit every picture of a clip better than others do: only a label's own rise counts.
        usual_N = np.median(cosines_PN, axis=0) if len(pictures) > 2 else np.zeros(len(self._labels), np.float32)
        weighed = []
        for each in actions:
            inside = [p for p, (pts_s, _) in enumerate(pictures) if each.start_s <= pts_s < each.end_s]
            if each.label not in self._labels or not inside:
                weighed.append(each)
                continue
            spans_clip = len(inside) > len(pictures) / 2
            fit_N = cosines_PN[inside].mean(axis=0) - (0 if spans_clip else usual_N)
            worse = float((fit_N < fit_N[self._labels.index(each.label)]).mean())
            confidence = each.confidence
            if worse >= 1 - _QUARTER:
                confidence += _GAIN * (1 - confidence)
            elif worse < _QUARTER:
                confidence *= 1 - _LOSS
            weighed.append(replace(each, confidence=round(confidence, 3)))
        return weighed
