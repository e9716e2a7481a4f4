"""Live decoding: sources of signal and the loop that runs a decoder on them."""
