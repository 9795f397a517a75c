"""The shared kernel: database, ledger, tasks, identity, web. It imports no domain."""
