"""The attention of ARNN with a backward pass by hand, which is faster than that of autograd.

For queries ``q``, keys ``k`` and values ``v`` of a head, which get a row of ones as their last:

    p = 2 ** (k' q)         r = v p         found = r without its last row / its last row

Autograd goes over ``p`` three times for the gradient of the power. Here the factor log 2 goes into
the values, which are few, and the gradient of the scores is made where that of ``p`` lies.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Attention(torch.autograd.Function):
    """The average of values by scores that are powers of two, with its gradients."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return what is found, (head, feature, query).

        Parameters
        ----------
        ctx
            Of autograd.
        queries
            (head, feature, query).
        keys, values
            (head, feature, key).
        """
        values = functional.pad(values, (0, 0, 0, 1), value=1.0)
        powers = torch.bmm(keys.mT, queries).exp2_()
        read, total = torch.bmm(values, powers).tensor_split([-1], dim=1)
        found = read / total
        ctx.save_for_backward(queries, keys, values, powers, found, total)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of queries, keys and values."""
        queries, keys, values, powers, found, total = ctx.saved_tensors
        of_total = (grad * found).sum(dim=1, keepdim=True).neg_()
        of_read = torch.cat([grad, of_total], dim=1).div_(total)
        scores = torch.bmm(values.mT * math.log(2), of_read).mul_(powers)
        return (
            torch.bmm(keys, scores),
            torch.bmm(queries, scores.mT),
            torch.bmm(of_read[:, :-1], powers.mT),
        )
