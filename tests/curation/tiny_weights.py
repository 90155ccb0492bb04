"""Weights in their real file formats, tiny and random. torch and open_clip are imported where they are used: it takes
seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WIDTH = 32
PREPROCESS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3], "interpolation": "bilinear", "resize_mode": "shortest"}
Weights = dict[str, Any]


def tiny_config() -> dict[str, Any]:
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    return {"embed_dim": WIDTH, "vision_cfg": vision, "text_cfg": text}


def random_clip() -> Any:
    import torch
    from open_clip.model import CLIP

    torch.manual_seed(3)
    return CLIP(**tiny_config()).eval()


def save_hub_folder(folder: Path) -> Any:
    """open_clip's hub layout; gives the model that was saved."""
    from safetensors.torch import save_file

    model = random_clip()
    folder.mkdir(parents=True, exist_ok=True)
    document = {"model_cfg": tiny_config(), "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return model


def head_arrays(width: int = WIDTH, seed: int = 5) -> Weights:
    import torch

    generator = torch.Generator().manual_seed(seed)
    sizes = {0: (8, width), 2: (6, 8), 4: (5, 6), 6: (4, 5), 7: (1, 4)}
    arrays = {}
    for index, (outputs, inputs) in sizes.items():
        arrays[f"layers.{index}.weight"] = torch.randn(outputs, inputs, generator=generator)
        arrays[f"layers.{index}.bias"] = torch.randn(outputs, generator=generator)
    return arrays


def save_head(path: Path, arrays: Weights) -> None:
    import torch
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        torch.save(arrays, path)
