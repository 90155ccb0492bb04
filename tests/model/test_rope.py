from __future__ import annotations

import pytest
import torch

from model.dit.rope import axis_split, grid_coordinates, rotary_table, rotate


def logits(coordinates_N3: torch.Tensor) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    query, key = (torch.randn(1, 2, len(coordinates_N3), 32, generator=source) for _ in range(2))
    table = rotary_table(coordinates_N3.unsqueeze(0), 32, theta=100.0)
    return rotate(query, table) @ rotate(key, table).transpose(-1, -2)


def test_attention_depends_on_differences_of_position_only() -> None:
    coordinates = torch.rand(7, 3, generator=torch.Generator().manual_seed(1)) * 8
    shifted = coordinates + torch.tensor([3.5, -2.25, 0.4])
    assert torch.allclose(logits(coordinates), logits(shifted), atol=1e-4)
    stretched = coordinates * torch.tensor([1.0, 1.0, 1.5])
    assert not torch.allclose(logits(coordinates), logits(stretched), atol=1e-2)


@pytest.mark.parametrize("head_dim", [8, 16, 32, 64, 128])
def test_every_channel_belongs_to_one_axis(head_dim: int) -> None:
    split = axis_split(head_dim)
    assert sum(split) == head_dim
    assert all(channels > 0 and channels % 2 == 0 for channels in split)


def test_grid_coordinates_follow_token_order() -> None:
    coordinates = grid_coordinates((2, 2, 3), torch.tensor([[0.0, 1.5]]))[0]
    assert coordinates[0].tolist() == [0.0, 0.0, 0.0]
    assert coordinates[1].tolist() == [0.0, 0.0, 1.0]
    assert coordinates[3].tolist() == [0.0, 1.0, 0.0]
    assert coordinates[11].tolist() == [1.5, 1.0, 2.0]
