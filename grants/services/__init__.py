"""The verbs of `grants`, one file per part of the story. The caller owns the transaction."""
