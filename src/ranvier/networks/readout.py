"""The last layer of a network, whose weights take up the calibration of its answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

Factor = float | Sequence[float]
"""One number for all outputs, or one for each."""

LEAST_VALID = 0.25
"""Share of channels or nodes below which a step is a gap; six missing leads leave a third."""


def rescale(layer: nn.Linear, scale: Factor, offset: Factor) -> None:
    """Make every output ``scale * output + offset``, by changing the weights of the layer."""
    factor = torch.as_tensor(scale, dtype=layer.weight.dtype, device=layer.weight.device)
    shift = torch.as_tensor(offset, dtype=layer.weight.dtype, device=layer.weight.device)
    with torch.no_grad():
        layer.weight.mul_(factor.reshape(-1, 1))
        layer.bias.mul_(factor).add_(shift)
