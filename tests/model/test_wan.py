"""Public Wan weights through diffusers, against diffusers itself, on tiny networks with random weights."""

from __future__ import annotations

import dataclasses
import json
import sys
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
from model.data.windows import encode_reference
from model.dit.wan import WanBackbone, WanConfig, WanDims, WanInputs, wan_from_folder
from model.generate import DrivingMotion, animate
from model.objectives.base import noised, velocity_loss_B
from model.objectives.flow import FlowMatching, FlowRecipe
from model.rng import StepRng
from model.store import TrainedWith, read_config
from model.text.encoder import HashedBytesText
from model.train.loop import LoopRecipe, Stage, StepReport, run_stages
from model.train.recipes import TrainRecipe
from model.train.runs import train_teacher
from schemas.errors import DataError, RecipeError, ResourceError
from schemas.recipe import parse_recipe
from tests.builders import body_track, camera_track, clock, dataset, face_track, hands_track

pytest.importorskip("diffusers", reason="needs diffusers (pip install 'motionloom[wan]')")

CHANNELS = 4
GRID = (3, 4, 4)
FRAMES, SIZE_PX = 9, 32
DIMS = WanDims(text=6, face=9, hand=7, camera=5)
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

    seen = torch.ones(batch, frames, dtype=torch.bool)
    return Conditions(
        time_s_BT=torch.arange(frames).expand(batch, frames) / 25.0,
        reference_BKNC=normal(1, GRID[1] * GRID[2], CHANNELS),
        body_map_BTHW3=torch.rand(batch, frames, SIZE_PX, SIZE_PX, 3, generator=source),
        body_BTJ3=normal(frames, 33, 3),
        face_BTF=normal(frames, DIMS.face),
        face_anchor_BT2=torch.rand(batch, frames, 2, generator=source),
        face_present_BT=seen,
        hands_BT2F=normal(frames, 2, DIMS.hand),
        hands_anchor_BT22=torch.rand(batch, frames, 2, 2, generator=source),
        hands_present_BT2=seen.unsqueeze(-1).expand(batch, frames, 2).clone(),
        text_BLD=normal(4, DIMS.text),
        text_mask_BL=torch.ones(batch, 4, dtype=torch.bool),
        text_pooled_BD=normal(DIMS.text),
        camera_BTF=normal(frames, DIMS.camera),
    )


def own_text(values: Conditions) -> Conditions:
    """The same with text states of Wan's own width."""
    source = torch.Generator().manual_seed(7)
    return dataclasses.replace(values, text_BLD=torch.randn(len(values.text_BLD), 4, 16, generator=source))


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
    still = encode_reference(picture, codec)
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
    return wan_from_folder(folders[kind], kind, codec, GRID, DIMS._replace(text=text)).eval()


@torch.no_grad()
def test_before_training_animate_is_diffusers_own(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    """The call of diffusers' pipeline, written out: noise and reference in slot 0, mask, grey, pose, face, text."""
    net = backbone(folders, "wan_animate", codec)
    values, given, noisy = own_text(conditions()), extras(), noisy_tokens()
    t_B = torch.tensor([0.25, 0.8])
    found = net(noisy, t_B, net.encode(values, keep_mask(2), given))

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
        pose_hidden_states=latents(codec.encode(values.body_map_BTHW3[:, 3:] * 2 - 1)),
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
    assert (latents(net(noisy, t_B, net.encode(values, keep_mask(2)))) - expected).abs().max() <= 1e-4


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

    state = net.encode(own_text(conditions()), keep_mask(2))
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
    "body": ("body_map_BTHW3",),
    "face": ("face_BTF", "face_anchor_BT2"),
    "hands": ("hands_BT2F", "hands_anchor_BT22"),
    "text": ("text_BLD",),
    "camera": ("camera_BTF",),
}


@pytest.mark.parametrize("kind", ["wan", "wan_animate"])
@pytest.mark.parametrize("group", FIELDS)
@torch.no_grad()
def test_every_group_is_heard_and_can_be_dropped(
    folders: dict[str, Path], codec: WanVaeCodec, kind: str, group: str
) -> None:
    net = opened(backbone(folders, kind, codec, text=DIMS.text))
    values, noisy, t_B = conditions(), noisy_tokens(), torch.tensor([0.25, 0.8])
    broken = dataclasses.replace(
        values, **{name: torch.full_like(getattr(values, name), torch.nan) for name in FIELDS[group]}
    )
    other = dataclasses.replace(values, **{name: getattr(values, name).flip(0) for name in FIELDS[group]})
    without = keep_mask(2, [name for name in GROUPS if name != group])
    dropped = net(noisy, t_B, net.encode(values, without))
    assert torch.equal(dropped, net(noisy, t_B, net.encode(broken, without)))
    kept = net(noisy, t_B, net.encode(values, keep_mask(2)))
    assert (kept - dropped).abs().max() > 1e-4
    assert (kept - net(noisy, t_B, net.encode(other, keep_mask(2)))).abs().max() > 1e-4


@torch.no_grad()
def test_face_crops_and_clip_states_are_heard(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    net = backbone(folders, "wan_animate", codec)
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    given = extras()
    full = net(noisy, t_B, net.encode(values, keep_mask(2), given))
    for name in ("face_B3SHW", "image_BLD", "lead_noise_BC1hw"):
        less = net(noisy, t_B, net.encode(values, keep_mask(2), dataclasses.replace(given, **{name: None})))
        assert (full - less).abs().max() > 1e-5, name


def test_a_built_backbone_takes_the_weights(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    """As a MODEL folder is loaded: from the config and the state, without the public folder."""
    net = opened(backbone(folders, "wan_animate", codec))
    again = WanBackbone(WanConfig.model_validate_json(net.config.model_dump_json()), codec.encode).eval()
    again.load_state_dict(net.state_dict())
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    with torch.no_grad():
        found, expected = (each(noisy, t_B, each.encode(values, keep_mask(2))) for each in (again, net))
    assert torch.equal(found, expected)


def test_a_student_hears_the_strength(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    teacher = backbone(folders, "wan", codec)
    student = WanBackbone(teacher.config.model_copy(update={"guidance_embedding": True}), codec.encode).eval()
    student.load_state_dict(teacher.state_dict(), strict=False)
    values, noisy, t_B = own_text(conditions()), noisy_tokens(), torch.tensor([0.25, 0.8])
    with torch.no_grad():
        state = student.encode(values, keep_mask(2))
        strong = student(noisy, t_B, state, torch.tensor([4.0, 4.0]))
        assert torch.equal(strong, teacher(noisy, t_B, teacher.encode(values, keep_mask(2))))
        opened(student)
        strong, weak = (
            student(noisy, t_B, student.encode(values, keep_mask(2)), torch.full((2,), w)) for w in (4.0, 1.0)
        )
    assert (strong - weak).abs().max() > 1e-4


def test_a_codec_that_does_not_go_with_the_weights_is_refused(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    with pytest.raises(RecipeError, match="takes 12 channels, which does not go with a codec of 384 channels"):
        wan_from_folder(folders["wan_animate"], "wan_animate", PixelCodec((2, 8, 8)), GRID, DIMS)
    with pytest.raises(RecipeError, match="no multiple of Wan's patch"):
        wan_from_folder(folders["wan"], "wan", codec, (3, 5, 4), DIMS)
    with pytest.raises(RecipeError, match="is of a WanTransformer3DModel, expected WanAnimateTransformer3DModel"):
        wan_from_folder(folders["wan"], "wan_animate", codec, GRID, DIMS)
    net = backbone(folders, "wan", codec)
    two = dataclasses.replace(conditions(), reference_BKNC=conditions().reference_BKNC.repeat(1, 2, 1, 1))
    with pytest.raises(RecipeError, match="2 reference pictures, but a Wan backbone takes one"):
        net.encode(two, keep_mask(2))


@dataclasses.dataclass(frozen=True)
class Header(TrainedWith):
    codec_hash: str = "0" * 16
    text_encoder: str = "none"


@pytest.mark.parametrize(("kind", "learns"), [("wan", "all"), ("wan_animate", "all"), ("wan_animate", "attention")])
def test_our_trainer_lowers_the_loss_of_a_fixed_batch(
    folders: dict[str, Path], codec: WanVaeCodec, tmp_path: Path, kind: str, learns: str
) -> None:
    net = backbone(folders, kind, codec, text=DIMS.text)
    net.config = net.config.model_copy(update={"learns": learns})
    before = {name: weight.clone() for name, weight in net.named_parameters()}
    batch = Batch(codec.encode(video()), conditions(), ("a", "b"))
    losses: list[float] = []

    def keep(report: StepReport) -> None:
        losses.append(report.loss)

    class SameDraws(FlowMatching):
        """The same times and noise at every step, so that a falling loss is learning and nothing else."""

        def losses(self, batch: Batch, step: int, rng: StepRng) -> Any:
            return super().losses(batch, 0, StepRng(0, 0))

    objective = SameDraws(net, FlowRecipe(drop_each=0.0, drop_motion=0.0, drop_all=0.0))  # type: ignore[arg-type]
    run_stages(
        [Stage("flow", 12, 1.0, lambda _: objective)],
        LoopRecipe(batch_size=2, adamw_rate=3e-3, warmup_steps=1),
        Header(), tmp_path, lambda rng: batch, keep, torch.device("cpu"),
    )  # fmt: skip
    assert losses[-1] < 0.9 * losses[0]
    moved = {name for name, weight in net.named_parameters() if not torch.equal(weight, before[name])}
    # A zeroed last layer moves first; what lies before it follows once it is open.
    assert {name for name in before if "_added.2" in name} <= moved
    inside = {name for name in moved if name.startswith("transformer.")}
    assert inside
    assert learns == "all" or all(".attn1." in name for name in inside)


def test_by_default_only_adapters_learn(folders: dict[str, Path], codec: WanVaeCodec) -> None:
    net = backbone(folders, "wan_animate", codec)
    assert net.held_weights == {name for name, _ in net.named_parameters() if name.startswith("transformer.")}


# ---- the whole chain


@pytest.mark.slow
def test_our_own_network_trains_and_animates_on_wan_tokens(
    vae_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of 4 n + 1 frames from the shards to the finished clip: the lead-in is nobody else's business."""
    for module in ("model.train.runs", "model.store"):
        monkeypatch.setattr(f"{module}.make_text_encoder", HashedBytesText)
    document = {
        "steps": 2,
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
    assert read_config(tmp_path / "m").net.grid_thw == GRID
    driving = DrivingMotion((64, 96), clock(13), body_track(13), face_track(13), hands_track(13), camera_track(13))
    made = animate(tmp_path / "m", np.full((48, 48, 3), 200, np.uint8), driving, "a square")
    assert made.rgb_THWC.shape == (13, 32, 32, 3)
    assert made.stats.segments == 2  # 9 frames, then 9 of which 5 (4 + 1) are known
    short = {**document, "data": {"size_px": 32, "frames": 8, "strides": [1]}}
    with pytest.raises(RecipeError, match=r"frames 8: the codec wan_vae takes 4 n \+ 1 frames, such as 5"):
        train_teacher(shards, tmp_path / "n", parse_recipe(TrainRecipe, short, "tiny"), False, lambda _: None)
