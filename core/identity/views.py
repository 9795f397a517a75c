"""Signing in and out, the account's own pages, people and roles, and the public pages of projects and organisations."""

from core.identity.pages import bp

__all__ = ["bp"]
