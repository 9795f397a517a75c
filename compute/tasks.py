"""The background work of `compute`."""
