"""explanations are of one difference, and it is known when outside was read

Revision: 0023_explained_amounts
Follows: 0022_host_orders
"""

import sqlalchemy as sa
from alembic import op

revision = "0023_explained_amounts"
down_revision = "0022_host_orders"
branch_labels = None
depends_on = None

# A line is in one list only, and so is a movement that met nothing. One that met something was explained before or after: unknown.
LINES = """
UPDATE books_explanation AS said SET side = 'missing_here', currency = line.currency,
    amount_minor = CASE line.direction WHEN 'in' THEN line.amount_minor ELSE -line.amount_minor END
FROM bank_line AS line WHERE said.subject = 'bank_line' AND line.id = said.subject_id
"""
MOVEMENTS = """
UPDATE books_explanation AS said SET side = 'missing_here', currency = movement.currency, amount_minor = movement.amount_minor
FROM outside_movement AS movement
WHERE said.subject = 'outside_movement' AND movement.id = said.subject_id AND movement.entry_id IS NULL
"""
# An entry that moved two places may be missing in either, with another amount in each: unknown too.
ENTRIES = """
UPDATE books_explanation AS said SET side = 'missing_there', currency = moved.currency, amount_minor = moved.amount
FROM (
    SELECT entry_id, min(currency) AS currency, min(amount) AS amount
    FROM (
        SELECT transfer.entry_id, account.commodity AS currency,
            CASE WHEN account.code LIKE 'assets:bank:%' THEN account.code ELSE split_part(account.code, ':', 3) END AS place,
            sum(CASE WHEN transfer.debit_id = account.id THEN transfer.amount ELSE -transfer.amount END)::bigint AS amount
        FROM ledger_transfer AS transfer
        JOIN ledger_account AS account ON account.id IN (transfer.debit_id, transfer.credit_id)
        WHERE transfer.phase IN ('direct', 'settle')
            AND account.code ~ '^(assets:bank|assets:rail|liabilities:rail):'
            AND transfer.entry_id IN (SELECT subject_id FROM books_explanation WHERE subject = 'entry')
        GROUP BY transfer.entry_id, account.commodity, place
    ) AS places
    WHERE amount <> 0 GROUP BY entry_id HAVING count(*) = 1
) AS moved
WHERE said.subject = 'entry' AND moved.entry_id = said.subject_id
"""
ACCOUNTS_READ = """
UPDATE bank_account AS account SET read_at = (SELECT max(imported_at) FROM bank_statement WHERE account_id = account.id)
"""
# The hour in which a movement was first seen, its provider was read.
FEEDS_READ = """
INSERT INTO books_feed_reading (provider, read_at)
SELECT provider, max(first_seen_at) FROM outside_movement GROUP BY provider
"""


def upgrade() -> None:
    op.create_table(
        "books_feed_reading",
        sa.Column("provider", sa.String(length=250), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_books_feed_reading")),
    )
    op.add_column("bank_account", sa.Column("read_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("books_explanation", sa.Column("side", sa.String(length=40), nullable=True))
    op.add_column("books_explanation", sa.Column("amount_minor", sa.BigInteger(), nullable=True))
    op.add_column("books_explanation", sa.Column("currency", sa.String(length=3), nullable=True))
    for statement in (LINES, MOVEMENTS, ENTRIES, ACCOUNTS_READ, FEEDS_READ):
        op.execute(statement)
    op.create_check_constraint("side", "books_explanation", "side IN ('missing_here', 'missing_there', 'different')")
    op.create_check_constraint("of_a_difference", "books_explanation", "num_nulls(side, amount_minor, currency) IN (0, 3)")
    op.drop_index("uq_books_explanation_subject", table_name="books_explanation")
    op.create_index(
        "uq_books_explanation_difference",
        "books_explanation",
        ["subject", "subject_id", "side", "amount_minor", "currency"],
        unique=True,
        postgresql_where=sa.text("confirmed IS NOT FALSE"),
        postgresql_nulls_not_distinct=True,
    )


def downgrade() -> None:
    """Of several explanations of one thing only the newest stays."""
    op.execute(
        "DELETE FROM books_explanation AS older USING books_explanation AS newer"
        " WHERE newer.subject = older.subject AND newer.subject_id = older.subject_id"
        " AND older.confirmed IS NOT FALSE AND newer.confirmed IS NOT FALSE"
        " AND (newer.proposed_at, newer.id) > (older.proposed_at, older.id)"
    )
    op.drop_index("uq_books_explanation_difference", table_name="books_explanation")
    op.create_index(
        "uq_books_explanation_subject",
        "books_explanation",
        ["subject", "subject_id"],
        unique=True,
        postgresql_where=sa.text("confirmed IS NOT FALSE"),
    )
    op.drop_constraint("of_a_difference", "books_explanation", type_="check")
    op.drop_constraint("side", "books_explanation", type_="check")
    for column in ("currency", "amount_minor", "side"):
        op.drop_column("books_explanation", column)
    op.drop_column("bank_account", "read_at")
    op.drop_table("books_feed_reading")
