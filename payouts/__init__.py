"""Recipients, payouts, approvals, rails: never twice, never lost."""
