"""The tables of the whole platform, for migrations: the one place of the kernel that names the domains, by string only."""

from importlib import import_module

from sqlalchemy import MetaData

from core.db import Base

MODULES_WITH_TABLES = (
    "core.identity.models",
    "core.ledger.models",
    "core.tasks.models",
    "core.audit",
    "core.files",
    "core.books.models",
    "pledge.models",
    "payouts.models",
    "compute.models",
    "grants.models",
)


def complete() -> MetaData:
    """The metadata with every table registered."""
    for module in MODULES_WITH_TABLES:
        import_module(module)
    return Base.metadata
