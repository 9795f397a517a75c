"""The background work of `grants`."""
