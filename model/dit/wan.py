"""Public Wan and Wan-Animate transformers in place of our own network: same conditions, same trainer and sampler.

    net = wan_from_folder(folder, "wan_animate", codec, grid_thw, dims)
    state = net.encode(conditions, keep_BG, inputs)      x_hat = net(noisy_BNC, t_B, state)

Wan predicts the velocity v = noise - x at sigma = 1 - t, told as timestep 1000 sigma, on the same straight line as
ours, z = t x + (1 - t) noise. So x = z - sigma v, and our loss, the x error over (1 - t), is its velocity error.

| our group | Wan-Animate | Wan |
|---|---|---|
| reference | its own input: latent slot 0 with mask 1; the CLIP states too, where `inputs` has them | adapter |
| body | its own input: latents of the skeleton picture | adapter on those latents |
| face | its own input: face crops of `inputs`, and an adapter on our features | adapter |
| text | its own input; through a zeroed projection where our text width is not Wan's | the same |
| hands, camera | adapter | adapter |

Adapters are added to the patch tokens of their latent frame, hands and face around where they are seen. Their last
layer starts at zero, so before training the output is diffusers' own (tests/model/test_wan.py).
Source of the layout: diffusers pipelines/wan/pipeline_wan_animate.py and models/transformers/transformer_wan*.py.

Axis legend: see model/conditions.py; f h w the latent grid, C latent channels, D width, S face frames = 4 (f - 1) + 1.
Wan's token grid is (f, h / 2, w / 2): its own patch of 1x2x2 latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from model.codec.base import Triple, VideoCodec
from model.conditions import GROUPS, Conditions
from model.diffusers_files import diffusers_class, from_folder
from model.dit.net import SINUSOIDS, frequencies
from model.motion.encoders import pair_frames, where_kept
from schemas.errors import RecipeError
from schemas.recipe import StrictModel

Kind = Literal["wan", "wan_animate"]
CLASSES = {"wan": "WanTransformer3DModel", "wan_animate": "WanAnimateTransformer3DModel"}
TEXT_TOKENS, IMAGE_TOKENS, MASK_CHANNELS = 512, 257, 4
"""Wan pads its text with zeros to 512 states (its attention counts on it), CLIP gives 257, a mask has one channel for
each pixel frame of a latent frame."""
TIMESTEPS = 1000.0
HIDDEN = 256
NEAR = 0.12
"""Standard deviation, in picture sides, of the spot that a hand's or a face's features are added to."""


class WanDims(NamedTuple):
    """Widths of our inputs, see NetConfig."""

    text: int
    face: int
    hand: int
    camera: int


class WanConfig(StrictModel):
    """All that is needed to build the network again; `transformer` is diffusers' own config. The first names are those
    of NetConfig."""

    kind: Kind
    grid_thw: Triple
    patch_thw: Triple
    token_dim: int
    text_dim: int
    face_dim: int
    hand_dim: int
    camera_dim: int
    guidance_embedding: bool = False
    learns: Literal["adapters", "attention", "all"] = "adapters"
    """Which weights training changes: ours alone, the self-attention's projections too, or every one."""
    transformer: dict[str, Any]


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

    def __init__(self, config: WanConfig, encode_rgb: Callable[[Tensor], Tensor], transformer: Any = None) -> None:
        """encode_rgb is the codec's encode; `transformer` is built from the config when not given.

        Raises: RecipeError when grid, codec and transformer do not fit; ResourceError without diffusers.
        """
        super().__init__()
        self.config = config
        self.transformer = transformer or diffusers_class(CLASSES[config.kind])(**config.transformer)
        wan = self.transformer.config
        self.animate = config.kind == "wan_animate"
        check_fit(config, wan.patch_size, wan.in_channels)
        self.takes_given = wan.in_channels == 2 * config.token_dim + MASK_CHANNELS
        self.grey_1Cfhw: Tensor
        frames = (config.grid_thw[0] - 1) * config.patch_thw[0] + 1
        sides = [cells * patch for cells, patch in zip(config.grid_thw[1:], config.patch_thw[1:], strict=True)]
        self.frames, self._encode_rgb = frames, encode_rgb
        grey = self._latents(encode_rgb(torch.zeros(1, frames, *sides, 3)), frames=config.grid_thw[0])
        self.register_buffer("grey_1Cfhw", grey, persistent=False)

        width = wan.num_attention_heads * wan.attention_head_dim
        per_frame = config.patch_thw[0]
        self.hands_added = _adapter(config.hand_dim * per_frame, width)
        self.face_added = _adapter(config.face_dim * per_frame, width)
        self.camera_added = _adapter(config.camera_dim * per_frame, width)
        self.text_in = None if config.text_dim == wan.text_dim else _zeroed(nn.Linear(config.text_dim, wan.text_dim))
        self.guidance_added = _adapter(2 * SINUSOIDS, width) if config.guidance_embedding else None
        self.reference_added: nn.Module | None = None
        self.body_added: nn.Module | None = None
        if not self.animate:
            size = tuple(wan.patch_size)
            self.reference_added = _zeroed(nn.Conv3d(config.token_dim, width, size, size))
            self.body_added = _zeroed(nn.Conv3d(config.token_dim, width, size, size))

    @property
    def held_weights(self) -> frozenset[str]:
        """Names of the parameters that training leaves as they are (WanConfig.learns)."""
        learns = self.config.learns
        own = [name for name, _ in self.named_parameters() if name.startswith("transformer.")]
        return frozenset(
            name for name in own if learns == "adapters" or (learns == "attention" and ".attn1." not in name)
        )

    def encode(self, conditions: Conditions, keep_BG: Tensor, inputs: WanInputs | None = None) -> WanState:
        """keep_BG[b, g] False removes all influence of group g on sample b.

        Raises: RecipeError for several reference pictures: Wan has a place for one.
        """
        given = inputs or WanInputs()
        keep = dict(zip(GROUPS, keep_BG.unbind(dim=1), strict=True))
        batch, images = conditions.reference_BKNC.shape[:2]
        if images != 1:
            raise RecipeError(f"{images} reference pictures, but a Wan backbone takes one")
        grey = self.grey_1Cfhw.expand(batch, -1, -1, -1, -1)
        reference = where_kept(keep["reference"], self._latents(conditions.reference_BKNC[:, 0], 1), grey[:, :, :1])
        # The codec wants real frames; what was repeated in front for the first latent frame goes.
        body_map = where_kept(keep["body"], conditions.body_map_BTHW3, torch.zeros_like(conditions.body_map_BTHW3))
        pose = self._latents(self._encode_rgb(body_map[:, -self.frames :] * 2.0 - 1.0), self.config.grid_thw[0])
        added = self._added(conditions, keep, reference, pose)
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
            text_BLD=self._text(conditions, keep["text"]),
            image_BLD=self._image(given.image_BLD, keep["reference"]),
            pose_BCfhw=pose,
            face_B3SHW=self._faces(given.face_B3SHW, keep["face"]) if self.animate else None,
            given_BCfhw=known,
            lead_BC1hw=lead,
            lead_noise_BC1hw=lead_noise,
            added_BDfhw=added,
        )

    def forward(self, noisy_BNC: Tensor, t_B: Tensor, state: WanState, guidance_B: Tensor | None = None) -> Tensor:
        """Predicted clean tokens. guidance_B is the strength to imitate; only a distilled student takes one."""
        frames = self.config.grid_thw[0]
        noisy = self._latents(noisy_BNC, frames)
        t = t_B.reshape(-1, 1, 1, 1, 1)
        hidden = noisy
        if state.lead_BC1hw is not None and state.lead_noise_BC1hw is not None:
            lead = t * state.lead_BC1hw + (1.0 - t) * state.lead_noise_BC1hw
            hidden = torch.cat((lead, hidden), dim=2)
        if state.given_BCfhw is not None:
            hidden = torch.cat((hidden, state.given_BCfhw), dim=1)
        added = state.added_BDfhw
        if self.guidance_added is not None:
            strength = torch.ones_like(t_B) if guidance_B is None else guidance_B
            added = added + self.guidance_added(frequencies(strength / 8.0))[:, :, None, None, None]
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
        clean: Tensor = noisy - (1.0 - t) * velocity[:, :, -frames:]
        return clean.flatten(2).transpose(1, 2)

    def _latents(self, tokens_BNC: Tensor, frames: int) -> Tensor:
        """(B, N, C) in (t, y, x) order to (B, C, f, h, w)."""
        return tokens_BNC.transpose(1, 2).reshape(len(tokens_BNC), -1, frames, *self.config.grid_thw[1:])

    def _text(self, conditions: Conditions, keep_B: Tensor) -> Tensor:
        """States with zeros wherever there is no text, which is how Wan pads its own."""
        seen_BL1 = (conditions.text_mask_BL.bool() & keep_B.unsqueeze(1)).unsqueeze(-1)
        states = conditions.text_BLD if self.text_in is None else self.text_in(conditions.text_BLD)
        states = torch.where(seen_BL1, states, torch.zeros_like(states))[:, :TEXT_TOKENS]
        missing = TEXT_TOKENS - states.shape[1]
        return torch.cat((states, states.new_zeros(len(states), missing, states.shape[2])), dim=1)

    def _image(self, image_BLD: Tensor | None, keep_B: Tensor) -> Tensor | None:
        """CLIP states, or None for a transformer without a place for them."""
        if self.transformer.condition_embedder.image_embedder is None:
            return None
        width = self.transformer.config.image_dim
        nothing = self.grey_1Cfhw.new_zeros(len(keep_B), IMAGE_TOKENS, width)
        return nothing if image_BLD is None else where_kept(keep_B, image_BLD, torch.zeros_like(image_BLD))

    def _faces(self, face_B3SHW: Tensor | None, keep_B: Tensor) -> Tensor:
        side = self.transformer.config.motion_encoder_size
        nobody = self.grey_1Cfhw.new_full((len(keep_B), 3, self.frames, side, side), -1.0)
        return nobody if face_B3SHW is None else where_kept(keep_B, face_B3SHW, nobody)

    def _added(self, conditions: Conditions, keep: dict[str, Tensor], reference: Tensor, pose: Tensor) -> Tensor:
        """What all adapters add to the patch tokens, (B, D, f, h', w')."""
        frames, height, width = self.config.grid_thw
        _, rows, columns = self.transformer.config.patch_size
        grid = (frames, height // rows, width // columns)
        camera = where_kept(keep["camera"], conditions.camera_BTF, torch.zeros_like(conditions.camera_BTF))
        everywhere = self.camera_added(pair_frames(camera, frames))
        everywhere = where_kept(keep["camera"], everywhere, torch.zeros_like(everywhere))
        total = everywhere.transpose(1, 2)[..., None, None].expand(-1, -1, *grid)
        spots = [(self.face_added, "face", conditions.face_BTF, conditions.face_anchor_BT2, conditions.face_present_BT)]
        for side in range(2):
            hand = (conditions.hands_BT2F, conditions.hands_anchor_BT22, conditions.hands_present_BT2)
            features, anchor, present = (values[:, :, side] for values in hand)
            spots.append((self.hands_added, "hands", features, anchor, present))
        for adapter, group, features, anchor, present in spots:
            seen_BT = present.bool() & keep[group].unsqueeze(1)
            values = adapter(pair_frames(torch.where(seen_BT[..., None], features, 0.0), frames))
            near = _nearness(torch.where(seen_BT[..., None], anchor, 0.5), seen_BT, grid)
            total = total + values.transpose(1, 2)[..., None, None] * near.unsqueeze(1)
        if self.reference_added is not None and self.body_added is not None:
            held = self.reference_added(reference)
            total = total + where_kept(keep["reference"], held, torch.zeros_like(held))
            drawn = self.body_added(pose)
            total = total + where_kept(keep["body"], drawn, torch.zeros_like(drawn))
        return total


def _nearness(anchor_BT2: Tensor, seen_BT: Tensor, grid_thw: Triple) -> Tensor:
    """(B, f, h', w'): 1 at the anchor (y, x in [0, 1]), falling off like a Gaussian; 0 in frames without it."""
    frames, rows, columns = grid_thw
    seen = seen_BT.float().reshape(len(seen_BT), frames, -1, 1)
    anchor = (anchor_BT2.reshape(len(anchor_BT2), frames, -1, 2) * seen).sum(2) / seen.sum(2).clamp_min(1.0)
    y = (torch.arange(rows, device=anchor.device) + 0.5) / rows
    x = (torch.arange(columns, device=anchor.device) + 0.5) / columns
    away = (y[:, None] - anchor[..., 0, None, None]).square() + (x[None] - anchor[..., 1, None, None]).square()
    return torch.exp(-away / (2.0 * NEAR**2)) * seen.amax(2).unsqueeze(-1)


def _zeroed(layer: nn.Linear | nn.Conv3d) -> nn.Module:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _adapter(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.SiLU(), _zeroed(nn.Linear(HIDDEN, outputs)))


def check_fit(config: WanConfig, patch_size: tuple[int, int, int], in_channels: int) -> None:
    """Raises: RecipeError naming the two numbers that do not go together."""
    channels, (frames, height, width) = config.token_dim, config.grid_thw
    given = 2 * channels + MASK_CHANNELS
    takes = (given,) if config.kind == "wan_animate" else (channels, given)
    if in_channels not in takes:
        raise RecipeError(
            f"backbone {config.kind} takes {in_channels} channels, which does not go with a codec of {channels} "
            "channels; use codec: {name: wan_vae} with the autoencoder that belongs to these weights"
        )
    if frames % patch_size[0] or height % patch_size[1] or width % patch_size[2]:
        raise RecipeError(f"latent grid {config.grid_thw} is no multiple of Wan's patch {patch_size}; change size_px")


def wan_from_folder(folder: Path, kind: Kind, codec: VideoCodec, grid_thw: Triple, dims: WanDims) -> WanBackbone:
    """Public weights from a local diffusers folder, ready to be trained on.

    Raises: RecipeError when the folder holds another network or does not fit the codec; DataError when its files are
            broken; ResourceError without diffusers.
    """
    transformer: Any = from_folder(CLASSES[kind], folder)
    config = WanConfig(
        kind=kind,
        grid_thw=grid_thw,
        patch_thw=codec.patch_thw,
        token_dim=codec.token_dim,
        text_dim=dims.text,
        face_dim=dims.face,
        hand_dim=dims.hand,
        camera_dim=dims.camera,
        transformer={key: value for key, value in transformer.config.items() if not key.startswith("_")},
    )
    return WanBackbone(config, codec.encode, transformer)
