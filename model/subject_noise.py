"""Less noise where the subject is: samples nearer to what the conditions say, at the price of variety there.

A network that learnt on white noise and is shown less of it takes what deviates from its expectation for less than it
is, so a sample keeps to the mean of what the conditions allow. Of a backdrop that is nobody's wish, of a hand whose
joints are known it is what is asked for. In sampling and in what students are taught, never in learning from data.
Source: sampling at a lower temperature is Kingma & Dhariwal, Glow (2018); a starting deviation that differs from place
to place is Lee et al., PriorGrad (2022), who also train with it.
Axis legend: B batch, N tokens, C numbers of a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from model.backdrop import backdrop_share
from model.codec.base import Triple, patchify
from model.conditions import GROUPS, Conditions
from model.dit.config import NetConfig, WanConfig


def calmed(
    noise_BNC: Tensor,
    deviation: float,
    config: NetConfig | WanConfig,
    conditions: Conditions,
    grid_thw: Triple,
    given: Sequence[str] = GROUPS,
) -> Tensor:
    """The noise times `deviation` where the driver's body and hands are, for codecs of plain pixels.

    given: the groups that there are at all; where the body is must not show when its group is dropped.
    """
    if deviation == 1.0 or not (isinstance(config, NetConfig) and config.pixels):
        return noise_BNC
    body, hands = conditions.body_BTJ3, conditions.hands_BT2H3
    shown = replace(
        conditions,
        body_BTJ3=body if "body" in given else torch.zeros_like(body),
        hands_BT2H3=hands if "hands" in given else torch.zeros_like(hands),
    )
    size_hw = (grid_thw[1] * config.patch_thw[1], grid_thw[2] * config.patch_thw[2])
    share_BTHW1 = backdrop_share(shown, size_hw).permute(0, 1, 3, 4, 2)
    share_BNC = patchify(share_BTHW1.expand(-1, -1, -1, -1, 3), config.patch_thw)
    return noise_BNC * (deviation + (1.0 - deviation) * share_BNC)
