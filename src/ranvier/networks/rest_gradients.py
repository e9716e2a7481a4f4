"""The recurrence of REST with a backward pass by hand, which is faster than that of autograd.

Autograd makes the gradient of the weights anew for every update and adds it to those before, and
copies what it sums over. Here each product adds itself to one sum, and the way back is as short as
the way there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ranvier.networks.rest_update import Mask, Step, Weights, by_step, held_within, whole


class Recurrence(torch.autograd.Function):
    """The memory after each step, with gradients of what comes in, the memory and the weights."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any,
        steps: Iterable[Step],
        width: int,
        longest: float,
        entering: Tensor,
        memory: Tensor,
        *weights: Tensor,
    ) -> tuple[Tensor, ...]:
        """Go from step to step.

        Parameters
        ----------
        ctx
            Of autograd; keeps what the way back needs, in a row.
        steps
            What is done in each.
        width
            Outputs side by side, as in ``by_step``.
        longest
            To which each node's memory is scaled down after a step; may be infinite.
        entering
            (batch, step, node, hidden), with the bias of the recurrence.
        memory
            (batch * width, node, hidden).
        *weights
            As in ``Weights``.
        """
        laid, states, kept = _laid_out(Weights(*weights), len(memory)), [], list(weights)
        ctx.steps, ctx.longest, ctx.shape, ctx.width = [], longest, entering.shape, width
        for step, given in zip(steps, by_step(entering, width), strict=True):
            for mask, missing in step.updates():
                kept.append(memory)
                rows = whole(given, missing, laid.recur_bias)
                entered, found, memory = _advance(laid, rows, memory, mask)
                kept += [entered, found]
            if longest < float("inf"):
                memory, excess = held_within(memory, longest)
                kept += [memory, excess]
            memory = memory if step.going_on is None else memory * step.going_on
            states.append(memory)
            ctx.steps.append(step)
        ctx.set_materialize_grads(value=False)
        ctx.save_for_backward(*kept)
        return tuple(states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        """Go back from the last update to the first, adding up the gradients."""
        *weights, grad = ctx.saved_tensors[: len(Weights._fields) + 1]
        kept, grad = list(ctx.saved_tensors), torch.zeros_like(grad)
        laid = _laid_out(Weights(*weights), len(grad))
        sums = Weights(*map(torch.zeros_like, laid))
        entering = grad.new_zeros(ctx.shape)
        parts = by_step(entering, ctx.width)
        for step, part, asked in zip(*map(reversed, (ctx.steps, parts, given)), strict=True):
            grad = grad if asked is None else grad + asked
            grad = grad if step.going_on is None else grad * step.going_on
            if ctx.longest < float("inf"):
                grad = _back_through_bound(grad, kept.pop(), kept.pop(), ctx.longest)
            for mask, missing in reversed(step.updates()):
                back = _back(laid, sums, grad, mask, kept.pop(), kept.pop())
                part.add_(back.view(part.shape))
                if missing is not None:
                    sums.recur_bias.add_((missing * back.view(part.shape)).sum(dim=(0, 1, 2)))
                sums.recur.addmm_(kept.pop().flatten(0, 1).T, back)
                grad = torch.mm(back, laid.recur.T).view(grad.shape)
        hidden = grad.shape[-1]
        learnt = sums._replace(bias=sums.bias[hidden:])[:-1]
        return None, None, None, entering, grad, *learnt, None


def _laid_out(weights: Weights, rows: int) -> Weights:
    """Return biases of both convolutions beside what is sent, and the weights of neighbours."""
    bias = functional.pad(weights.bias, (len(weights.bias), 0))
    graph = weights.graph[:, ::2].contiguous().expand(rows, -1, -1)
    return weights._replace(bias=bias, graph=graph)


def _advance(
    weights: Weights, entering: Tensor, memory: Tensor, mask: Mask
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what entered and was found, (row * node, hidden), and the memory after an update."""
    parts = (*memory.shape[:2], 2, memory.shape[2])
    entered = torch.addmm(entering, memory.flatten(0, 1), weights.recur)
    sent, own = torch.addmm(weights.bias, entered, weights.first).view(parts).unbind(2)
    found = torch.baddbmm(own, weights.graph, sent).relu_().flatten(0, 1)
    sent, own = torch.addmm(weights.kept_bias, found, weights.second).view(parts).unbind(2)
    change = torch.baddbmm(own, weights.graph, sent).mul_(mask)
    return entered, found, change.add_(entered.view(memory.shape))


def _back(  # noqa: PLR0917
    weights: Weights, sums: Weights, grad: Tensor, mask: Mask, found: Tensor, entered: Tensor
) -> Tensor:
    """Return the gradient of what entered, from that of the memory after the update."""
    change = _sent_and_own(weights, grad * mask)
    sums.second.addmm_(found.T, change)
    sums.kept_bias.add_(change.sum(dim=0))
    inner = torch.mm(change, weights.second.T).mul_(found.sign())
    change = _sent_and_own(weights, inner.view(grad.shape))
    sums.first.addmm_(entered.T, change)
    sums.bias.add_(change.sum(dim=0))
    return torch.addmm(grad.flatten(0, 1), change, weights.first.T)


def _sent_and_own(weights: Weights, grad: Tensor) -> Tensor:
    sent = torch.bmm(weights.graph.mT, grad)
    return torch.cat([sent, grad], dim=2).flatten(0, 1)


def _back_through_bound(grad: Tensor, excess: Tensor, held: Tensor, longest: float) -> Tensor:
    """Return the gradient of a memory from that of the same held within the bound."""
    along = (grad * held).sum(dim=-1, keepdim=True) / longest**2 * (excess > 1)
    return torch.addcmul(grad, held, along, value=-1).div_(excess)
