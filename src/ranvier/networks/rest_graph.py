"""The graph that REST's states are sent along."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


class GraphConvolution(nn.Module):
    """W Σ_j a[j, i] h_j + b + V h_i: what the neighbours send and what the node keeps."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.neighbours = nn.Linear(hidden, hidden)
        self.own = nn.Linear(hidden, hidden, bias=False)

    def fused(self) -> Tensor:
        """Return the weights of both, side by side: what a node sends and then what it keeps."""
        return torch.cat([self.neighbours.weight, self.own.weight]).T

    def stacked(self) -> Tensor:
        """Return the weights of both, one above the other: for what came in and what was kept."""
        return torch.cat([self.neighbours.weight, self.own.weight], dim=1).T


def with_itself(weights: npt.NDArray[np.floating], normalise: str) -> Tensor:
    """Return the weight of each source, and whether it is the target, (target, source, 2).

    Parameters
    ----------
    weights
        From source (row) to target (column).
    normalise
        ``"in_degree"`` divides by the sum of the weights into each node.
    """
    incoming = torch.as_tensor(weights, dtype=torch.float32).T
    if normalise == "in_degree":
        degree = incoming.sum(dim=1, keepdim=True)
        incoming = incoming / torch.where(degree == 0, 1.0, degree)
    return torch.stack([incoming, torch.eye(len(incoming))], dim=-1)
