"""CNN-LSTM: convolutions over the spectra of each second, which REST is compared with.

In the form of Tang et al.: Self-Supervised Graph Neural Networks for Improved
Electroencephalographic Seizure Analysis, ICLR 2022 (arXiv 2104.08336), who compare with it too.
What differs from the published code:

- The LSTM runs over the steps of a window. There it runs over the windows of a batch, so that an
  answer depends on which windows stand before it in the batch.
- Between its layers stands nothing that is not linear but the pooling; ``activation="relu"`` puts
  a ReLU behind each convolution and the dense layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ranvier.networks.sizes import check_sizes, choose
from ranvier.networks.windows import WindowNetwork

ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU}


class CNNLSTM(WindowNetwork):
    """Convolutions and a dense layer on each step, then an LSTM; 5,976,033 weights at 19 nodes.

    Parameters
    ----------
    channels
        Electrodes or derivations, at least 6, in an order in which neighbours stand together.
    features
        Features per node and step, at least 6.
    window, hop
        Steps that are looked at, and from one window to the next.
    filters
        Of each convolution, 3 nodes by 3 features.
    dense
        Size of what the LSTM takes of each step.
    hidden, layers
        Size of the LSTM's state, and LSTMs on top of each other.
    activation
        ``"none"`` as published, or ``"relu"``.
    classes
        Outputs of the readout.
    context
        Earlier windows that a one-way GRU looks back on.

    Raises
    ------
    ValueError
        If the activation is unknown or a size is too small.
    """

    def __init__(
        self,
        channels: Sequence[str],
        *,
        features: int = 100,
        window: int = 12,
        hop: int | None = 1,
        filters: int = 32,
        dense: int = 512,
        hidden: int = 128,
        layers: int = 2,
        activation: Literal["none", "relu"] = "none",
        classes: int = 1,
        context: int = 0,
    ) -> None:
        check_sizes(filters=filters, dense=dense, hidden=hidden, layers=layers)
        check_sizes(6, channels=len(channels), features=features)
        super().__init__(
            channels,
            window=window,
            hop=hop,
            embedding=hidden,
            classes=classes,
            features=features,
            context=context,
        )
        act = choose("activation", activation, ACTIVATIONS)
        places = (len(channels) - 4) // 2 * ((features - 4) // 2)
        self.look = nn.Sequential(
            nn.Conv2d(1, filters, 3),
            act(),
            nn.Conv2d(filters, filters, 3),
            act(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(filters * places, dense),
            act(),
        )
        self.lstm = nn.LSTM(dense, hidden, layers, batch_first=True)

    def embed(self, windows: Tensor) -> Tensor:
        """Return the state after the last step, (window, hidden)."""
        seen = self.look(windows.flatten(0, 1)[:, None])
        _, (state, _) = self.lstm(seen.view(windows.shape[0], self.window, -1))
        newest: Tensor = state[-1]
        return newest
