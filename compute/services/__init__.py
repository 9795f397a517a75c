"""The verbs of `compute`, by what they change. The caller owns the transaction, and `now`."""
