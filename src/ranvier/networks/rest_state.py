"""What REST carries from call to call."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class RESTState(NamedTuple):
    """What is carried from step to step."""

    memory: Tensor
    """Electrodes' states (batch, node, hidden); for clips the projections of the last steps, with
    the bias of the recurrence, (batch, step, node, hidden)."""
    valid: Tensor
    """For clips, whether the last steps were valid, (batch, step); else empty."""
    age: Tensor
    """Steps since the start or the last gap, (batch,)."""
    seed: Tensor
    """Seed of the masks of each row, (batch,); used by sampled updates alone."""
    drawn: Tensor
    """Outputs for which masks were drawn, (batch,)."""


def ages_around(valid: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
    """Return steps since the start or the last gap, (batch, step, 1), before and after each step.

    Parameters
    ----------
    valid
        Which steps are no gap, (batch, step, 1).
    age
        Before the first of them, (batch,).
    """
    began = age.view(-1, 1, 1)
    if valid.shape[1] == 1:
        return began, (began + 1) * valid
    count = torch.arange(1, valid.shape[1] + 1, device=valid.device)[:, None]
    last_gap = (count * ~valid).cummax(dim=1).values
    after = count - last_gap + began * (last_gap == 0)
    return torch.cat([began, after[:, :-1]], dim=1), after
