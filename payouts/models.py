"""The tables of `payouts` and their status graphs."""
