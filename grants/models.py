"""The tables of `grants` and their status graphs."""
