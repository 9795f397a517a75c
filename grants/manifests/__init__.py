"""funding.json: reading, validating, and proving whose the named pages are. One validator for form, API and command line.

Pure but for `fetching`, which is the only part that opens connections. The rules are in docs/reference/funding-json.md.
"""
