"""Side-by-side measurements: each module is a command that prints our figure, a named peer or bound, and the ratio."""
