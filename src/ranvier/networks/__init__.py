"""The networks: one file each.

A network takes samples, (batch, time, channel), or features, (batch, step, node, feature), and
gives logits, (batch, output, site, class), where a site is a channel that speaks for itself, or all
together; NaN where it has nothing valid to say. It has the contract of ``streaming`` in torch
tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ranvier.networks.readout import Factor


class Network(Protocol):
    """What every network has; all of them are ``torch.nn.Module``."""

    channels: tuple[str, ...]
    """Channels or nodes that come in."""

    sites: tuple[str, ...]
    """Who answers: each channel by itself, or all together."""

    features: int | None
    """Features of each step and node that it takes; None if it takes plain samples."""

    window: int
    """Steps that must have come in before the first output is known."""

    hop: int
    """Steps between outputs."""

    warm_up: int
    """Steps before the first valid output, and again after a gap."""

    def outputs(self, steps: int) -> int:
        """Return how many outputs are known once this many steps have come in."""
        ...

    def initial_state(self, batch: int) -> Any:
        """Return the state before the first step: nested tuples of tensors."""
        ...

    def steady(self, batch: int) -> tuple[int, Any]:
        """Return the steps that the next output takes, and a state before them.

        From there on each hop gives one output, so that a graph of this one step is all that is
        needed to decode. Tensors of the state without elements are no memory.

        Raises
        ------
        ValueError
            If there is no such step.
        """
        ...

    def step(self, chunk: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits of the new outputs, (batch, output, site, class), and the state."""
        ...

    def forward(
        self, chunk: Tensor, state: Any, generator: Generator | None = None
    ) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
        """Do as ``step`` in training, and return the logits of auxiliary heads, of equal shape.

        The generator draws what is random in a network; dropout draws from torch's own.
        """
        ...

    def rescale(self, scale: Factor, offset: Factor) -> None:
        """Make every logit ``scale * logit + offset``; one number for all classes, or for each."""
        ...


NETWORKS = {
    "rest": "ranvier.networks.rest:REST",
    "cnn_lstm": "ranvier.networks.cnn_lstm:CNNLSTM",
    "dcrnn": "ranvier.networks.dcrnn:DCRNN",
    "transformer": "ranvier.networks.transformer:Transformer",
    "arnn": "ranvier.networks.arnn:arnn",
    "attn_sleep": "ranvier.networks.attn_sleep:AttnSleep",
    "inception": "ranvier.networks.inception:Inception",
    "lstm": "ranvier.networks.lstm:lstm",
    "vit": "ranvier.networks.vit:ViT",
    "cct": "ranvier.networks.cct:CCT",
    "r_transformer": "ranvier.networks.r_transformer:RTransformer",
    "temporal_attention_lstm": "ranvier.networks.temporal_attention_lstm:TemporalAttentionLSTM",
    "gru": "ranvier.networks.gru:gru",
    "wiener": "ranvier.networks.wiener:Wiener",
    "kalman": "ranvier.networks.kalman:Kalman",
}


def make_network(name: str, channels: Sequence[str], settings: Mapping[str, Any]) -> Any:
    """Make a network by name for these channels; torch's own generator stays where it is.

    Raises
    ------
    ValueError
        If the network or one of its settings is unknown.
    """
    if name not in NETWORKS:
        raise ValueError(f"Invalid network: {name!r}, possible options: {list(NETWORKS)}")
    module, _, cls = NETWORKS[name].partition(":")
    try:
        made = getattr(import_module(module), cls)
        from torch.random import fork_rng

        with fork_rng(devices=[]):
            return made(tuple(channels), **settings)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError('Torch is missing: pip install "ranvier[train]"') from None
    except (TypeError, OverflowError, MemoryError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or "memory ran out"
        raise ValueError(f"Invalid settings of network {name!r}: {reason}") from None
