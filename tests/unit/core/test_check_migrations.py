"""Squawk looks at each migration as production meets it: its tables are there, and full."""

import re

from core.db import check_migrations
from core.db.check_migrations import Finding
from core.db.migrate import sql

CHAIN = """SET lock_timeout = '5s';

SET statement_timeout = '10min';

BEGIN;

CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);

-- Running upgrade  -> 0001_people

CREATE TABLE person (id UUID NOT NULL PRIMARY KEY, email TEXT NOT NULL);

-- Running upgrade 0001_people -> 0002_emails

CREATE INDEX ix_person_email ON person (email);

COMMIT;
"""


def test_an_index_on_what_an_earlier_migration_made_is_found() -> None:
    apart = check_migrations.apart(CHAIN)
    assert list(apart) == ["0001_people", "0002_emails"]
    found = check_migrations.findings(apart)
    assert [(each.revision, each.rule) for each in found] == [("0002_emails", "require-concurrent-index-creation")]
    assert check_migrations.refused(found) == found
    # As one file, which is how the chain was looked at before, there is nothing to find.
    together = {"0002_emails": re.sub(r"(?m)^-- Running upgrade .*$", "", CHAIN)}
    assert check_migrations.findings(together) == []


def test_what_is_accepted_was_finished_before_and_of_that_rule_only() -> None:
    old = Finding("0013_rail_choice", 7, "require-concurrent-index-creation", "…")
    assert check_migrations.refused([old, Finding("0013_rail_choice", 7, "ban-drop-column", "…")])[0].rule == "ban-drop-column"
    assert max(number for numbers in check_migrations.ACCEPTED.values() for number in numbers) <= 49


def test_every_migration_is_looked_at() -> None:
    chain = sql()
    apart = check_migrations.apart(chain)
    assert len(apart) == chain.count("-- Running upgrade ") > 40
    assert all(text.count("BEGIN;") == text.count("COMMIT;") == 1 for text in apart.values())
