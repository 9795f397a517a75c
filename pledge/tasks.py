"""The background work of `pledge`."""
