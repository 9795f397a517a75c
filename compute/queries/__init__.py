"""Reads of `compute`, by what they are about."""
