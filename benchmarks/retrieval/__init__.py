"""How well a translated query finds its own row in the old table."""
