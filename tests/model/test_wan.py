"""Public Wan weights through diffusers, against diffusers itself, on tiny networks with random weights."""

from __future__ import annotations

import dataclasses
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.codec.base import codec_grid
from model.codec.catalog import CODEC_FILE, CodecRecipe, codec_bytes, codec_hash, load_codec, make_codec
from model.codec.pixel import PixelCodec
from model.codec.wan_vae import WanVaeCodec
from model.conditions import GROUPS, Batch, Conditions, keep_mask
from model.data.windows import ReferenceInputs, encode_references
from model.diffusers_files import from_folder
from model.dit.config import InputDims, WanConfig
from model.dit.wan import WanBackbone, WanInputs, wan_from_folder
from model.generate import DrivingMotion, Reference, animate, reference_of
from model.motion.limb_maps import PAINTED_BONES, limb_picture
from model.motion.looks import PARTS, TEXELS
from model.objectives.base import noised, velocity_loss_B
from model.objectives.flow import FlowMatching, FlowRecipe
from model.rng import StepRng
from model.store import TrainedWith, load_model, read_config
from model.text.encoder import HashedBytesText
from model.train.loop import LoopRecipe, Stage, StepReport, run_stages
from model.train.recipes import DistillRecipe, TrainRecipe
from model.train.runs import distil_student, train_teacher
from schemas.errors import DataError, RecipeError, ResourceError
from schemas.recipe import parse_recipe
from tests.builders import body_track, camera_track, clock, dataset, face_track, hands_track

pytest.importorskip("diffusers", reason="needs diffusers (pip install 'motionloom[wan]')")

CHANNELS = 4
NOTHING = (np.zeros((33, 3), np.float32), np.zeros((18, 4), np.float32), np.zeros((12, 4, 12, 12), np.float32))
GRID = (3, 4, 4)
FRAMES, SIZE_PX = 9, 32
DIMS = InputDims(text_dim=6, face_dim=9, hand_dim=7, camera_dim=5, direction_dim=8, semantic_dim=10, semantic_moments=3)
KEYS = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "out_channels": CHANNELS,
    "text_dim": 16,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
ANIMATE_KEYS = {
    "in_channels": 2 * CHANNELS + 4,
    "latent_channels": CHANNELS,
    "image_dim": 16,
    "added_kv_proj_dim": 24,
    "motion_encoder_channel_sizes": {"4": 16, "8": 16, "16": 16},
    "motion_encoder_size": 16,
    "motion_style_dim": 8,
    "motion_dim": 4,
    "motion_encoder_dim": 16,
    "face_encoder_hidden_dim": 16,
    "face_encoder_num_heads": 2,
    "inject_face_latents_blocks": 2,
}


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=CHANNELS, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 0.7, 2.0, 1.0],
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("vae")
    vae.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def codec(vae_folder: Path) -> WanVaeCodec:
    made = make_codec(CodecRecipe(name="wan_vae", weights=vae_folder), torch.zeros(0))
    assert isinstance(made, WanVaeCodec)
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders as a download would lie there: Wan-Animate, and Wan from text."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel
    from diffusers.models.transformers.transformer_wan_animate import WanAnimateTransformer3DModel

    torch.manual_seed(1)
    made = {"wan_animate": WanAnimateTransformer3DModel(**KEYS, **ANIMATE_KEYS)}
    made["wan"] = WanTransformer3DModel(**KEYS, in_channels=CHANNELS)
    out = {}
    for kind, net in made.items():
        out[kind] = tmp_path_factory.mktemp(kind)
        net.save_pretrained(out[kind])
    return out


def video(frames: int = FRAMES, batch: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, frames, SIZE_PX, SIZE_PX, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def conditions(batch: int = 2, seed: int = 1) -> Conditions:
    """Noise of the shapes that a window of FRAMES frames has: 3 repeated frames in front, then the real ones."""
    source = torch.Generator().manual_seed(seed)
    frames = FRAMES + 3

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=source)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(batch, *shape, generator=source)

    return Conditions(
        time_s_BT=torch.arange(frames).expand(batch, frames) / 25.0,
        reference_BKNC=normal(1, GRID[1] * GRID[2], CHANNELS),
        reference_mask_BK=torch.ones(batch, 1, dtype=torch.bool),
        reference_body_BKJ3=uniform(1, 33, 3),
        reference_looks_BKP4UV=uniform(1, PARTS, 4, TEXELS, TEXELS),
        limb_colours_BL4=uniform(len(PAINTED_BONES), 4),
        # Confident enough to be drawn.
        body_BTJ3=uniform(frames, 33, 3) * torch.tensor([1.0, 1.0, 0.5]) + torch.tensor([0.0, 0.0, 0.5]),
        body_world_BTJ3=normal(frames, 33, 3),
        face_BTF=normal(frames, DIMS.face_dim),
        face_place_BT7=uniform(frames, 7),
        face_present_BT=torch.ones(batch, frames, dtype=torch.bool),
        hands_BT2H3=uniform(frames, 2, 21, 3),
        hands_shape_BT2F=normal(frames, 2, DIMS.hand_dim),
        semantic_BSF=normal(DIMS.semantic_moments, DIMS.semantic_dim),
        actions_BD=normal(DIMS.text_dim),
        text_BLD=normal(4, DIMS.text_dim),
        text_mask_BL=torch.ones(batch, 4, dtype=torch.bool),
        text_pooled_BD=normal(DIMS.text_dim),
        directions_BTF=normal(frames, DIMS.direction_dim),
        camera_BTF=normal(frames, DIMS.camera_dim),
    )


def own_text(values: Conditions) -> Conditions:
    """The same with text states of Wan's own width."""
    source = torch.Generator().manual_seed(7)
    states = torch.randn(len(values.text_BLD), 4, 16, generator=source)
    return dataclasses.replace(values, text_BLD=states, actions_BD=states[:, 0])


def latents(tokens_BNC: torch.Tensor, frames: int = GRID[0]) -> torch.Tensor:
    return tokens_BNC.transpose(1, 2).reshape(len(tokens_BNC), CHANNELS, frames, *GRID[1:])


def noisy_tokens(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, GRID[0] * GRID[1] * GRID[2], CHANNELS, generator=torch.Generator().manual_seed(3))


def extras(batch: int = 2) -> WanInputs:
    source = torch.Generator().manual_seed(5)
    return WanInputs(
        face_B3SHW=torch.rand(batch, 3, FRAMES, 16, 16, generator=source) * 2 - 1,
        image_BLD=torch.randn(batch, 257, 16, generator=source),
        lead_noise_BC1hw=torch.randn(batch, CHANNELS, 1, *GRID[1:], generator=source),
    )


# ---- the autoencoder


def test_wan_vae_is_diffusers_own(codec: WanVaeCodec) -> None:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    rgb = video()
    grid = codec_grid(codec, (FRAMES, SIZE_PX, SIZE_PX))
    assert grid == GRID
    tokens = codec.encode(rgb)
    with torch.no_grad():
        posterior: DiagonalGaussianDistribution = codec.vae.encode(rgb.permute(0, 4, 1, 2, 3)).latent_dist
        mean, std = (
            torch.tensor(codec.vae.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std")
        )
        own = (posterior.mode() - mean) / std
        back = codec.vae.decode(own * std + mean).sample.permute(0, 2, 3, 4, 1)
    assert (latents(tokens) - own).abs().max() <= 1e-5
    made = codec.decode(tokens, grid)
    assert made.shape == rgb.shape
    assert (made - back).abs().max() <= 1e-5


def test_wan_vae_takes_4n_plus_1_frames_and_a_still_is_one(codec: WanVaeCodec) -> None:
    with pytest.raises(RecipeError, match=r"frames 8: the codec wan_vae takes 4 n \+ 1 frames, such as 5"):
        codec.encode(video(8))
    with pytest.raises(RecipeError, match="height 36 is not a positive multiple of the codec patch 8"):
        codec_grid(codec, (9, 36, 32))
    picture = (video(1, 1)[0, 0] * 127.5 + 127.5).round().to(torch.uint8).numpy()
    still = encode_references(
        [
            ReferenceInputs(
                picture,
                np.zeros((33, 3), np.float32),
                np.zeros((18, 4), np.float32),
                np.zeros((12, 4, 12, 12), np.float32),
            )
        ],
        codec,
        1,
    ).tokens_1KNC
    assert still.shape == (1, 1, GRID[1] * GRID[2], CHANNELS)
    assert codec.decode(still[:, 0], (1, *GRID[1:])).shape == (1, 1, SIZE_PX, SIZE_PX, 3)


def test_later_frames_do_not_reach_earlier_latents_of_the_wan_vae(codec: WanVaeCodec) -> None:
    rgb = video()
    changed = rgb.clone()
    changed[:, 5:] = 0.0  # the last latent frame
    difference = latents(codec.encode(rgb) - codec.encode(changed)).abs().amax(dim=(0, 1, 3, 4))
    assert difference[:2].tolist() == [0.0, 0.0]
    assert difference[2] > 0


def test_a_model_folder_keeps_the_wan_vae(codec: WanVaeCodec, tmp_path: Path) -> None:
    (tmp_path / CODEC_FILE).write_bytes(codec_bytes(codec))
    again = load_codec(tmp_path, "wan_vae", codec.patch_thw, codec_hash(codec))
    assert torch.equal(again.encode(video()), codec.encode(video()))
    with pytest.raises(RecipeError, match="trained with codec"):
        load_codec(tmp_path, "wan_vae", codec.patch_thw, "0" * 16)


def test_what_is_missing_is_said_in_one_line(
    vae_folder: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RecipeError, match="wan_vae needs weights: the folder that holds it"):
        parse_recipe(CodecRecipe, {"name": "wan_vae"}, "test")
    with pytest.raises(RecipeError, match="channels: fixed by the weights"):
        parse_recipe(CodecRecipe, {"name": "wan_vae", "weights": "x", "channels": 4}, "test")
    with pytest.raises(RecipeError, match=r"is no diffusers folder of AutoencoderKLWan: it has no config\.json"):
        make_codec(CodecRecipe(name="wan_vae", weights=tmp_path), torch.zeros(0))
    with pytest.raises(RecipeError, match="is of a WanTransformer3DModel, expected AutoencoderKLWan"):
        make_codec(CodecRecipe(name="wan_vae", weights=folders["wan"]), torch.zeros(0))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKLWan"}))
    with pytest.raises(DataError, match="the weights of AutoencoderKLWan cannot be read"):
        make_codec(CodecRecipe(name="wan_vae", weights=broken), torch.zeros(0))
    monkeypatch.setitem(sys.modules, "diffusers.models.autoencoders.autoencoder_kl_wan", None)
    with pytest.raises(ResourceError, match=r"pip install 'motionloom\[wan\]'"):
        make_codec(CodecRecipe(name="wan_vae", weights=vae_folder), torch.zeros(0))


# ---- the transformers


def backbone(folders: dict[str, Path], kind: Any, codec: WanVaeCodec, text: int = 16) -> WanBackbone:
    torch.manual_seed(2)
    return wan_from_folder(folders[kind], kind, codec, DIMS.model_copy(update={"text_dim": text})).eval()


@torch.no_grad()
def test_before_training_animate_is_diffusers_own(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    """The call of diffusers' pipeline, written out: noise and reference in slot 0, mask, grey, pose, face, text."""
    net = backbone(folders, "wan_animate", codec)
    values, given, noisy = own_text(conditions()), extras(), noisy_tokens()
    t_B = torch.tensor([0.25, 0.8])
    found = net(noisy, t_B, net.encode(values, keep_mask(2), GRID, given))

    reference = latents(values.reference_BKNC[:, 0], 1)
    t = t_B.view(-1, 1, 1, 1, 1)
    slot = noised(values.reference_BKNC[:, 0], given.lead_noise_BC1hw.flatten(2).transpose(1, 2), t_B)  # type: ignore[union-attr]
    z = torch.cat((latents(slot, 1), latents(noisy)), dim=2)
    grey = latents(codec.encode(torch.zeros(1, FRAMES, SIZE_PX, SIZE_PX, 3))).expand(2, -1, -1, -1, -1)
    mask = torch.zeros(2, 4, GRID[0] + 1, *GRID[1:])
    mask[:, :, 0] = 1.0
    hidden = torch.cat((z, mask, torch.cat((reference, grey), dim=2)), dim=1)
    text = torch.cat((values.text_BLD, torch.zeros(2, 508, 16)), dim=1)
    velocity = net.transformer(
        hidden_states=hidden,
        timestep=1000.0 * (1.0 - t_B),
        encoder_hidden_states=text,
        encoder_hidden_states_image=given.image_BLD,
        pose_hidden_states=latents(codec.encode(limb_picture(values.body_BTJ3[:, 3:], (SIZE_PX, SIZE_PX)) * 2 - 1)),
        face_pixel_values=given.face_B3SHW,
    ).sample
    expected = latents(noisy) - (1 - t) * velocity[:, :, 1:]
    assert velocity.abs().max() > 0.1
    assert (latents(found) - expected).abs().max() <= 1e-4


@torch.no_grad()
def test_before_training_wan_is_diffusers_own(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    net = backbone(folders, "wan", codec)
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    text = torch.cat((values.text_BLD, torch.zeros(2, 508, 16)), dim=1)
    velocity = net.transformer(latents(noisy), 1000.0 * (1.0 - t_B), text).sample
    expected = latents(noisy) - (1 - t_B.view(-1, 1, 1, 1, 1)) * velocity
    assert (latents(net(noisy, t_B, net.encode(values, keep_mask(2), GRID))) - expected).abs().max() <= 1e-4


def test_a_right_velocity_gives_the_clean_tokens_and_no_loss(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    """x = z - (1 - t) v with v = noise - x; an error of v is the loss, at every t."""
    net = backbone(folders, "wan", codec)
    clean, noise, t_B = noisy_tokens(), torch.randn(2, GRID[0] * GRID[1] * GRID[2], CHANNELS), torch.tensor([0.1, 0.9])
    off = 0.3
    velocity = latents(noise - clean) + off

    class Exact(torch.nn.Module):
        patch_embedding = torch.nn.Identity()

        def forward(self, **_: object) -> tuple[torch.Tensor]:
            return (velocity,)

    state = net.encode(own_text(conditions()), keep_mask(2), GRID)
    net.transformer = Exact()
    found = net(noised(clean, noise, t_B), t_B, state)
    assert (found - clean + (1 - t_B)[:, None, None] * off).abs().max() < 1e-6
    assert torch.allclose(velocity_loss_B(found, clean, t_B), torch.full((2,), off**2), atol=1e-5)


def opened(net: WanBackbone) -> WanBackbone:
    """Every weight random, so that each adapter can be noticed."""
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if not name.startswith("transformer."):
                weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))) * 0.3)
    return net


FIELDS = {
    "reference": ("reference_BKNC",),
    "body": ("body_BTJ3",),
    "face": ("face_BTF", "face_place_BT7"),
    "hands": ("hands_shape_BT2F", "hands_BT2H3"),
    "semantic": ("semantic_BSF", "actions_BD"),
    "text": ("text_BLD", "directions_BTF"),
    "camera": ("camera_BTF",),
}


@pytest.mark.parametrize("kind", ["wan", "wan_animate"])
@pytest.mark.parametrize("group", FIELDS)
@torch.no_grad()
def test_every_group_is_heard_and_can_be_dropped(
    folders: dict[str, Path], codec: WanVaeCodec, kind: str, group: str
) -> None:
    net = opened(backbone(folders, kind, codec, text=DIMS.text_dim))
    values, noisy, t_B = conditions(), noisy_tokens(), torch.tensor([0.25, 0.8])
    broken = dataclasses.replace(
        values, **{name: torch.full_like(getattr(values, name), torch.nan) for name in FIELDS[group]}
    )
    other = dataclasses.replace(values, **{name: getattr(values, name).flip(0) for name in FIELDS[group]})
    without = keep_mask(2, [name for name in GROUPS if name != group])
    dropped = net(noisy, t_B, net.encode(values, without, GRID))
    assert torch.equal(dropped, net(noisy, t_B, net.encode(broken, without, GRID)))
    kept = net(noisy, t_B, net.encode(values, keep_mask(2), GRID))
    assert (kept - dropped).abs().max() > 1e-4
    assert (kept - net(noisy, t_B, net.encode(other, keep_mask(2), GRID))).abs().max() > 1e-4


@torch.no_grad()
def test_face_crops_and_clip_states_are_heard(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    net = backbone(folders, "wan_animate", codec)
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    given = extras()
    full = net(noisy, t_B, net.encode(values, keep_mask(2), GRID, given))
    for name in ("face_B3SHW", "image_BLD", "lead_noise_BC1hw"):
        less = net(noisy, t_B, net.encode(values, keep_mask(2), GRID, dataclasses.replace(given, **{name: None})))
        assert (full - less).abs().max() > 1e-5, name


def test_a_built_backbone_takes_the_weights(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    """As a MODEL folder is loaded: from the config and the state, without the public folder."""
    net = opened(backbone(folders, "wan_animate", codec))
    again = WanBackbone(WanConfig.model_validate_json(net.config.model_dump_json()), codec).eval()
    again.load_state_dict(net.state_dict())
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    with torch.no_grad():
        found, expected = (each(noisy, t_B, each.encode(values, keep_mask(2), GRID)) for each in (again, net))
    assert torch.equal(found, expected)


def test_a_student_hears_the_strength(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    teacher = backbone(folders, "wan", codec)
    student = WanBackbone(teacher.config.model_copy(update={"guidance_embedding": True}), codec).eval()
    student.load_state_dict(teacher.state_dict(), strict=False)
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    with torch.no_grad():
        state = student.encode(values, keep_mask(2), GRID)
        strong = student(noisy, t_B, state, torch.tensor([4.0, 4.0]))
        assert torch.equal(strong, teacher(noisy, t_B, teacher.encode(values, keep_mask(2), GRID)))
        opened(student)
        strong, weak = (
            student(noisy, t_B, student.encode(values, keep_mask(2), GRID), torch.full((2,), w)) for w in (4.0, 1.0)
        )
    assert (strong - weak).abs().max() > 1e-4


def test_a_codec_that_does_not_go_with_the_weights_is_refused(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    with pytest.raises(RecipeError, match="takes 12 channels, which does not go with a codec of 384 channels"):
        wan_from_folder(folders["wan_animate"], "wan_animate", PixelCodec((2, 8, 8)), DIMS)
    with pytest.raises(RecipeError, match="is of a WanTransformer3DModel, expected WanAnimateTransformer3DModel"):
        wan_from_folder(folders["wan"], "wan_animate", codec, DIMS)
    net = backbone(folders, "wan", codec)
    with pytest.raises(RecipeError, match="no multiple of Wan's patch"):
        net.encode(conditions(), keep_mask(2), (3, 5, 4))


@torch.no_grad()
def test_one_real_reference_is_taken_and_a_second_refused(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    net = opened(backbone(folders, "wan", codec))
    one = own_text(conditions())
    two = dataclasses.replace(
        one,
        reference_BKNC=torch.cat((one.reference_BKNC, -one.reference_BKNC), dim=1),
        reference_mask_BK=torch.tensor([[True, False], [True, True]]),
    )
    with pytest.raises(RecipeError, match=r"2 reference pictures, but a Wan backbone takes one; set data\.max_ref"):
        net.encode(two, keep_mask(2), GRID)
    masked = dataclasses.replace(two, reference_mask_BK=torch.tensor([[True, False], [True, False]]))
    found, expected = (net.encode(given, keep_mask(2), GRID) for given in (masked, one))
    assert torch.equal(found.added_BDfhw, expected.added_BDfhw)


@dataclasses.dataclass(frozen=True)
class Header(TrainedWith):
    codec_hash: str = "0" * 16
    text_encoder: str = "none"


@pytest.mark.parametrize(
    ("kind", "trains"),
    [("wan", ()), ("wan_animate", ()), ("wan_animate", ("adapters.", "transformer.blocks.1.attn1."))],
)
def test_our_trainer_lowers_the_loss_of_a_fixed_batch(
    folders: dict[str, Path], codec: WanVaeCodec, tmp_path: Path, kind: str, trains: tuple[str, ...]
) -> None:
    net = backbone(folders, kind, codec, text=DIMS.text_dim)
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    tokens = codec.encode(video())
    batch = Batch(tokens, GRID, torch.zeros(tokens.shape[:2]), conditions(), ("a", "b"))
    losses: list[float] = []

    def keep(report: StepReport) -> None:
        losses.append(report.loss)

    class SameDraws(FlowMatching):
        """The same times and noise at every step, so that a falling loss is learning and nothing else."""

        def losses(self, batch: Batch, step: int, rng: StepRng) -> Any:
            return super().losses(batch, 0, StepRng(0, 0))

    objective = SameDraws(net, FlowRecipe(drop_each=0.0, drop={}, drop_motion=0.0, drop_all=0.0))
    run_stages(
        [Stage("flow", 12, 1.0, lambda _: objective, lambda rng: batch, trains)],
        LoopRecipe(batch_size=2, adamw_rate=3e-3, warmup_steps=1, precision="fp32"),
        Header(), tmp_path, keep, torch.device("cpu"),
    )  # fmt: skip
    assert losses[-1] < 0.9 * losses[0]
    moved = {name for name, weight in net.named_parameters() if not torch.equal(weight, before[name])}
    # A zeroed last layer moves first; what lies before it follows once it is open.
    last = ("hands.2", "face.2", "camera.2", "directions.2", "semantic.2", "actions", "text")
    assert {f"adapters.{name}.weight" for name in last} <= moved
    inside = {name for name in moved if name.startswith("transformer.")}
    assert inside
    assert not trains or all(name.startswith(trains) for name in moved)


# ---- the whole chain


def hashed_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.train.runs.make_text_encoder", lambda *_: HashedBytesText())
    monkeypatch.setattr("model.store.make_text_encoder_like", lambda *_: HashedBytesText())


def driving(frames: int) -> DrivingMotion:
    tracks = body_track(frames), face_track(frames), hands_track(frames), camera_track(frames)
    return DrivingMotion((64, 96), clock(frames), *tracks)


def reference() -> Reference:
    return reference_of(np.full((48, 48, 3), 200, np.uint8), body_track(1), face_track(1))


@pytest.mark.slow
def test_our_own_network_trains_and_animates_on_wan_tokens(
    vae_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of 4 n + 1 frames from the shards to the finished clip: the lead-in is nobody else's business."""
    hashed_words(monkeypatch)
    document = {
        "stages": [{"name": "flow", "steps": 2}],
        "data": {"size_px": 32, "frames": 9, "strides": [1]},
        "codec": {"name": "wan_vae", "weights": str(vae_folder)},
        "transformer": {"width": 24, "depth": 1, "heads": 3},
        "loop": {"batch_size": 2},
        "sampling": {"steps": 2, "overlap_frames": 6},
        "samples": 1,
        "threads": 1,
        "device": "cpu",
    }
    shards = dataset(tmp_path / "data", n=2, frames=16)
    train_teacher(shards, tmp_path / "m", parse_recipe(TrainRecipe, document, "tiny"), False, lambda _: None)
    made = animate(tmp_path / "m", [reference()], driving(13), "a square")
    assert made.rgb_THWC.shape == (13, 32, 32, 3)
    assert made.stats.segments == 2  # 9 frames, then 9 of which 5 (4 + 1) are known
    short = {**document, "data": {"size_px": 32, "frames": 8, "strides": [1]}}
    with pytest.raises(RecipeError, match=r"frames 8: the codec wan_vae takes 4 n \+ 1 frames, such as 5"):
        train_teacher(shards, tmp_path / "n", parse_recipe(TrainRecipe, short, "tiny"), False, lambda _: None)


def wan_recipe(vae_folder: Path, weights: Path, kind: str) -> dict[str, Any]:
    return {
        "stages": [{"name": "adapters", "steps": 2, "trains": ["adapters."]}],
        "data": {"size_px": 32, "frames": 9, "strides": [1], "max_references": 1},
        "codec": {"name": "wan_vae", "weights": str(vae_folder)},
        "backbone": {"name": kind, "weights": str(weights)},
        "loop": {"batch_size": 2, "checkpoint_every": 1},
        "sampling": {"steps": 2, "overlap_frames": 5},
        "samples": 0,
        "threads": 1,
        "device": "cpu",
    }


@pytest.mark.slow
def test_a_public_wan_animate_is_trained_kept_and_sampled(
    vae_folder: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed_words(monkeypatch)
    shards, folder = dataset(tmp_path / "data", n=2, frames=16), tmp_path / "m"
    recipe = parse_recipe(TrainRecipe, wan_recipe(vae_folder, folders["wan_animate"], "wan_animate"), "tiny")

    class Killed(Exception):
        pass

    def kill(_: StepReport) -> None:
        raise Killed

    with pytest.raises(Killed):
        train_teacher(shards, folder, recipe, False, kill)
    # Before the first saved step a resumed run begins with the public weights again, not with random ones.
    train_teacher(shards, folder, recipe, True, lambda _: None)
    config = read_config(folder)
    assert isinstance(config.net, WanConfig)
    assert config.sampling.guidance is not None
    assert set(GROUPS) - set(config.sampling.guidance.dropped) == {"reference", "body", "camera"}
    model = load_model(folder, "model.safetensors")
    public = WanBackbone(config.net, model.codec, from_folder("WanAnimateTransformer3DModel", folders["wan_animate"]))
    state, learnt = public.state_dict(), model.net.state_dict()
    kept = [name for name in state if name.startswith("transformer.")]
    assert kept
    assert all(torch.equal(learnt[name], state[name]) for name in kept)
    # Which groups were dropped in two steps is chance; not all were.
    assert any(float(learnt[f"adapters.{name}.2.weight"].abs().max()) > 0 for name in ("hands", "face", "camera"))
    made = animate(model, [reference()], driving(9), "a square")
    assert made.rgb_THWC.shape == (9, 32, 32, 3)
    student = {"stages": [{"objective": "merge", "steps": 1}], "sampler": {"steps": 2}, "samples": 0, "device": "cpu",
               "loop": {"batch_size": 1}, "threads": 1}  # fmt: skip
    distil_student(folder, shards, tmp_path / "s", parse_recipe(DistillRecipe, student, "tiny"), False, lambda _: None)
    quick = animate(tmp_path / "s", [reference()], driving(9), "a square")
    assert quick.stats.evaluations == 2


def test_a_recipe_that_a_wan_backbone_cannot_take_is_refused_before_any_work(tmp_path: Path) -> None:
    document = wan_recipe(tmp_path, tmp_path, "wan")
    for changed, message in (
        ({"transformer": {"width": 24}}, "transformer: fixed by the weights of wan; leave it out"),
        ({"data": {"frames": 9}}, "data.max_references is 3, but wan takes 1 picture"),
        ({"backbone": {"name": "wan"}}, "wan needs weights: the folder that holds it"),
        ({"backbone": {"name": "native", "weights": "x"}}, "native is not read from weights"),
    ):
        with pytest.raises(RecipeError, match=message):
            parse_recipe(TrainRecipe, {**document, **changed}, "test")
    chosen = {**document, "sampling": {"guidance": {"dropped": ["text"]}}}
    assert parse_recipe(TrainRecipe, chosen, "test").guidance.dropped == ("text",)


def test_two_threads_may_encode_at_once(codec: WanVaeCodec) -> None:
    """Batches are read ahead in a thread of their own while the backbone encodes skeletons."""
    videos = [video(seed=seed) for seed in range(8)]
    alone = [codec.encode(each) for each in videos]
    with ThreadPoolExecutor(max_workers=4) as pool:
        together = list(pool.map(codec.encode, videos))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
