"""bank accounts, statements and their lines

Revision: 0012_bank_lines
Follows: 0014_said_no
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012_bank_lines"
down_revision = "0014_said_no"
branch_labels = None
depends_on = None

# What the bank said never changes, and what was posted for a line stays with it. Only a link, which posted nothing, comes off.
LINE_GUARD = """
CREATE FUNCTION bank_line_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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
    RETURN NEW;
END
$$
"""
LINE_GUARD_ON = """
CREATE TRIGGER bank_line_guard BEFORE UPDATE OR DELETE ON bank_line FOR EACH ROW EXECUTE FUNCTION bank_line_guard()
"""
LINE_GUARD_WHOLE = """
CREATE TRIGGER bank_line_guard_whole BEFORE TRUNCATE ON bank_line FOR EACH STATEMENT EXECUTE FUNCTION bank_line_guard()
"""


def upgrade() -> None:
    op.create_table(
        "bank_account",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("number", sa.String(length=250), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("csv_columns", postgresql.JSONB(), nullable=True),
        sa.Column("added_by_id", sa.UUID(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("number ~ '^[A-Z0-9]{4,34}$'", name=op.f("ck_bank_account_number")),
        sa.ForeignKeyConstraint(["added_by_id"], ["person.id"], name=op.f("fk_bank_account_added_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_account")),
        sa.UniqueConstraint("number", "currency", name=op.f("uq_bank_account_number_currency")),
    )
    op.create_table(
        "bank_statement",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column(
            "format",
            sa.Enum("camt.053", "csv", name="statementformat", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("opening_minor", sa.BigInteger(), nullable=True),
        sa.Column("closing_minor", sa.BigInteger(), nullable=True),
        sa.Column("file_id", sa.UUID(), nullable=False),
        sa.Column("imported_by_id", sa.UUID(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["bank_account.id"], name=op.f("fk_bank_statement_account_id")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_bank_statement_file_id")),
        sa.ForeignKeyConstraint(["imported_by_id"], ["person.id"], name=op.f("fk_bank_statement_imported_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_statement")),
    )
    op.create_index("ix_bank_statement_account_id", "bank_statement", ["account_id", "until_on"], unique=False)
    op.create_table(
        "bank_line",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("statement_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("identity", sa.String(length=250), nullable=False),
        sa.Column("booked_on", sa.Date(), nullable=False),
        sa.Column("value_on", sa.Date(), nullable=True),
        sa.Column(
            "direction",
            sa.Enum("in", "out", name="direction", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("bank_reference", sa.Text(), nullable=True),
        sa.Column("end_to_end", sa.Text(), nullable=True),
        sa.Column("counterparty", sa.Text(), nullable=True),
        sa.Column("counterparty_account", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=True),
        sa.Column(
            "match",
            sa.Enum(
                "confirmed",
                "linked",
                "set_aside",
                "fee",
                "sent_back",
                name="match",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("matched_by_id", sa.UUID(), nullable=True),
        sa.Column("matched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_bank_line_amount_positive")),
        sa.CheckConstraint("num_nulls(entry_id, match, matched_by_id, matched_at) IN (0, 4)", name=op.f("ck_bank_line_matched")),
        sa.ForeignKeyConstraint(["account_id"], ["bank_account.id"], name=op.f("fk_bank_line_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"], name=op.f("fk_bank_line_entry_id")),
        sa.ForeignKeyConstraint(["matched_by_id"], ["person.id"], name=op.f("fk_bank_line_matched_by_id")),
        sa.ForeignKeyConstraint(["statement_id"], ["bank_statement.id"], name=op.f("fk_bank_line_statement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_line")),
        sa.UniqueConstraint("account_id", "identity", name=op.f("uq_bank_line_account_id_identity")),
    )
    op.create_index(
        "ix_bank_line_open", "bank_line", ["account_id", "booked_on"], unique=False, postgresql_where=sa.text("entry_id IS NULL")
    )
    op.create_index("ix_bank_line_statement_id", "bank_line", ["statement_id", "position"], unique=False)
    op.create_index(
        "uq_bank_line_entry", "bank_line", ["entry_id", "currency"], unique=True, postgresql_where=sa.text("entry_id IS NOT NULL")
    )
    op.execute(LINE_GUARD)
    op.execute(LINE_GUARD_ON)
    op.execute(LINE_GUARD_WHOLE)


def downgrade() -> None:
    op.drop_table("bank_line")
    op.execute("DROP FUNCTION bank_line_guard()")
    op.drop_table("bank_statement")
    op.drop_table("bank_account")
