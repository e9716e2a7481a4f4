"""The networks: one file each.

A network takes features and gives logits, (batch, step, node, feature) to (batch, step, site,
class), where a site is a node or a derivation that speaks for itself; NaN where it has nothing
valid to say. It has the contract of ``streaming`` in torch tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Network(Protocol):
    """What every network has; all of them are ``torch.nn.Module``."""

    features: int
    """Features of each step and node that it takes."""

    warm_up: int
    """Steps before the first answer, and again after a gap."""

    def outputs(self, steps: int) -> int:
        """Return how many outputs are known once this many steps have come in."""
        ...

    def initial_state(self, batch: int) -> Any:
        """Return the state before the first step: nested tuples of tensors."""
        ...

    def step(self, features: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits of the new outputs, (batch, step, site, class), and the state."""
        ...

    def rescale(self, scale: float, offset: float) -> None:
        """Make every logit ``scale * logit + offset``, so that probabilities are calibrated."""
        ...


NETWORKS = {"rest": "ranvier.networks.rest:REST"}


def make_network(name: str, channels: Sequence[str], settings: Mapping[str, Any]) -> Any:
    """Make a network by name for these channels.

    Raises
    ------
    ValueError
        If the network or one of its settings is unknown.
    """
    if name not in NETWORKS:
        raise ValueError(f"Invalid network: {name!r}, possible options: {list(NETWORKS)}")
    module, _, cls = NETWORKS[name].partition(":")
    try:
        return getattr(import_module(module), cls)(tuple(channels), **settings)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError('Torch is missing: pip install "ranvier[train]"') from None
    except TypeError as error:
        raise ValueError(f"Invalid settings of network {name!r}: {error}") from None
