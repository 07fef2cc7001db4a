"""Studies: how much of a result depends on the seed."""
