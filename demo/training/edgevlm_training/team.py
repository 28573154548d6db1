"""Several processes that train one model: each draws and differentiates its own part of every batch.

Knows no model. Gradients and the clock go through one sum per step, so all processes take the same step.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

Scores = dict[str, tuple[int, int]]  # right and counted, by name


class Team:
    """`rank` 0 leads: its clock counts, and it writes the files."""

    def __init__(self, rank: int = 0, size: int = 1, port: int = 0) -> None:
        self.rank, self.size = rank, size
        if size > 1:
            dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def agree(self, parameters: Sequence[Tensor], seconds: float) -> float:
        """Replace every gradient by the mean over the team; returns the leader's seconds."""
        if self.size == 1:
            return seconds
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        clock = torch.tensor([seconds if self.leads else 0.0])
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), clock])
        dist.all_reduce(flat)
        parts = torch.split(flat[:-1] / self.size, [p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return float(flat[-1])

    def total(self, scores: Scores) -> Scores:
        """Sums over the team."""
        if self.size == 1:
            return scores
        gathered: list[Scores] = [{} for _ in range(self.size)]
        dist.all_gather_object(gathered, scores)
        total: Scores = {}
        for part in gathered:
            add(total, part)
        return total


def add(total: Scores, part: Scores) -> None:
    for name, (right, count) in part.items():
        before = total.get(name, (0, 0))
        total[name] = (before[0] + right, before[1] + count)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
