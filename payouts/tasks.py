"""The background work of `payouts`."""
