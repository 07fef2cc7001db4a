"""Stability: how far predictions depend on the seed, and what makes them steadier."""
