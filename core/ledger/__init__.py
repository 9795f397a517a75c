"""The one double-entry ledger: every cent and every GPU-second."""
