"""The books: what banks say, line by line, held against what the domains expect and what the ledger says.

Money in belongs to `pledge`, money out to `payouts`, and neither knows the other. Here is what both share: bank accounts,
statements, and a small Protocol (`sources.Source`) by which a domain says what it expects to see on an account and what is to
be done when a person has found it there. docs/decisions/0008-bank-lines.md says why.
"""
