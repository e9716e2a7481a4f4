"""Decoders of brain signals that are trained on files and run live, with the same answer."""
