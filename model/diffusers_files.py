"""Public weights on disk, read through diffusers (docs/decisions/0018). Nothing is ever fetched.

diffusers is the extra `wan`; it is imported only when such weights are asked for, because that takes seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

from torch import nn

from schemas.errors import DataError, RecipeError, ResourceError

CONFIG_FILE = "config.json"
CLASSES = {
    "AutoencoderKLWan": "diffusers.models.autoencoders.autoencoder_kl_wan",
    "WanTransformer3DModel": "diffusers.models.transformers.transformer_wan",
    "WanAnimateTransformer3DModel": "diffusers.models.transformers.transformer_wan_animate",
}


def diffusers_class(name: str) -> Any:
    """One of CLASSES. Raises: ResourceError where diffusers is not installed or is too old to have it."""
    try:
        return getattr(importlib.import_module(CLASSES[name]), name)
    except (ImportError, AttributeError) as error:
        raise ResourceError(f"{name} needs diffusers 0.36 or newer: pip install 'motionloom[wan]' ({error})") from error


def from_folder(name: str, folder: Path) -> nn.Module:
    """The network of a local diffusers folder (config.json and safetensors), in float32 and evaluation mode.

    Raises: RecipeError when the folder holds no such network; ResourceError without diffusers; DataError when its
            files are broken.
    """
    config = folder / CONFIG_FILE
    if not config.is_file():
        raise RecipeError(f"{folder} is no diffusers folder of {name}: it has no {CONFIG_FILE}")
    try:
        found = json.loads(config.read_text(encoding="utf-8")).get("_class_name")
    except ValueError as error:
        raise DataError(f"{config} is no JSON ({error}); copy the folder again") from error
    if found != name:
        raise RecipeError(f"{config} is of a {found}, expected {name}; give the folder that holds it")
    kind = diffusers_class(name)
    if importlib.util.find_spec("accelerate") is None:
        raise ResourceError(f"{name} is read with accelerate: pip install 'motionloom[wan]'")
    try:
        net: nn.Module = kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).split("\n")[0]
        raise DataError(f"{folder}: the weights of {name} cannot be read ({first_line})") from error
    return net.eval()
