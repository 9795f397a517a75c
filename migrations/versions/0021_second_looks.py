"""bookings of bank lines that take two people

Revision: 0021_second_looks
Follows: 0020_customers
"""

import sqlalchemy as sa
from alembic import op

revision = "0021_second_looks"
down_revision = "0020_customers"
branch_labels = None
depends_on = None

# Further rows come with `pledgeworks books limit add`.
FIRST_LIMITS = """
INSERT INTO books_alone_limit (id, currency, valid_from, amount_minor, source, author, created_at)
SELECT gen_random_uuid(), currency, '2021-01-01', 10000,
       'Start value: what a bank takes for an account or a transfer abroad in a month stays below it', 'Pledgeworks', now()
FROM unnest(ARRAY['USD', 'EUR']) AS currency
"""
# Whatever is written by whatever door: above the limit a line is a fee, or sent back, only with two people's names to it.
SECOND_LOOK = """
CREATE FUNCTION bank_line_second_look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    most bigint := COALESCE((
        SELECT amount_minor FROM books_alone_limit
        WHERE currency = NEW.currency AND valid_from <= (NEW.matched_at AT TIME ZONE 'UTC')::date
        ORDER BY valid_from DESC LIMIT 1), 0);
BEGIN
    IF EXISTS (SELECT FROM books_proposal WHERE line_id = NEW.id AND confirmed) THEN
        RETURN NULL;
    END IF;
    IF NEW.amount_minor > most OR EXISTS (
        SELECT FROM bank_statement
        WHERE id = NEW.statement_id AND format = 'csv' AND imported_by_id = NEW.matched_by_id) THEN
        RAISE EXCEPTION 'line % takes two people', NEW.id USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$
"""
SECOND_LOOK_ON = """
CREATE TRIGGER bank_line_second_look AFTER UPDATE ON bank_line FOR EACH ROW
WHEN (OLD.match IS NULL AND NEW.match IN ('fee', 'sent_back')) EXECUTE FUNCTION bank_line_second_look()
"""
LIMIT_APPEND_ONLY = """
CREATE TRIGGER books_alone_limit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON books_alone_limit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "books_alone_limit",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=250), nullable=False),
        sa.Column("author", sa.String(length=250), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_books_alone_limit_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_alone_limit")),
        sa.UniqueConstraint("currency", "valid_from", name=op.f("uq_books_alone_limit_currency_valid_from")),
    )
    op.create_table(
        "books_proposal",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("line_id", sa.UUID(), nullable=False),
        sa.Column(
            "deed",
            sa.Enum("fee", "sent_back", name="deed", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("set_aside_on", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("why_two", sa.Text(), nullable=False),
        sa.Column("proposed_by_id", sa.UUID(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=True),
        sa.CheckConstraint("confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name=op.f("ck_books_proposal_two_people")),
        sa.CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name=op.f("ck_books_proposal_decided")),
        sa.CheckConstraint("(deed = 'sent_back') = (set_aside_on IS NOT NULL)", name=op.f("ck_books_proposal_from_where")),
        sa.CheckConstraint("length(trim(note)) > 0", name=op.f("ck_books_proposal_says_something")),
        sa.ForeignKeyConstraint(["line_id"], ["bank_line.id"], name=op.f("fk_books_proposal_line_id")),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=op.f("fk_books_proposal_proposed_by_id")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_books_proposal_decided_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_proposal")),
    )
    op.create_index("ix_books_proposal_line_id", "books_proposal", ["line_id"], unique=False)
    op.create_index(
        "uq_books_proposal_waiting",
        "books_proposal",
        ["line_id"],
        unique=True,
        postgresql_where=sa.text("decided_at IS NULL"),
    )
    op.execute(FIRST_LIMITS)
    op.execute(LIMIT_APPEND_ONLY)
    op.execute(SECOND_LOOK)
    op.execute(SECOND_LOOK_ON)


def downgrade() -> None:
    op.execute("DROP TRIGGER bank_line_second_look ON bank_line")
    op.execute("DROP FUNCTION bank_line_second_look()")
    op.drop_table("books_proposal")
    op.drop_table("books_alone_limit")
