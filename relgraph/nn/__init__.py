"""Layers and modules: the relative layer, folding, encoders, and models of encoder and head, whole or cut."""
