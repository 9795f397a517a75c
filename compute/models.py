"""The tables of `compute` and their status graphs."""
