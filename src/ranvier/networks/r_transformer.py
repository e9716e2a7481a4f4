"""R-Transformer: recurrence within reach, attention beyond it, which ARNN is compared with.

Wang, Ma, Liu, Tang: R-Transformer: Recurrent Neural Network Enhanced Transformer, arXiv 1907.05572;
as a comparison in Rukhsar, Tiwari: ARNN, arXiv 2403.03276. What differs from the published
comparison:

- The answer comes from the last sample's token, which has seen all others; there, from all tokens
  through a layer whose size grows with the window.
- Four heads, as in the other comparisons; there two.
- Nothing is dropped inside of attention, so that its weights need never be written out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.sizes import check_divides, check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork


class LocalRNN(nn.Module):
    """A GRU that starts anew for each sample and goes over the last few up to it."""

    def __init__(self, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = nn.LayerNorm(hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, token, hidden); zeros stand before the first token."""
        padded = functional.pad(self.norm(tokens), (0, 0, self.kernel - 1, 0))
        spans = padded.unfold(1, self.kernel, 1).transpose(2, 3).flatten(0, 1)
        _, newest = self.gru(spans)
        added: Tensor = tokens + self.dropout(newest.view_as(tokens))
        return added


class Layer(nn.Module):
    """Local recurrence, attention to what came before, and a feed-forward part; norms first."""

    def __init__(
        self,
        hidden: int,
        *,
        heads: int,
        kernel: int,
        recurrences: int,
        widening: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.local = nn.Sequential(*(LocalRNN(hidden, kernel, dropout) for _ in range(recurrences)))
        self.norm = nn.LayerNorm(hidden)
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, widening * hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(widening * hidden, hidden),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor, future: Tensor | None) -> Tensor:
        """Return all tokens, or the last alone where no ``future`` must be hidden from others.

        Parameters
        ----------
        tokens
            (batch, token, hidden).
        future
            Whether a token (column) is later than another (row).
        """
        tokens = self.local(tokens)
        known, first = self.norm(tokens), 0 if future is not None else tokens.shape[1] - 1
        attended, _ = self.attention(
            known[:, first:],
            known,
            known,
            need_weights=False,
            attn_mask=future,
            is_causal=future is not None,
        )
        tokens = tokens[:, first:] + self.dropout(attended)
        added: Tensor = tokens + self.feed_forward(tokens)
        return added


class RTransformer(WindowNetwork):
    """Local recurrence and causal attention over samples; 79,921 weights at 18 channels.

    Parameters
    ----------
    channels
        Channels that come in; samples of about unit size.
    window, hop
        Samples that are looked at, and from one window to the next.
    hidden
        Size of a token.
    layers
        Layers, each of local recurrences, attention and a feed-forward part.
    heads
        Parts into which attention splits a token.
    kernel
        Samples that a local recurrence goes over.
    recurrences
        Local recurrences of a layer.
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
        If a size is below 1, the heads do not divide the hidden size, or the dropout is not a
        share.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 1024,
        hop: int | None = None,
        hidden: int = 40,
        layers: int = 2,
        heads: int = 4,
        kernel: int = 7,
        recurrences: int = 2,
        widening: int = 4,
        dropout: float = 0.1,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(hidden=hidden, layers=layers, widening=widening)
        check_sizes(kernel=kernel, recurrences=recurrences)
        check_divides("heads", heads, hidden)
        check_dropout(dropout)
        super().__init__(
            channels, window=window, hop=hop, embedding=hidden, classes=classes, context=context
        )
        self.project = nn.Linear(len(channels), hidden)
        self.layers = nn.ModuleList(
            Layer(
                hidden,
                heads=heads,
                kernel=kernel,
                recurrences=recurrences,
                widening=widening,
                dropout=dropout,
            )
            for _ in range(layers)
        )
        future = torch.ones(window, window, dtype=torch.bool).triu(1)
        self.register_buffer("future", future, persistent=False)
        self.future: Tensor

    def embed(self, windows: Tensor) -> Tensor:
        """Return the last sample's token, (window, hidden); no other is made in the last layer."""
        tokens: Tensor = self.project(windows)
        for left, layer in enumerate(self.layers, start=1 - len(self.layers)):
            tokens = layer(tokens, self.future if left else None)
        return tokens[:, -1]
