"""Weights, moments and averages spread over processes (FSDP2), and the whole tensors that checkpoints hold.

Source: Zhao et al., PyTorch FSDP (2023); one group of weights per block, as in torchtitan.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor


def spread(net: nn.Module, mesh: DeviceMesh, in_bf16: bool) -> None:
    """Leave this process its part of every weight; a block's weights are whole only while it works.

    in_bf16: weights travel and multiply in bfloat16; gradients are added up in fp32 and the parts stay in fp32.
    """
    # FSDP2 warns that keys and values are views; nobody writes into them.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    # Inputs stay as they are: rotary coordinates and times need fp32.
    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if in_bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    blocks = getattr(net, "blocks", ())
    for block in blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
        for method in ("condition", "video"):
            register_fsdp_forward_method(block, method)
    fully_shard(net, mesh=mesh, mp_policy=policy)
    if hasattr(net, "encode"):
        register_fsdp_forward_method(net, "encode")


def full(tensor: Tensor) -> Tensor:
    """The whole tensor. All processes must ask for it, each for the same one."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own(tensor: Tensor) -> Tensor:
    """The part that this process holds; shares memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def wrapped(part: Tensor, reference: Tensor) -> Tensor:
    """`part` as this process's part of a tensor that is spread as `reference` is; the inverse of `own`."""
    if not isinstance(reference, DTensor):
        return part
    return DTensor.from_local(
        part, reference.device_mesh, reference.placements, run_check=False, shape=reference.shape,
        stride=reference.stride(),
    )  # fmt: skip


def like(whole: Tensor, reference: Tensor) -> Tensor:
    """`whole`, spread as `reference` is when they have the same shape, without a message: all processes have it."""
    if not isinstance(reference, DTensor) or reference.shape != whole.shape:
        return whole
    return distribute_tensor(
        whole.to(reference.device), reference.device_mesh, reference.placements, src_data_rank=None
    )
