"""What each objective asks of the network, checked against answers worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from model.conditions import GROUPS, Batch, keep_mask
from model.dit.net import VideoDit
from model.guidance import GuidanceRecipe, SingleBranch, guide
from model.objectives.base import velocity_loss_B
from model.objectives.consistency import PhasedConsistency
from model.objectives.flow import FlowMatching, FlowRecipe, draw_keep, draw_times
from model.objectives.guidance_merge import GuidanceMerge, MergeRecipe
from model.objectives.matching import DistributionMatching
from model.objectives.reflow import Reflow
from model.objectives.step_distillation import StepDistillation
from model.objectives.walking import StepRecipe
from model.rng import StepRng, seed_from
from model.sampler import euler_step, sample, time_grid
from model.train.ema import Ema
from model.train.muon import Muon, orthogonalised
from tests.model.tiny import GRID, random_batch, random_conditions, random_tokens, tiny_net


def test_seeds_keep_their_parts_apart() -> None:
    assert seed_from(1, 23) != seed_from(12, 3)
    assert seed_from(1, "a") == seed_from(1, "a")
    draws = {StepRng(0, step).numpy(slot, name).random() for step in (0, 1) for slot in (0, 1) for name in ("a", "b")}
    assert len(draws) == 8
    assert StepRng(0, 4, first_slot=2).numpy(1, "a").random() == StepRng(0, 4).numpy(3, "a").random()


def test_noise_does_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample's noise is that of torch.randn under its own seed, whoever draws it."""
    rng, values = StepRng(3, 7, first_slot=2), torch.zeros(5, 9, 11)
    expected = torch.stack([torch.randn(9, 11, generator=rng.generator(slot, "noise")) for slot in range(5)])
    for threads, worth in ((1, 1), (4, 1), (4, 1 << 16)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr("model.rng.WORTH_A_THREAD", worth)
        assert torch.equal(rng.normal_like(values, "noise"), expected)


def test_velocity_loss_is_the_squared_velocity_error() -> None:
    """v = (x - z) / (1 - t); z is common to both predictions and falls out."""
    predicted, target, noisy = random_tokens(seed=1), random_tokens(seed=2), random_tokens(seed=3)
    t_B = torch.tensor([0.2, 0.7])
    scale = (1 - t_B)[:, None, None]
    expected = ((predicted - noisy) / scale - (target - noisy) / scale).square().mean(dim=(1, 2))
    assert torch.allclose(velocity_loss_B(predicted, target, t_B), expected, rtol=1e-5)


def test_timesteps_are_logit_normal_and_spread_in_every_few_steps() -> None:
    recipe = FlowRecipe(t_mean=-1.0, t_std=0.8, at_noise=0.0)
    logits = [np.log(t / (1 - t)) for step in range(400) for t in draw_times(recipe, 2, StepRng(0, step))]
    assert np.mean(logits) == pytest.approx(-1.0, abs=0.02)
    assert np.std(logits) == pytest.approx(0.8, abs=0.02)
    means = [np.mean([draw_times(recipe, 1, StepRng(0, 5 * k + i))[0] for i in range(5)]) for k in range(40)]
    assert np.std(means) < 0.045  # independent draws give 0.067


def test_a_share_of_the_samples_is_almost_pure_noise() -> None:
    recipe = FlowRecipe(t_mean=3.0, t_std=0.5, at_noise=0.2)
    times = np.array([t for step in range(500) for t in draw_times(recipe, 2, StepRng(0, step))])
    low = times[times < 0.5]
    assert len(low) / len(times) == pytest.approx(0.2, abs=0.01)
    assert low.max() <= 0.05
    assert np.mean(low) == pytest.approx(0.025, abs=0.002)


def test_dropout_rates() -> None:
    keep = torch.cat([draw_keep(FlowRecipe(), 4, StepRng(0, step)) for step in range(1000)])
    dropped = 1 - keep.float().mean(dim=0)
    alone = 1 - 0.9 * 0.94
    assert dropped[GROUPS.index("text")].item() == pytest.approx(alone, abs=0.02)
    assert dropped[GROUPS.index("body")].item() == pytest.approx(1 - 0.9 * 0.94 * 0.92, abs=0.02)
    assert (~keep).all(dim=1).float().mean().item() == pytest.approx(0.06, abs=0.015)


def test_what_a_stage_does_not_give_is_never_kept() -> None:
    recipe = FlowRecipe(groups=("reference", "body"), drop={"body": 0.5})
    keep = torch.cat([draw_keep(recipe, 4, StepRng(0, step)) for step in range(300)]).float().mean(dim=0)
    shares = dict(zip(GROUPS, keep.tolist(), strict=True))
    assert all(shares[name] == 0 for name in GROUPS if name not in recipe.groups)
    assert shares["body"] == pytest.approx(0.5 * 0.94 * 0.92, abs=0.06)


def test_faces_and_hands_weigh_more() -> None:
    """Two tokens wrong by 1 and 3: the plain mean is 5, with weight 4 on the second it is 7.4."""
    wrong = torch.tensor([[[1.0], [3.0]]])
    zero, t_B = torch.zeros_like(wrong), torch.zeros(1)
    assert velocity_loss_B(wrong, zero, t_B).item() == pytest.approx(5.0)
    assert velocity_loss_B(wrong, zero, t_B, torch.tensor([[1.0, 4.0]])).item() == pytest.approx(7.4)


def test_flow_loss_draws_from_the_step_only() -> None:
    objective = FlowMatching(tiny_net(), FlowRecipe())
    first, again, later = (objective.losses(random_batch(), step, StepRng(0, step)).per_sample_B for step in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_a_merged_student_that_says_what_guidance_says_has_no_loss() -> None:
    """With no group dropped by guidance the guided teacher is the teacher, and a copy of it is already right."""
    teacher = tiny_net()
    student = tiny_net(guidance_embedding=True)
    student.load_state_dict(teacher.state_dict(), strict=False)
    assert student.guidance_in is not None
    torch.nn.init.zeros_(student.guidance_in[2].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(student.guidance_in[2].bias)  # type: ignore[arg-type]

    def loss(dropped: tuple[str, ...]) -> float:
        recipe = GuidanceRecipe(strength=2.0, dropped=dropped)
        objective = GuidanceMerge(student, teacher, recipe, MergeRecipe())
        return float(objective.losses(random_batch(), 0, StepRng(0, 0)).per_sample_B.mean())

    assert loss(()) == pytest.approx(0.0, abs=1e-9)
    assert loss(GROUPS) > 1e-3


def test_guidance_pushes_away_from_the_kept_branch() -> None:
    full, kept = torch.tensor([3.0]), torch.tensor([1.0])
    assert guide(full, kept, 2.5).item() == 1.0 + 2.5 * 2.0


def test_a_teacher_that_is_sampled_without_guidance_can_be_merged_at_any_strength() -> None:
    """Its own strength says nothing of the student's; only its interval counts."""
    teacher = tiny_net()
    student = tiny_net(guidance_embedding=True)

    def loss(strength: float, until_t: float) -> float:
        recipe = GuidanceRecipe(strength=strength, until_t=until_t)
        return float(
            GuidanceMerge(student, teacher, recipe, MergeRecipe()).losses(random_batch(), 0, StepRng(0, 0)).per_sample_B
            .mean()
        )  # fmt: skip

    assert loss(1.0, 1.0) == loss(2.0, 1.0)
    assert loss(1.0, 0.0) != loss(1.0, 1.0)


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_ideal_student_steps_make_what_the_teacher_s_sampler_makes(shift: float) -> None:
    """From noise, each step lands on the teacher's own path with teacher_substeps times as many steps."""
    teacher = tiny_net(guidance_embedding=True)
    recipe = StepRecipe(steps=2, shift=shift, teacher_substeps=3)
    objective = StepDistillation(tiny_net(guidance_embedding=True), teacher, recipe)
    noise, data, times = random_tokens(seed=9), random_batch(), time_grid(6, shift)
    strength_B, moving = torch.full((2,), recipe.strength), noise
    for first in (0, 3):
        times_SB = torch.tensor(times[first : first + 4])[:, None].expand(-1, 2)
        target = objective.target(data, moving, times_SB, strength_B)
        moving = euler_step(moving, target, times[first], times[first + 3])
    single = SingleBranch(teacher, data.conditions, GRID, recipe.strength)
    expected = sample(single, noise, times).tokens_BNC
    assert (moving - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("shift", [1.0, 2.0])
def test_a_step_is_cut_at_the_times_of_the_longer_sampler(shift: float) -> None:
    objective = Reflow(
        tiny_net(guidance_embedding=True), tiny_net(guidance_embedding=True),
        StepRecipe(steps=2, shift=shift, teacher_substeps=3),
    )  # fmt: skip
    seen = {
        tuple(row) for step in range(8) for row in objective.drawn_step(StepRng(0, step), torch.zeros(4)).T.tolist()
    }
    fine = torch.tensor(time_grid(6, shift)).tolist()
    assert seen == {tuple(fine[:4]), tuple(fine[3:])}
    assert (fine[0], fine[3], fine[6]) == tuple(torch.tensor(time_grid(2, shift)).tolist())


def test_steps_from_noise_are_learnt_on_the_teacher_s_own_way() -> None:
    """The points on which the student is asked are every third of the teacher's sampler; one substep is a copy."""
    teacher, student = tiny_net(guidance_embedding=True), tiny_net(seed=3, guidance_embedding=True)
    recipe, data = StepRecipe(steps=2, teacher_substeps=3, start="noise"), random_batch()
    asked: list[torch.Tensor] = []
    student.register_forward_pre_hook(lambda _, given: asked.append(given[0]))
    StepDistillation(student, teacher, recipe).losses(data, 0, StepRng(0, 0))
    passed: list[torch.Tensor] = []
    teacher.register_forward_pre_hook(lambda _, given: passed.append(given[0]))
    noise = StepRng(0, 0).normal_like(data.tokens_BNC, "noise")
    sample(SingleBranch(teacher, data.conditions, GRID, recipe.strength), noise, time_grid(6, recipe.shift))
    assert len(asked) == 2
    assert all(
        (at - expected).abs().max() < 1e-5 * expected.abs().max()
        for at, expected in zip(asked, passed[::3], strict=True)
    )
    copy = StepDistillation(teacher, tiny_net(guidance_embedding=True), StepRecipe(teacher_substeps=1, start="noise"))
    assert float(copy.losses(data, 0, StepRng(0, 0)).per_sample_B.mean()) == pytest.approx(0.0, abs=1e-8)


def test_matching_learns_where_the_sampler_goes() -> None:
    """The points on which the student is asked are those of its own sampler, from the same noise."""
    teacher, student = tiny_net(guidance_embedding=True), tiny_net(seed=3, guidance_embedding=True)
    recipe, data = StepRecipe(steps=3), random_batch()
    asked: list[tuple[torch.Tensor, float]] = []
    student.register_forward_pre_hook(lambda _, given: asked.append((given[0], float(given[1][0]))))
    objective = DistributionMatching(student, teacher, recipe)
    lengths = set()
    for step in range(8):
        asked.clear()
        objective.losses(data, step, StepRng(0, step))
        learnt = list(asked)
        asked.clear()
        noise = StepRng(0, step).normal_like(data.tokens_BNC, "start")
        sample(SingleBranch(student, data.conditions, GRID, recipe.strength), noise, time_grid(3, recipe.shift))
        for (at, t), (expected, expected_t) in zip(learnt, asked, strict=False):
            assert t == expected_t
            assert (at - expected).abs().max() < 1e-5 * expected.abs().max()
        lengths.add(len(learnt))
    assert lengths == {1, 2, 3}


def test_a_student_of_one_substep_copies_its_teacher() -> None:
    teacher = tiny_net(guidance_embedding=True)
    objective = StepDistillation(tiny_net(guidance_embedding=True), teacher, StepRecipe(teacher_substeps=1))
    assert float(objective.losses(random_batch(), 0, StepRng(0, 0)).per_sample_B.mean()) == pytest.approx(0.0, abs=1e-8)


def blind(net: VideoDit) -> Iterator[torch.Tensor]:
    """Without these weights the network sees neither noise nor time."""
    assert net.detail is not None
    yield from (net.video_in.weight, net.time_in[2].weight, *net.detail.last.parameters())


def test_a_consistent_student_has_no_loss() -> None:
    """A teacher whose prediction does not depend on where it stands is walked along a straight line: a copy of it is
    consistent from every point of that line."""
    teacher = tiny_net(guidance_embedding=True)
    with torch.no_grad():
        for weight in blind(teacher):
            weight.zero_()
    student = tiny_net(guidance_embedding=True)
    student.load_state_dict(teacher.state_dict())
    objective = PhasedConsistency(student, teacher, StepRecipe(steps=2))
    losses = [float(objective.losses(random_batch(), s, StepRng(0, s)).per_sample_B.mean()) for s in range(6)]
    assert max(losses) < 1e-6
    other = PhasedConsistency(tiny_net(seed=3, guidance_embedding=True), teacher, StepRecipe(steps=2))
    assert float(other.losses(random_batch(), 0, StepRng(0, 0)).per_sample_B.mean()) > 1e-2


def test_reflow_learns_the_teacher_s_own_videos() -> None:
    """The pair of a teacher that always says the same is that video, and a copy of the teacher is already right."""
    teacher = tiny_net(guidance_embedding=True)
    with torch.no_grad():
        for weight in blind(teacher):
            weight.zero_()
    student = tiny_net(guidance_embedding=True)
    student.load_state_dict(teacher.state_dict())
    losses = Reflow(student, teacher, StepRecipe(steps=2)).losses(random_batch(), 0, StepRng(0, 0))
    assert float(losses.per_sample_B.mean()) < 1e-6
    again = Reflow(tiny_net(seed=3, guidance_embedding=True), teacher, StepRecipe(steps=2))
    assert float(again.losses(random_batch(), 0, StepRng(0, 0)).per_sample_B.mean()) > 1e-2


def test_matching_stands_still_when_fake_and_real_agree() -> None:
    """The fake denoiser starts as the teacher: no gradient for the student, a loss for the fake one."""
    teacher = tiny_net(guidance_embedding=True)
    student = tiny_net(seed=3, guidance_embedding=True)
    objective = DistributionMatching(student, teacher, StepRecipe(steps=2))
    losses = objective.losses(random_batch(), 0, StepRng(0, 0))
    assert set(losses.per_player) == set(objective.players()) == {"model", "fake"}
    assert float(losses.per_sample_B.max()) < 1e-9
    assert float(losses.per_player["fake"].detach()) > 1e-2
    with torch.no_grad():
        for weight in objective.players()["fake"].parameters():
            weight.add_(0.05)
    assert float(objective.losses(random_batch(), 0, StepRng(0, 0)).per_sample_B.max()) > 1e-6


@pytest.mark.parametrize("kind", [StepDistillation, PhasedConsistency, Reflow, DistributionMatching])
def test_teachers_do_not_learn(kind: type[StepDistillation]) -> None:
    student, teacher = tiny_net(guidance_embedding=True), tiny_net(seed=4, guidance_embedding=True)
    objective = kind(student, teacher, StepRecipe())
    if kind is DistributionMatching:
        for weight in objective.players()["fake"].parameters():
            weight.data.add_(0.05)
    objective.losses(random_batch(), 0, StepRng(0, 0)).per_player["model"].backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is None for weight in teacher.parameters())
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in student.parameters())


def test_average_warms_up_to_its_decay() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    ema = Ema(net.state_dict(), decay=0.5)
    torch.nn.init.ones_(net.weight)
    values = []
    for _ in range(20):
        ema.update(net)
        values.append(ema.tensors["weight"].item())
    assert values[0] == pytest.approx(0.9)
    assert values[1] == pytest.approx(1 - 0.1 * 2 / 11)
    assert values[-1] == pytest.approx(1.0)


def test_muon_updates_have_about_equal_singular_values() -> None:
    matrix = torch.randn(12, 30, generator=torch.Generator().manual_seed(0))
    for value in (matrix, matrix.T):
        singular = torch.linalg.svdvals(orthogonalised(value))
        assert singular.min() > 0.5
        assert singular.max() < 1.3
    weight = torch.nn.Parameter(torch.zeros(12, 30))
    weight.grad = matrix.clone()
    Muon([weight], lr=0.1).step()
    assert (weight.detach() * matrix).sum() < 0


def test_muon_moves_every_matrix_as_if_it_were_alone() -> None:
    """Three steps over two shapes at once, beside the published rule written out for one matrix."""
    source = torch.Generator().manual_seed(0)
    shapes = [(6, 10), (10, 6), (6, 10)]
    weights = [torch.nn.Parameter(torch.randn(*shape, generator=source)) for shape in shapes]
    alone, momenta = [weight.detach().clone() for weight in weights], [torch.zeros(*shape) for shape in shapes]
    optimiser = Muon([*weights, torch.nn.Parameter(torch.zeros(2, 2))], lr=0.1, weight_decay=0.5, in_bf16=False)
    for _ in range(3):
        for index, weight in enumerate(weights):
            weight.grad = torch.randn(*weight.shape, generator=source)
            momenta[index] = 0.95 * momenta[index] + 0.05 * weight.grad
            moved = 0.05 * weight.grad + 0.95 * momenta[index]
            moved = moved if moved.shape[0] <= moved.shape[1] else moved.T
            value = moved / moved.norm()
            for _ in range(5):
                gram = value @ value.T
                value = 3.4445 * value + (-4.7750 * gram + 2.0315 * gram @ gram) @ value
            value = value if value.shape == weight.shape else value.T
            larger = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            alone[index] = alone[index] * (1 - 0.1 * 0.5) - 0.1 * larger * value
        optimiser.step()
    for weight, expected in zip(weights, alone, strict=True):
        assert torch.allclose(weight, expected, atol=1e-5)


def test_a_network_of_the_recipe_s_size_starts_at_zero() -> None:
    """Before the first step the prediction is zero where nothing is painted: the loss of guessing the mean."""
    net = VideoDit(tiny_net().config)
    with torch.no_grad():
        state = net.encode(random_conditions(), keep_mask(2), GRID)
        out = net(random_tokens(), torch.tensor([0.1, 0.9]), state)
        unconditional = net.encode(random_conditions(), keep_mask(2, ()), GRID)
        assert not net(random_tokens(), torch.tensor([0.1, 0.9]), unconditional).any()
    assert state.painted is not None
    assert not out[state.painted.cover_BNC == 0].any()


@pytest.mark.parametrize("kind", ["flow", "merge", "steps", "path", "consistency", "reflow", "matching"])
def test_a_share_of_the_batch_is_drawn_as_in_the_whole(kind: str) -> None:
    """Losses of three windows, at once and as shares of one and two whose first slots are 0 and 1."""
    steps = StepRecipe(steps=3, teacher_substeps=2)
    student, teacher = tiny_net(0, guidance_embedding=True), tiny_net(1, guidance_embedding=True)
    objective = {
        "flow": lambda: FlowMatching(student, FlowRecipe()),
        "merge": lambda: GuidanceMerge(student, teacher, GuidanceRecipe(), MergeRecipe()),
        "steps": lambda: StepDistillation(student, teacher, steps),
        "path": lambda: StepDistillation(student, teacher, steps.model_copy(update={"start": "noise"})),
        "consistency": lambda: PhasedConsistency(student, teacher, steps),
        "reflow": lambda: Reflow(student, teacher, steps),
        "matching": lambda: DistributionMatching(student, teacher, steps),
    }[kind]()
    whole = random_batch(3)
    for step in range(3):
        expected = objective.losses(whole, step, StepRng(0, step))
        found = []
        for slots in (slice(0, 1), slice(1, 3)):
            share = Batch(
                whole.tokens_BNC[slots], whole.grid_thw, whole.detail_BN[slots],
                whole.conditions.map(lambda value, slots=slots: value[slots]), whole.keys[slots],
            )  # fmt: skip
            found.append(objective.losses(share, step, StepRng(0, step, slots.start)))
        together = torch.cat([losses.per_sample_B for losses in found])
        assert torch.allclose(together, expected.per_sample_B, rtol=1e-4, atol=1e-6)
        for player, loss in expected.per_player.items():
            parts = (found[0].per_player[player] + 2 * found[1].per_player[player]) / 3
            assert torch.allclose(parts, loss, rtol=1e-4, atol=1e-6)
