"""The tables of `pledge` and their status graphs."""
