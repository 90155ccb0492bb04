"""Counter-based randomness: every random number is a function of (seed, step, slot, purpose), never of history.

A resumed run therefore draws exactly what the unbroken run would have drawn, and the draw of one sample does not
depend on how many processes share the batch.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

WORTH_A_THREAD = 1 << 16
"""Numbers of a sample from which on starting threads takes less time than drawing."""


def seed_from(*parts: int | str) -> int:
    """A 63-bit seed from a tuple of integers and words; equal tuples give equal seeds on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, slots=True)
class StepRng:
    """The random numbers of one training step. `first_slot` is this process's first sample in the global batch."""

    seed: int
    step: int
    first_slot: int = 0

    def numpy(self, slot: int, purpose: str) -> np.random.Generator:
        key = seed_from(self.seed, self.step, self.first_slot + slot, purpose)
        return np.random.Generator(np.random.Philox(key=key))

    def generator(self, slot: int, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(seed_from(self.seed, self.step, self.first_slot + slot, purpose))

    def normal_like(self, values: torch.Tensor, purpose: str) -> torch.Tensor:
        """White noise shaped like `values`, drawn per sample (axis 0) on the CPU so that devices agree."""
        # A GPU would wait for one thread: 16 windows of 256 px are 25 million numbers. Bits do not depend on threads.
        drawn = torch.empty(values.shape, pin_memory=values.device.type == "cuda")

        def draw(slot: int) -> None:
            drawn[slot].normal_(generator=self.generator(slot, purpose))

        threads = min(len(drawn), torch.get_num_threads())
        if threads > 1 and drawn[0].numel() >= WORTH_A_THREAD:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(draw, range(len(drawn))))
        else:
            for slot in range(len(drawn)):
                draw(slot)
        return drawn.to(device=values.device, dtype=values.dtype, non_blocking=True)

    def uniform_B(self, batch: int, purpose: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """`batch` uniform numbers in [0, 1), one per sample."""
        return np.array([self.numpy(slot, purpose).random() for slot in range(batch)], dtype=np.float64)
