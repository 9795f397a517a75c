"""one line of a bank statement that is the sum of several entries

Revision: 0027_several
Follows: 0026_invoices
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027_several"
down_revision = "0026_invoices"
branch_labels = None
depends_on = None

MATCHES = "'confirmed', 'linked', 'set_aside', 'fee', 'sent_back'"
WHAT_THE_BANK_SAID = """
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'lines of bank statements are kept for good' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (OLD.id, OLD.account_id, OLD.statement_id, OLD.position, OLD.identity, OLD.booked_on, OLD.direction, OLD.amount_minor,
        OLD.currency, OLD.text) IS DISTINCT FROM
       (NEW.id, NEW.account_id, NEW.statement_id, NEW.position, NEW.identity, NEW.booked_on, NEW.direction, NEW.amount_minor,
        NEW.currency, NEW.text)
       OR (OLD.value_on, OLD.bank_reference, OLD.end_to_end, OLD.counterparty, OLD.counterparty_account) IS DISTINCT FROM
          (NEW.value_on, NEW.bank_reference, NEW.end_to_end, NEW.counterparty, NEW.counterparty_account) THEN
        RAISE EXCEPTION 'what the bank said does not change' USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.entry_id IS NOT NULL AND OLD.match <> 'linked' AND OLD.entry_id IS DISTINCT FROM NEW.entry_id THEN
        RAISE EXCEPTION 'what was posted for a line stays with it' USING ERRCODE = 'restrict_violation';
    END IF;
"""
OF_SEVERAL = """
    IF OLD.match = 'several' AND NEW.match IS DISTINCT FROM OLD.match
       AND EXISTS (SELECT FROM bank_line_part WHERE line_id = OLD.id AND posted) THEN
        RAISE EXCEPTION 'what was posted for a line stays with it' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.entry_id IS NOT NULL AND NEW.entry_id IS DISTINCT FROM OLD.entry_id
       AND EXISTS (SELECT FROM bank_line_part WHERE entry_id = NEW.entry_id AND currency = NEW.currency) THEN
        RAISE EXCEPTION 'entry % is a part of another line', NEW.entry_id USING ERRCODE = 'unique_violation';
    END IF;
"""
# Under the lock of whoever gives a line its entry (core.books.meeting), so two can't pass each other.
PART_GUARD = """
CREATE FUNCTION bank_line_part_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT FROM bank_line WHERE entry_id = NEW.entry_id AND currency = NEW.currency) THEN
            RAISE EXCEPTION 'entry % met another line', NEW.entry_id USING ERRCODE = 'unique_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF TG_OP = 'DELETE' THEN
        IF NOT OLD.posted AND NOT EXISTS (SELECT FROM bank_line WHERE id = OLD.line_id AND match = 'several') THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the parts of a line stay with it' USING ERRCODE = 'restrict_violation';
END
$$
"""
PART_GUARD_ON = """
CREATE TRIGGER bank_line_part_guard BEFORE INSERT OR UPDATE OR DELETE ON bank_line_part
FOR EACH ROW EXECUTE FUNCTION bank_line_part_guard()
"""
PART_GUARD_WHOLE = """
CREATE TRIGGER bank_line_part_guard_whole BEFORE TRUNCATE ON bank_line_part
FOR EACH STATEMENT EXECUTE FUNCTION bank_line_part_guard()
"""
SECOND_LOOK = """
CREATE TRIGGER bank_line_second_look AFTER UPDATE ON bank_line FOR EACH ROW
WHEN (OLD.match IS NULL AND NEW.match IN ({matches})) EXECUTE FUNCTION bank_line_second_look()
"""
SECOND_LOOK_BODY = """
CREATE OR REPLACE FUNCTION bank_line_second_look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint := COALESCE((
        SELECT amount_minor FROM books_alone_limit
        WHERE currency = NEW.currency AND valid_from <= (NEW.matched_at AT TIME ZONE 'UTC')::date
        ORDER BY valid_from DESC LIMIT 1), 0);
BEGIN
    IF EXISTS (SELECT FROM books_proposal WHERE line_id = NEW.id AND confirmed) THEN
        RETURN NULL;
    END IF;
    IF {always}NEW.amount_minor > most OR EXISTS (
        SELECT FROM bank_statement
        WHERE id = NEW.statement_id AND format = 'csv' AND imported_by_id = NEW.matched_by_id) THEN
        RAISE EXCEPTION 'line % takes two people', NEW.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "bank_line_part",
        sa.Column("line_id", sa.UUID(), nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("posted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["line_id"], ["bank_line.id"], name=op.f("fk_bank_line_part_line_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"], name=op.f("fk_bank_line_part_entry_id")),
        sa.PrimaryKeyConstraint("line_id", "entry_id", name=op.f("pk_bank_line_part")),
        sa.UniqueConstraint("entry_id", "currency", name=op.f("uq_bank_line_part_entry_id_currency")),
    )
    op.add_column("books_proposal", sa.Column("chosen", postgresql.JSONB(), nullable=True))
    _replace_check("books_proposal", "deed", "deed IN ('fee', 'sent_back', 'several')")
    op.create_check_constraint("of_what", "books_proposal", "(deed = 'several') = (chosen IS NOT NULL)")
    _replace_check("bank_line", "match", f"match IN ({MATCHES}, 'several')")
    _replace_check("bank_line", "matched", "num_nulls(match, matched_by_id, matched_at) IN (0, 3)")
    op.create_check_constraint("met_one", "bank_line", "(entry_id IS NULL) = (match IS NULL OR match = 'several')")
    _open_lines("match IS NULL")
    _guard(WHAT_THE_BANK_SAID + OF_SEVERAL)
    op.execute(PART_GUARD)
    op.execute(PART_GUARD_ON)
    op.execute(PART_GUARD_WHOLE)
    _second_look("'fee', 'sent_back', 'several'", "NEW.match = 'several' OR ")


def downgrade() -> None:
    """Lines that are the sum of several wait again; what was posted for them stays in the ledger."""
    _second_look("'fee', 'sent_back'", "")
    _guard(WHAT_THE_BANK_SAID)
    op.drop_table("bank_line_part")
    op.execute("DROP FUNCTION bank_line_part_guard()")
    op.execute("UPDATE bank_line SET match = NULL, matched_by_id = NULL, matched_at = NULL WHERE match = 'several'")
    op.execute("DELETE FROM books_proposal WHERE deed = 'several'")
    _open_lines("entry_id IS NULL")
    op.drop_constraint("met_one", "bank_line", type_="check")
    _replace_check("bank_line", "matched", "num_nulls(entry_id, match, matched_by_id, matched_at) IN (0, 4)")
    _replace_check("bank_line", "match", f"match IN ({MATCHES})")
    op.drop_constraint("of_what", "books_proposal", type_="check")
    _replace_check("books_proposal", "deed", "deed IN ('fee', 'sent_back')")
    op.drop_column("books_proposal", "chosen")


def _guard(rules: str) -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION bank_line_guard() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        f"BEGIN{rules}    RETURN NEW;\nEND\n$$"
    )


def _second_look(matches: str, always: str) -> None:
    op.execute("DROP TRIGGER bank_line_second_look ON bank_line")
    op.execute(SECOND_LOOK_BODY.format(always=always))
    op.execute(SECOND_LOOK.format(matches=matches))


def _open_lines(condition: str) -> None:
    op.drop_index("ix_bank_line_open", table_name="bank_line")
    op.create_index(
        "ix_bank_line_open", "bank_line", ["account_id", "booked_on"], unique=False, postgresql_where=sa.text(condition)
    )


def _replace_check(table: str, name: str, rule: str) -> None:
    """Only the platform writes these tables."""
    full = f"ck_{table}_{name}"
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE {table} DROP CONSTRAINT {full}")
    op.create_check_constraint(name, table, rule)
