"""Time of training."""
