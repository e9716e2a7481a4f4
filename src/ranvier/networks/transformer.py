"""Transformer: attention between the seconds of a window, which REST is compared with.

Vaswani et al.: Attention Is All You Need, 2017 (arXiv 1706.03762); as a comparison in Afzal et al.:
REST, ICML 2024 (arXiv 2406.16906), which prints 48.3 thousand weights and not the sizes. Chosen
here: sizes that come to 48,401 at 19 nodes, positions that are learnt, and the mean of all steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ranvier.networks.sizes import check_divides, check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork


class Transformer(WindowNetwork):
    """An encoder over steps, each the features of all nodes in a row; 48,401 weights at 19 nodes.

    Parameters
    ----------
    channels
        Electrodes or derivations.
    features
        Features per node and step.
    window, hop
        Steps that are looked at, and from one window to the next.
    hidden
        Size of a step's token.
    layers
        Encoder layers.
    heads
        Parts into which attention splits a token.
    widening
        Size of the feed-forward part in tokens.
    dropout
        Share of what is dropped in training.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If a size is below 1, the heads do not divide the token, or the dropout is not a share.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        features: int = 100,
        window: int = 12,
        hop: int | None = 1,
        hidden: int = 20,
        layers: int = 2,
        heads: int = 4,
        widening: int = 4,
        dropout: float = 0.1,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(features=features, hidden=hidden, layers=layers, widening=widening)
        check_divides("heads", heads, hidden)
        check_dropout(dropout)
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=hidden,
            classes=classes,
            features=features,
            context=context,
        )
        self.project = nn.Linear(len(channels) * features, hidden)
        self.positions = nn.Parameter(0.02 * torch.randn(window, hidden))
        # made one by one, for nn.TransformerEncoder starts all its layers with equal weights
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    hidden, heads, widening * hidden, dropout, batch_first=True
                )
                for _ in range(layers)
            )
        )

    def embed(self, windows: Tensor) -> Tensor:
        """Return the mean of the steps' tokens, (window, hidden)."""
        tokens: Tensor = self.layers(self.project(windows.flatten(2)) + self.positions)
        return tokens.mean(dim=1)
