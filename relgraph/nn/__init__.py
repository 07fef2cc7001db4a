"""Layers and modules: the relative layer, folding, encoders, the model that joins an encoder with
a head, and its two parts when it is cut between two layers."""
