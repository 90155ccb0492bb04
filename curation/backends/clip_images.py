"""Pictures and texts as vectors of one space: open_clip models from the weights folder. Nothing is downloaded.

Two layouts are known, anywhere below the weights folder:
    open_clip-NAME.safetensors or .pt   NAME is one that open_clip has a configuration for, as in open_clip-ViT-L-14.pt
    FOLDER/open_clip_config.json        open_clip's hub layout, with open_clip_model.safetensors or
                                        open_clip_pytorch_model.bin beside it
Files are read as safetensors or with torch's weights_only: neither runs code from the file.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from schemas.errors import ResourceError
from schemas.weights import CLIP_CONFIG, CLIP_PATTERNS, CLIP_PREFIX, file_stamp, first_match, weights_folder

# The first two of the names that open_clip itself looks for in a folder, in its order.
_FOLDER_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# What damaged, foreign or refused files make torch, safetensors and open_clip raise.
LOAD_ERRORS = (
    OSError, EOFError, ImportError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, StopIteration,
    UnpicklingError, SafetensorError,
)  # fmt: skip


class ClipImages:
    """A loaded model. Vectors are float32 of length 1, so their product is the cosine of the angle between them.

    width: D, the size of a vector. logit_scale: what cosines are multiplied by before a softmax, as in training.
    """

    def __init__(
        self, model: Any, preprocess: Callable[[Any], Any], tokenizer: Callable[[list[str]], Any], width: int
    ) -> None:
        self._model, self._preprocess, self._tokenizer, self.width = model, preprocess, tokenizer, width
        self.logit_scale = float(model.logit_scale.detach().exp().item())
        self._device = model.logit_scale.device

    def embed_image(self, rgb_HWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(D,) of one picture, resized, cropped and normalised as the model's own preprocessing does.

        One picture at a time: sums in a batch depend on its size in their last bits, and a score must not.
        """
        import torch
        from PIL import Image

        with torch.inference_mode():
            pixels = self._preprocess(Image.fromarray(rgb_HWC)).unsqueeze(0).to(self._device)
            vector_D: NDArray[np.float32] = self._model.encode_image(pixels, normalize=True)[0].float().cpu().numpy()
        return vector_D

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) of N texts."""
        import torch

        with torch.inference_mode():
            tokens = self._tokenizer(list(texts)).to(self._device)
            vectors_ND: NDArray[np.float32] = self._model.encode_text(tokens, normalize=True).float().cpu().numpy()
        return vectors_ND


def find_checkpoint(folder: Path | None = None) -> Path | None:
    """The configuration of a hub folder, or a checkpoint file, below the folder (the weights folder for None)."""
    return first_match(CLIP_PATTERNS, folder or weights_folder())


def checkpoint_files(checkpoint: Path) -> tuple[Path, ...]:
    """Every file that the model is made of: configuration and weights, or the one file.

    Raises: ResourceError for a hub folder without weights.
    """
    if checkpoint.name != CLIP_CONFIG:
        return (checkpoint,)
    for name in _FOLDER_WEIGHTS:
        if (checkpoint.parent / name).is_file():
            return checkpoint, checkpoint.parent / name
    raise ResourceError(f"{checkpoint} has no weights beside it: put {' or '.join(_FOLDER_WEIGHTS)} there")


def model_files() -> tuple[Path, ...]:
    """Every file of the weights folder's model; none without one. Raises: ResourceError as `checkpoint_files`."""
    checkpoint = find_checkpoint()
    return () if checkpoint is None else checkpoint_files(checkpoint)


def find_clip() -> ClipImages | None:
    """The model of the weights folder, loaded once per process, on a GPU where torch sees one; None without a file.

    Raises: ResourceError naming the file when it cannot be loaded, or would need a download.
    """
    checkpoint = find_checkpoint()
    if checkpoint is None:
        return None
    return _load(checkpoint, tuple(file_stamp(file) for file in checkpoint_files(checkpoint)))


@functools.lru_cache(maxsize=1)
def _load(checkpoint: Path, stamps: tuple[tuple[str, int, int], ...]) -> ClipImages:
    """stamps: of the files, so that replaced ones are read again. Raises: ResourceError as `find_clip`."""
    try:
        # Only here: the imports take seconds.
        import open_clip
        import torch

        in_folder = checkpoint.name == CLIP_CONFIG
        name = f"local-dir:{checkpoint.parent}" if in_folder else checkpoint.stem.removeprefix(CLIP_PREFIX)
        config = open_clip.get_model_config(name)
        if config is None:
            near = difflib.get_close_matches(name, open_clip.list_models(), n=1)
            hint = f"did you mean {CLIP_PREFIX}{near[0]}{checkpoint.suffix}?" if near else "rename the file"
            raise ResourceError(f"{checkpoint}: open_clip has no model {name}; {hint}")
        _refuse_downloads(checkpoint, name, config["text_cfg"], in_folder)
        model, preprocess = open_clip.create_model_from_pretrained(
            name,
            pretrained=None if in_folder else str(checkpoint),
            device="cuda" if torch.cuda.is_available() else "cpu",
            weights_only=True,
        )
        return ClipImages(model.eval(), preprocess, open_clip.get_tokenizer(name), int(config["embed_dim"]))
    except LOAD_ERRORS as error:
        raise ResourceError(f"{checkpoint} cannot be loaded by open_clip: {load_problem(error)}") from error


def load_problem(error: BaseException) -> str:
    """Why loading failed, in one line. torch's own text on a refused pickle advises to run what is in it."""
    if isinstance(error, UnpicklingError):
        return "it is damaged or holds more than tensors, and code in files is not run; save it as safetensors"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _refuse_downloads(checkpoint: Path, name: str, text_config: dict[str, Any], in_folder: bool) -> None:
    """Raises: ResourceError where open_clip would fetch a text tower or a tokenizer from the network."""
    if "hf_model_name" in text_config:
        raise ResourceError(f"{checkpoint}: its text tower would be downloaded; use a model of open_clip's own towers")
    if not in_folder and ("hf_tokenizer_name" in text_config or "siglip" in name.lower()):
        raise ResourceError(f"{checkpoint}: its tokenizer would be downloaded; give the model's whole hub folder")
