"""A network of about 300 M parameters at 256 px on one GPU: a whole training step, and generation from end to end.

    PYTHONPATH=.:tests python benchmarks/gpu_300m.py [--quick] [--only train|sample] [--batches 8,16,4] [--seconds 110]

Training: `take_step` with Muon, AdamW, clipping and averages on random windows that already lie on the device; the
median of ten steps after two. FLOPs are counted by torch.utils.flop_counter in the forward pass of the uncompiled
network with a dense mask, times 3: matrix products and attention of both streams (masked pairs included), no
recomputation, no optimiser. Model FLOPs utilisation (MFU) is against the datasheet's 989 TFLOP/s (H100 and H200 SXM,
dense bf16) and against an 8192-cubed product measured on the spot.

Generation: `model.generate.animate` under bf16 autocast, the watermark and the H.264 file, for a guided teacher and a
few-step student. Weights are random: what is made is noise, what it costs is real.

Variants are measured as far as --seconds go; what fails says so and the rest goes on. Without a GPU the toy network
at 64 px runs, so that the script itself can be tried.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import gpu_300m_generation as generation
import gpu_300m_parts as parts
import torch


def main() -> None:
    reader = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    reader.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    reader.add_argument("--quick", action="store_true", help="one batch size, 24 frames; about 60 s")
    reader.add_argument("--only", choices=("train", "sample"))
    reader.add_argument("--seconds", type=float, help="no new measurement is begun after this")
    reader.add_argument("--batches", type=lambda text: tuple(int(part) for part in text.split(",")))
    given = reader.parse_args()
    found = given.device == "cuda" or (given.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if found else "cpu")
    size = parts.LARGE if found else parts.TOY
    # What is begun last takes up to 40 s more.
    limit_s = given.seconds or (35.0 if given.quick else 110.0 if found else 80.0)

    def left_s() -> float:
        return limit_s - parts.since_s()

    if found:
        card = torch.cuda.get_device_properties(0)
        parts.say(f"{card.name}, {card.total_memory / 2**30:.0f} GiB, torch {torch.__version__}, random weights")
    else:
        parts.say(f"NO GPU: the toy network at {size.size_px} px on a CPU, torch {torch.__version__}, random weights")
    side = 8192 if found else 512
    peak = parts.tried("product", lambda: parts.product_flops(device, side)) or float("nan")
    parts.say(f"PRODUCT {side} cubed, bf16: {peak / 1e12:.2f} TFLOP/s")
    flops = float("nan")
    if given.only != "sample":
        flops = parts.tried("FLOPs", lambda: parts.window_flops(size, device)) or flops

    def measured(kind: str, what: str, action: Callable[[], None]) -> None:
        if given.only not in (None, kind):
            return
        if left_s() < 0:
            parts.say(f"{what}: left out, the time is over")
            return
        parts.tried(what, action)

    def train(windows: int, variant: parts.Variant, named: bool = False) -> None:
        measured(
            "train",
            f"TRAIN {variant.name}, {windows} windows",
            lambda: parts.train(size, windows, variant, flops, peak, device, named),
        )

    def sample(variant: parts.Variant, frames: tuple[int, ...]) -> None:
        measured(
            "sample",
            f"SAMPLE {variant.name}",
            lambda: generation.sampling(size, variant, frames, device, left_s),
        )

    # The most telling first: what comes late may be left out.
    first, *more = given.batches or size.batches
    train(first, parts.EAGER, named=True)
    sample(parts.EAGER, size.frames[:1] if found else size.frames)
    if found:
        train(first, parts.FLEX, named=True)
        if not given.quick:
            sample(parts.FLEX, size.frames)
            train(first, parts.COMPILED)
            for variant in (parts.FLEX, parts.EAGER):
                for windows in more:
                    train(windows, variant)
    parts.say("done")


if __name__ == "__main__":
    main()
