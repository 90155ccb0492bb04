"""Public Wan and Wan-Animate transformers in place of our own network: same conditions, same trainer and sampler.

    net = wan_from_folder(folder, "wan_animate", codec, dims)
    state = net.encode(conditions, keep_BG, grid_thw, inputs)      x_hat = net(noisy_BNC, t_B, state)

Wan predicts the velocity v = noise - x at sigma = 1 - t, told as timestep 1000 sigma, on the same straight line as
ours, z = t x + (1 - t) noise. So x = z - sigma v, and our loss, the x error over (1 - t), is its velocity error.

| our group | Wan-Animate | Wan |
|---|---|---|
| reference | its own input: latent slot 0 with mask 1; the CLIP states too, where `inputs` has them | adapter |
| body | its own input: latents of the skeleton picture | adapter on those latents |
| face | its own input: face crops of `inputs`, and an adapter on our features | adapter |
| text | its own input, zeroed projection where our width is not Wan's; adapter for directions | the same |
| hands, camera | adapter | adapter |
| semantic | the last text states | the same |

The adapters are model/dit/wan_adapters.py's. Not used: body joints in three dimensions, joints and limb
colours of the reference, pooled text. Source of the layout: diffusers pipelines/wan/pipeline_wan_animate.py and
models/transformers/transformer_wan*.py.

Axis legend: see model/conditions.py; f h w the latent grid, C latent channels, D width, S face frames (those of the
window). Wan's token grid is (f, h / 2, w / 2): its own patch of 1x2x2 latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.codec.base import Triple, VideoCodec
from model.conditions import GROUPS, Conditions
from model.diffusers_files import diffusers_class, from_folder
from model.dit.config import InputDims, WanConfig, WanKind
from model.dit.wan_adapters import WanAdapters
from model.motion.encoders import where_kept
from model.motion.limb_maps import limb_picture
from schemas.errors import RecipeError

CLASSES: dict[WanKind, str] = {"wan": "WanTransformer3DModel", "wan_animate": "WanAnimateTransformer3DModel"}
IMAGE_TOKENS, MASK_CHANNELS = 257, 4
"""CLIP gives 257 states of a picture; a mask has one channel for each pixel frame of a latent frame."""
TIMESTEPS = 1000.0


@dataclass(frozen=True)
class WanInputs:
    """What Wan can take and our conditions do not hold; None is the null of its public pipeline.

    face_B3SHW: face crops in [-1, 1], square, of the motion encoder's size (512); null: all -1.
    image_BLD: CLIP states of the reference, 257 of 1280; null: zeros.
    known_BCfhw, known_mask_B4fhw: latents of the frames that are given (the segment before, then mid-grey) and 1 for
    every pixel frame that is; null: a grey video's latents, nothing given.
    lead_noise_BC1hw: noise of the reference's slot; null: drawn once from a fixed seed. Wan's own sampler carries the
    slot along; here it lies on the straight line from this noise to the reference.
    """

    face_B3SHW: Tensor | None = None
    image_BLD: Tensor | None = None
    known_BCfhw: Tensor | None = None
    known_mask_B4fhw: Tensor | None = None
    lead_noise_BC1hw: Tensor | None = None


@dataclass(frozen=True)
class WanState:
    """Conditions as Wan takes them; independent of noise and timestep."""

    grid_thw: Triple
    text_BLD: Tensor
    image_BLD: Tensor | None
    pose_BCfhw: Tensor
    face_B3SHW: Tensor | None
    given_BCfhw: Tensor | None
    lead_BC1hw: Tensor | None
    lead_noise_BC1hw: Tensor | None
    added_BDfhw: Tensor


class WanBackbone(nn.Module):
    """A diffusers transformer between our tokens, and zero-initialised adapters for what it lacks."""

    def __init__(self, config: WanConfig, codec: VideoCodec, transformer: Any = None) -> None:
        """The codec makes latents of the skeleton picture; `transformer` is built from the config when not given.

        Raises: RecipeError when codec and transformer do not fit; ResourceError without diffusers.
        """
        super().__init__()
        self.config = config
        self.transformer = transformer or diffusers_class(CLASSES[config.kind])(**config.transformer)
        wan = self.transformer.config
        check_fit(config, wan.in_channels)
        for layer in self.transformer.modules():
            if isinstance(layer, nn.RMSNorm):
                layer.register_forward_pre_hook(in_own_precision)
        self.animate = config.kind == "wan_animate"
        self.takes_given = wan.in_channels == 2 * config.token_dim + MASK_CHANNELS
        rows, columns = wan.patch_size[1:]
        self.adapters = WanAdapters(
            config, wan.num_attention_heads * wan.attention_head_dim, wan.text_dim, (wan.patch_size[0], rows, columns)
        )
        # Not a module: frozen, stored in its own file, shared with the reader of the data.
        self.codec = codec
        self._grey: dict[Triple, Tensor] = {}

    def check_grid(self, grid_thw: Triple) -> None:
        """Raises: RecipeError when the latent grid cannot be cut into Wan's patches."""
        patch_thw = self.adapters.patch_thw
        if any(cells % patch for cells, patch in zip(grid_thw, patch_thw, strict=True)):
            raise RecipeError(f"latent grid {grid_thw} is no multiple of Wan's patch {patch_thw}; change size_px")

    def encode(
        self, conditions: Conditions, keep_BG: Tensor, grid_thw: Triple, inputs: WanInputs | None = None
    ) -> WanState:
        """keep_BG[b, g] False removes all influence of group g on sample b.

        Raises: RecipeError for several real reference pictures (Wan has a place for one), or a grid that it cannot cut.
        """
        self.check_grid(grid_thw)
        given = inputs or WanInputs()
        keep = dict(zip(GROUPS, keep_BG.unbind(dim=1), strict=True))
        images = int(conditions.reference_mask_BK.sum(dim=1).max())
        if images > 1:
            raise RecipeError(f"{images} reference pictures, but a Wan backbone takes one; set data.max_references=1")
        grey = self._grey_latents(grid_thw, conditions.reference_BKNC).expand(len(keep_BG), -1, -1, -1, -1)
        reference = latents_of(conditions.reference_BKNC[:, 0], (1, *grid_thw[1:]))
        reference = where_kept(keep["reference"], reference, grey[:, :, :1])
        pose = self._pose(conditions.body_BTJ3, keep["body"], grid_thw)
        added = self.adapters.added(conditions, keep, reference, pose)
        lead, lead_noise, known = None, None, None
        if self.takes_given:
            latents = grey if given.known_BCfhw is None else given.known_BCfhw
            mask = torch.zeros_like(latents[:, :1]).repeat(1, MASK_CHANNELS, 1, 1, 1)
            mask = mask if given.known_mask_B4fhw is None else given.known_mask_B4fhw
            known = torch.cat((mask, latents), dim=1)
        if self.animate:
            lead = reference
            lead_noise = given.lead_noise_BC1hw
            if lead_noise is None:
                drawn = torch.randn(lead.shape[1:], generator=torch.Generator().manual_seed(0))
                lead_noise = drawn.to(lead).expand_as(lead)
            said = keep["reference"].to(lead).reshape(-1, 1, 1, 1, 1).expand(-1, MASK_CHANNELS, 1, *lead.shape[3:])
            assert known is not None  # check_fit: wan_animate has these channels
            known = torch.cat((torch.cat((said, lead), dim=1), known), dim=2)
            added = torch.cat((torch.zeros_like(added[:, :, :1]), added), dim=2)
        return WanState(
            grid_thw=grid_thw,
            text_BLD=self.adapters.states(conditions, keep),
            image_BLD=self._image(given.image_BLD, keep["reference"]),
            pose_BCfhw=pose,
            face_B3SHW=self._faces(given.face_B3SHW, keep["face"], grid_thw) if self.animate else None,
            given_BCfhw=known,
            lead_BC1hw=lead,
            lead_noise_BC1hw=lead_noise,
            added_BDfhw=added,
        )

    def forward(self, noisy_BNC: Tensor, t_B: Tensor, state: WanState, guidance_B: Tensor | None = None) -> Tensor:
        """Predicted clean tokens. guidance_B is the strength to imitate; only a distilled student takes one."""
        noisy = latents_of(noisy_BNC, state.grid_thw)
        t = t_B.reshape(-1, 1, 1, 1, 1)
        hidden = noisy
        if state.lead_BC1hw is not None and state.lead_noise_BC1hw is not None:
            lead = t * state.lead_BC1hw + (1.0 - t) * state.lead_noise_BC1hw
            hidden = torch.cat((lead, hidden), dim=2)
        if state.given_BCfhw is not None:
            hidden = torch.cat((hidden, state.given_BCfhw), dim=1)
        added = state.added_BDfhw + self.adapters.strength(guidance_B, t_B)
        own = {"pose_hidden_states": state.pose_BCfhw, "face_pixel_values": state.face_B3SHW} if self.animate else {}
        # The patch tokens exist only inside diffusers' forward; a hook adds to them without copying its code.
        hook = self.transformer.patch_embedding.register_forward_hook(lambda _, __, tokens: tokens + added)
        try:
            velocity = self.transformer(
                hidden_states=hidden,
                timestep=TIMESTEPS * (1.0 - t_B),
                encoder_hidden_states=state.text_BLD,
                encoder_hidden_states_image=state.image_BLD,
                return_dict=False,
                **own,
            )[0]
        finally:
            hook.remove()
        clean: Tensor = noisy - (1.0 - t) * velocity[:, :, -state.grid_thw[0] :]
        return clean.flatten(2).transpose(1, 2)

    def _frames(self, grid_thw: Triple) -> int:
        """Pixel frames of a window."""
        return grid_thw[0] * self.config.patch_thw[0] - self.codec.lead_in_frames

    def _encoded(self, rgb_BTHW3: Tensor, grid_thw: Triple) -> Tensor:
        """Latents of pictures, in the codec's own precision also inside a training step's autocast."""
        with torch.no_grad(), torch.autocast(rgb_BTHW3.device.type, enabled=False):
            return latents_of(self.codec.encode(rgb_BTHW3.float()), grid_thw)

    def _size_hw(self, grid_thw: Triple) -> tuple[int, int]:
        return grid_thw[1] * self.config.patch_thw[1], grid_thw[2] * self.config.patch_thw[2]

    def _grey_latents(self, grid_thw: Triple, like: Tensor) -> Tensor:
        """Latents of a grey video, (1, C, f, h, w); made once for each size."""
        if grid_thw not in self._grey:
            grey = torch.zeros(1, self._frames(grid_thw), *self._size_hw(grid_thw), 3, device=like.device)
            self._grey[grid_thw] = self._encoded(grey, grid_thw)
        return self._grey[grid_thw].to(like.device)

    def _pose(self, body_BTJ3: Tensor, keep_B: Tensor, grid_thw: Triple) -> Tensor:
        """Latents of the skeleton picture; a black one where the group is dropped."""
        # The codec wants real frames; what was repeated in front for the first latent frame goes.
        body_BTJ3 = body_BTJ3[:, -self._frames(grid_thw) :]
        body_BTJ3 = where_kept(keep_B, body_BTJ3, torch.zeros_like(body_BTJ3))
        return self._encoded(limb_picture(body_BTJ3, self._size_hw(grid_thw)) * 2.0 - 1.0, grid_thw)

    def _image(self, image_BLD: Tensor | None, keep_B: Tensor) -> Tensor | None:
        """CLIP states, or None for a transformer without a place for them."""
        if self.transformer.condition_embedder.image_embedder is None:
            return None
        nothing = torch.zeros(len(keep_B), IMAGE_TOKENS, self.transformer.config.image_dim, device=keep_B.device)
        return nothing if image_BLD is None else where_kept(keep_B, image_BLD, torch.zeros_like(image_BLD))

    def _faces(self, face_B3SHW: Tensor | None, keep_B: Tensor, grid_thw: Triple) -> Tensor:
        side = self.transformer.config.motion_encoder_size
        nobody = torch.full((len(keep_B), 3, self._frames(grid_thw), side, side), -1.0, device=keep_B.device)
        return nobody if face_B3SHW is None else where_kept(keep_B, face_B3SHW, nobody)


def in_own_precision(layer: nn.RMSNorm, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Norms of queries and keys in fp32 also inside autocast, as in our own network; torch does not mix the two."""
    return (inputs[0].to(layer.weight.dtype),)


def latents_of(tokens_BNC: Tensor, grid_thw: Triple) -> Tensor:
    """(B, N, C) in (t, y, x) order to (B, C, f, h, w)."""
    return tokens_BNC.transpose(1, 2).reshape(len(tokens_BNC), -1, *grid_thw)


def check_fit(config: WanConfig, in_channels: int) -> None:
    """Raises: RecipeError naming the two numbers that do not go together."""
    channels = config.token_dim
    given = 2 * channels + MASK_CHANNELS
    takes = (given,) if config.kind == "wan_animate" else (channels, given)
    if in_channels not in takes:
        raise RecipeError(
            f"backbone {config.kind} takes {in_channels} channels, which does not go with a codec of {channels} "
            "channels; use codec: {name: wan_vae} with the autoencoder that belongs to these weights"
        )


def wan_from_folder(folder: Path, kind: WanKind, codec: VideoCodec, dims: InputDims) -> WanBackbone:
    """Public weights from a local diffusers folder, ready to be trained on.

    Raises: RecipeError when the folder holds another network or does not fit the codec; DataError when its files are
            broken; ResourceError without diffusers.
    """
    transformer: Any = from_folder(CLASSES[kind], folder)
    config = WanConfig(
        kind=kind,
        patch_thw=codec.patch_thw,
        token_dim=codec.token_dim,
        transformer={key: value for key, value in transformer.config.items() if not key.startswith("_")},
        **dims.model_dump(),
    )
    return WanBackbone(config, codec, transformer)
