"""Quota groups: projects lend what they own and do not use, and get it back."""
