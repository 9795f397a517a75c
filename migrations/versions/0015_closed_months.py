"""reconciliation with providers, explanations of differences, closed months

Revision: 0015_closed_months
Follows: 0011_pay_ins
"""

import sqlalchemy as sa
from alembic import op

revision = "0015_closed_months"
down_revision = "0011_pay_ins"
branch_labels = None
depends_on = None

CLOSED_UNTIL = """
CREATE FUNCTION ledger_closed_until() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT (max(month) + interval '1 month') AT TIME ZONE 'UTC' FROM closed_month WHERE reopened_at IS NULL
$$
"""
# Whoever posts into the past holds it together with others, whoever closes a month holds it alone.
CLOSING_LOCK = "CREATE FUNCTION ledger_closing_lock() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 421770012::bigint $$"
REFUSE_CLOSED = """
CREATE FUNCTION ledger_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(ledger_closing_lock());
    IF NEW.at < ledger_closed_until() THEN
        RAISE EXCEPTION 'entry % is dated %, in a closed month', NEW.key, NEW.at USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$
"""
# After the row, so that a COPY still writes many at once; and only for dates before this month, so that posting pays nothing.
REFUSE_CLOSED_ON = """
CREATE TRIGGER ledger_entry_not_in_a_closed_month AFTER INSERT ON ledger_entry
FOR EACH ROW WHEN (NEW.at < date_trunc('month', now(), 'UTC')) EXECUTE FUNCTION ledger_refuse_closed()
"""


def upgrade() -> None:
    op.create_table(
        "books_explanation",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column(
            "subject",
            sa.Enum(
                "bank_line", "outside_movement", "entry", name="subject", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("subject_id", sa.UUID(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("proposed_by_id", sa.UUID(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name=op.f("ck_books_explanation_two_people")
        ),
        sa.CheckConstraint("length(trim(text)) > 0", name=op.f("ck_books_explanation_says_something")),
        sa.CheckConstraint(
            "num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name=op.f("ck_books_explanation_decided")
        ),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_books_explanation_decided_by_id")),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=op.f("fk_books_explanation_proposed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_explanation")),
    )
    op.create_index(
        "uq_books_explanation_subject",
        "books_explanation",
        ["subject", "subject_id"],
        unique=True,
        postgresql_where=sa.text("confirmed IS NOT FALSE"),
    )
    op.create_table(
        "closed_month",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("explained", sa.BigInteger(), nullable=False),
        sa.Column("closed_by_id", sa.UUID(), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reopening_asked_by_id", sa.UUID(), nullable=True),
        sa.Column("reopening_asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reopening_reason", sa.Text(), nullable=True),
        sa.Column("reopened_by_id", sa.UUID(), nullable=True),
        sa.Column("reopened_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("extract(day FROM month) = 1", name=op.f("ck_closed_month_first_day")),
        sa.CheckConstraint("num_nulls(reopened_by_id, reopened_at) IN (0, 2)", name=op.f("ck_closed_month_reopened")),
        sa.CheckConstraint(
            "num_nulls(reopening_asked_by_id, reopening_asked_at, reopening_reason) IN (0, 3)", name=op.f("ck_closed_month_asked")
        ),
        sa.CheckConstraint("reopened_at IS NULL OR reopening_asked_at IS NOT NULL", name=op.f("ck_closed_month_asked_before")),
        sa.CheckConstraint("reopened_by_id <> reopening_asked_by_id", name=op.f("ck_closed_month_two_people")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["person.id"], name=op.f("fk_closed_month_closed_by_id")),
        sa.ForeignKeyConstraint(["reopened_by_id"], ["person.id"], name=op.f("fk_closed_month_reopened_by_id")),
        sa.ForeignKeyConstraint(["reopening_asked_by_id"], ["person.id"], name=op.f("fk_closed_month_reopening_asked_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closed_month")),
    )
    op.create_index(
        "uq_closed_month_month", "closed_month", ["month"], unique=True, postgresql_where=sa.text("reopened_at IS NULL")
    )
    op.create_table(
        "outside_movement",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("provider", sa.String(length=250), nullable=False),
        sa.Column("remote_id", sa.String(length=250), nullable=False),
        sa.Column("kind", sa.String(length=250), nullable=False),
        sa.Column("about", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("amount_minor <> 0", name=op.f("ck_outside_movement_moves_something")),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"], name=op.f("fk_outside_movement_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outside_movement")),
        sa.UniqueConstraint("provider", "remote_id", name=op.f("uq_outside_movement_provider_remote_id")),
    )
    op.create_index(
        "ix_outside_movement_open",
        "outside_movement",
        ["occurred_at"],
        unique=False,
        postgresql_where=sa.text("entry_id IS NULL"),
    )
    op.create_index(
        "uq_outside_movement_entry",
        "outside_movement",
        ["entry_id"],
        unique=True,
        postgresql_where=sa.text("entry_id IS NOT NULL"),
    )
    op.execute(CLOSED_UNTIL)
    op.execute(CLOSING_LOCK)
    op.execute(REFUSE_CLOSED)
    op.execute(REFUSE_CLOSED_ON)


def downgrade() -> None:
    op.execute("DROP TRIGGER ledger_entry_not_in_a_closed_month ON ledger_entry")
    op.execute("DROP FUNCTION ledger_refuse_closed()")
    op.execute("DROP FUNCTION ledger_closed_until()")
    op.execute("DROP FUNCTION ledger_closing_lock()")
    op.drop_table("closed_month")
    op.drop_table("books_explanation")
    op.drop_table("outside_movement")
