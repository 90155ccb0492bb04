"""Takes: one performance seen by several cameras. Its views must end up on the same side of a split."""

from __future__ import annotations

import hashlib
from typing import Literal

Split = Literal["train", "val"]


def split_key(take_id: str | None, video_id: str) -> str:
    """What a splitter must not tear apart: the take, or the video where no take is stated.

    The two kinds of names cannot meet: a video id is hexadecimal, a take is prefixed.
    """
    return f"take:{take_id}" if take_id else video_id


def split_of(key: str, val_share: float = 0.1) -> Split:
    """Train or validation, by a hash of the split key alone: the same in every run, whatever else is in the corpus.

    val_share: expected share of the keys in validation; raising it moves keys from train to val and none back.
    """
    place = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
    return "val" if place < val_share else "train"
