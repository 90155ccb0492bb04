"""The second opinion of an image-text model, by a model whose space is one axis per sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from annotation.actions.vocabulary import VOCABULARY
from annotation.camera_moves import Interval
from annotation.zero_shot import ZeroShot

LABELS = [label for label, word in VOCABULARY.items() if word.group != "pace"]


class OneAxisPerSentence:
    """A picture's top left red level is the number of the sentence that fits it best; its neighbours fit less."""

    def __init__(self) -> None:
        self.asked_texts = 0

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked_texts += 1
        assert texts[LABELS.index("clap")] == "a photo of a person clapping"
        return np.eye(len(texts), dtype=np.float32)

    def embed_image(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.roll(np.linspace(1, 0, len(LABELS), dtype=np.float32), int(rgb_HWC[0, 0, 0]))


def picture(best: str) -> NDArray[np.uint8]:
    return np.full((4, 4, 3), LABELS.index(best), np.uint8)


@pytest.mark.parametrize("seconds", [[0.5], [0.5, 1.5, 2.5]])
def test_what_the_pictures_show_gains_and_what_fits_worst_loses(seconds: list[float]) -> None:
    worst = LABELS[LABELS.index("clap") - 1]
    measured = [Interval("clap", 0, 3, 0.6), Interval(worst, 0, 3, 0.6), Interval("moving", 0, 3, 0.6)]
    model = OneAxisPerSentence()
    judge = ZeroShot(model)
    for _ in range(2):
        weighed = {e.label: e.confidence for e in judge.weigh([(s, picture("clap")) for s in seconds], measured)}
    assert weighed == {"clap": 0.72, worst: 0.42, "moving": 0.6}
    assert model.asked_texts == 1


def test_only_pictures_inside_an_interval_speak_of_it() -> None:
    measured = [Interval("clap", 0, 1, 0.6)]
    judge = ZeroShot(OneAxisPerSentence())
    assert judge.weigh([(2.0, picture("clap"))], measured) == measured
    assert judge.weigh([], measured) == measured
    clip = [(0.5, picture("clap")), *((float(s), picture("nod")) for s in range(1, 6))]
    assert judge.weigh(clip, measured)[0].confidence > 0.6
