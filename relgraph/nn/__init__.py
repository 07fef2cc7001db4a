"""Layers and modules: the relative layer, folding, encoders, and the model that joins an encoder with a head."""
