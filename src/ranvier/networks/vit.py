"""ViT: a transformer encoder over patches of the signal, which ARNN is compared with.

Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021 (arXiv 2010.11929); as a comparison in
Rukhsar, Tiwari: ARNN, arXiv 2403.03276. What differs from the published comparison:

- A token is a patch of some samples of all channels, as in the image transformer; there it is one
  sample, and attention costs the square of their number. ``patch=1`` gives tokens of one sample.
- Positions are learnt and a class token or a mean answers; there, attention knows no positions, and
  all tokens answer through a layer whose size grows with the window.
- The feed-forward part is four tokens wide, as in the image transformer; there one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ranvier.networks.sizes import check_divides, check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork

POOLS = ("class_token", "mean")


class ViT(WindowNetwork):
    """Patches, a class token, learnt positions, pre-norm attention; 53,761 weights at 18 channels.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    window, hop
        Samples that are looked at, and from one window to the next.
    patch
        Samples of one token, of all channels; the window must be a multiple.
    hidden
        Size of a token.
    layers
        Encoder layers.
    heads
        Parts into which attention splits a token.
    widening
        Size of the feed-forward part in tokens.
    pool
        ``"class_token"`` answers from a token of its own, ``"mean"`` from the mean of all.
    dropout
        Share of what is dropped in training.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If the pool is unknown, a size is below 1 or does not divide what it must, or the dropout
        is not a share.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 1024,
        hop: int | None = None,
        patch: int = 16,
        hidden: int = 40,
        layers: int = 2,
        heads: int = 4,
        widening: int = 4,
        pool: Literal["class_token", "mean"] = "class_token",
        dropout: float = 0.1,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(hidden=hidden, layers=layers, widening=widening)
        check_divides("patch", patch, window)
        check_divides("heads", heads, hidden)
        check_dropout(dropout)
        if pool not in POOLS:
            raise ValueError(f"Invalid pool: {pool!r}, possible options: {list(POOLS)}")
        super().__init__(
            channels, window=window, hop=hop, embedding=hidden, classes=classes, context=context
        )
        self.patch, self.pool = patch, pool
        self.project = nn.Linear(patch * len(channels), hidden)
        self.class_token = nn.Parameter(torch.zeros(hidden)) if pool == "class_token" else None
        tokens = window // patch + (pool == "class_token")
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, hidden))
        self.dropout = nn.Dropout(dropout)
        # made one by one, for nn.TransformerEncoder starts all its layers with equal weights
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    hidden,
                    heads,
                    widening * hidden,
                    dropout,
                    activation="gelu",
                    batch_first=True,
                    norm_first=True,
                )
                for _ in range(layers)
            )
        )
        self.norm = nn.LayerNorm(hidden)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the class token or the mean of the tokens, (window, hidden)."""
        tokens = self.project(windows.reshape(windows.shape[0], -1, self.project.in_features))
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(tokens.shape[0], 1, -1), tokens], dim=1)
        tokens = self.layers(self.dropout(tokens + self.positions))
        spoken = tokens.mean(dim=1) if self.class_token is None else tokens[:, 0]
        normed: Tensor = self.norm(spoken)
        return normed
