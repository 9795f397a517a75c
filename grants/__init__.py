"""Programmes, applications, reviews, grants and their instalments. The only domain that calls others."""
