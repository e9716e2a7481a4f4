"""CCT: the compact convolutional transformer that ARNN is compared with.

Hassani et al.: Escaping the Big Data Paradigm with Compact Transformers, arXiv 2104.05704; as a
comparison in Rukhsar, Tiwari: ARNN, arXiv 2403.03276. It takes the window as a picture of one
colour, time by channels. What differs from the published comparison:

- A token is a place of the pooled picture with all its filters, as in the compact transformer;
  there, a linear layer mixes the channels first, the last convolution has one filter, the pools
  keep every place, and a token is a sample.
- Attention and feed-forward part are added to what came in; there, what came in is lost, and its
  place is taken by a sum of what comes out and the norm of that.
- Nothing is dropped inside of attention, so that its weights need never be written out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ranvier.networks.sizes import check_divides, check_dropout, check_sizes
from ranvier.networks.windows import WindowNetwork


class StochasticDepth(nn.Dropout):
    """Leave out a whole branch for some rows of a batch in training, and scale up the others.

    Huang et al.: Deep Networks with Stochastic Depth, arXiv 1603.09382.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """(batch, token, hidden)."""
        ones = input.new_ones(input.shape[0], 1, 1)
        return input * functional.dropout(ones, self.p, self.training)


class Attention(nn.Module):
    """Attention between tokens, with the norm before it.

    ``nn.MultiheadAttention`` writes out the weights of all pairs when nothing is learnt, which
    takes twice as long for a thousand tokens.
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(hidden)
        self.project = nn.Linear(hidden, 3 * hidden)
        self.join = nn.Linear(hidden, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, token, hidden)."""
        projected = self.project(self.norm(tokens))
        parts = projected.view(*tokens.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(*parts.unbind(0))
        joined: Tensor = self.join(attended.transpose(1, 2).flatten(2))
        return joined


class EncoderLayer(nn.Module):
    """Attention and a feed-forward part, each of which may be left out in training."""

    def __init__(
        self, hidden: int, heads: int, widening: int, dropout: float, skipping: float
    ) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Linear(hidden, widening * hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(widening * hidden, hidden),
            nn.Dropout(dropout),
        )
        self.skip = StochasticDepth(skipping)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, token, hidden)."""
        tokens = tokens + self.skip(self.attention(tokens))
        added: Tensor = tokens + self.skip(self.feed_forward(tokens))
        return added


class CCT(WindowNetwork):
    """Convolutions make tokens, attention joins them; 94,977 weights at 18 channels.

    Parameters
    ----------
    channels
        Channels that come in, one or more; samples of about unit size. Their order counts, for
        neighbours are convolved.
    window, hop
        Samples that are looked at, and from one window to the next.
    filters
        Of the first of the two convolutions.
    hidden
        Filters of the second, size of a token.
    layers
        Encoder layers.
    heads
        Parts into which attention splits a token.
    widening
        Size of the feed-forward part in tokens.
    dropout
        Share of what is dropped in training.
    stochastic_depth
        Share of windows for which a branch of the last layer is left out in training; it rises
        evenly from 0 in the first layer.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If a size is below 1, the heads do not divide the hidden size, or a share is none.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        window: int = 1024,
        hop: int | None = None,
        filters: int = 64,
        hidden: int = 40,
        layers: int = 2,
        heads: int = 4,
        widening: int = 1,
        dropout: float = 0.1,
        stochastic_depth: float = 0.1,
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(filters=filters, hidden=hidden, layers=layers, widening=widening)
        check_divides("heads", heads, hidden)
        check_dropout(dropout)
        check_dropout(stochastic_depth, "stochastic_depth")
        super().__init__(
            channels, window=window, hop=hop, embedding=hidden, classes=classes, context=context
        )
        self.tokens = nn.Sequential(*_convolution(1, filters), *_convolution(filters, hidden))
        places = _halved(_halved(window)) * _halved(_halved(len(channels)))
        self.positions = nn.Parameter(0.02 * torch.randn(places, hidden))
        self.dropout = nn.Dropout(dropout)
        skipping = torch.linspace(0, stochastic_depth, layers).tolist()
        self.layers = nn.Sequential(
            *(EncoderLayer(hidden, heads, widening, dropout, share) for share in skipping)
        )
        self.norm = nn.LayerNorm(hidden)
        self.weigh = nn.Linear(hidden, 1, bias=False)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the weighted mean of the tokens, (window, hidden)."""
        tokens = self.tokens(windows[:, None]).flatten(2).transpose(1, 2)
        tokens = self.norm(self.layers(self.dropout(tokens + self.positions)))
        pooled: Tensor = (self.weigh(tokens).softmax(dim=1) * tokens).sum(dim=1)
        return pooled


def _convolution(incoming: int, outgoing: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(incoming, outgoing, kernel_size=3, padding=1, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )


def _halved(size: int) -> int:
    return (size + 1) // 2
