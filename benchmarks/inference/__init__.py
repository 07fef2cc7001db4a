"""Time and memory of relative heads."""
