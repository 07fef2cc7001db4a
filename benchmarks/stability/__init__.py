"""How much of what models predict changes when they are trained anew, and what can be done about it."""
