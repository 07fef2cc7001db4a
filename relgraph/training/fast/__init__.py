"""Faster ways to train some models, with the results of the reference loop up to rounding and random draws."""
