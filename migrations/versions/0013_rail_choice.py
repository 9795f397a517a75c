"""destinations on several rails, which rail was chosen and why, and what rails took

Revision: 0013_rail_choice
Follows: 0012_bank_lines
"""

import sqlalchemy as sa
from alembic import op

revision = "0013_rail_choice"
down_revision = "0012_bank_lines"
branch_labels = None
depends_on = None

EXPECTED = "expected_fee_minor >= 0 AND expected_cost_minor >= 0"
# One destination per recipient and currency again: of several the newest stays in use.
ONE_EACH = """
UPDATE destination AS older SET retired_at = newer.created_at
FROM destination AS newer
WHERE older.retired_at IS NULL AND newer.retired_at IS NULL AND older.id <> newer.id
  AND (older.recipient_id, older.currency) = (newer.recipient_id, newer.currency)
  AND (older.created_at, older.id) < (newer.created_at, newer.id)
"""


def upgrade() -> None:
    op.drop_index("uq_destination_current", "destination", postgresql_where="retired_at IS NULL")
    op.create_index(
        "uq_destination_current",
        "destination",
        ["recipient_id", "currency", "rail"],
        unique=True,
        postgresql_where="retired_at IS NULL",
    )
    op.add_column("recipient", sa.Column("preferred_rail", sa.Text(), nullable=True))
    op.create_table(
        "destination_standing",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("destination_id", sa.UUID(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_destination_standing_destination_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination_standing")),
        sa.UniqueConstraint("destination_id", name=op.f("uq_destination_standing_destination_id")),
    )
    op.add_column("payout", sa.Column("rail_reason", sa.Text(), nullable=True))
    op.add_column("payout", sa.Column("wish_rail", sa.Text(), nullable=True))
    op.add_column("payout", sa.Column("wish_reason", sa.Text(), nullable=True))
    op.add_column("payout", sa.Column("wish_by_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_payout_wish_by_id"), "payout", "person", ["wish_by_id"], ["id"])
    op.create_check_constraint("wish", "payout", "num_nulls(wish_rail, wish_reason, wish_by_id) IN (0, 3)")
    op.add_column("payout", sa.Column("expected_fee_minor", sa.BigInteger(), nullable=True))
    op.add_column("payout", sa.Column("expected_cost_minor", sa.BigInteger(), nullable=True))
    op.add_column("payout", sa.Column("expected_at_most", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint("expected", "payout", EXPECTED)
    op.add_column("payout_attempt", sa.Column("fee_minor", sa.BigInteger(), nullable=True))
    op.add_column("payout_attempt", sa.Column("cost_minor", sa.BigInteger(), nullable=True))
    op.create_check_constraint("fee", "payout_attempt", "fee_minor IS NULL OR fee_minor >= 0 AND state = 'accepted'")
    op.create_check_constraint("cost", "payout_attempt", "cost_minor IS NULL OR cost_minor >= 0 AND state = 'accepted'")


def downgrade() -> None:
    op.drop_constraint("cost", "payout_attempt", type_="check")
    op.drop_constraint("fee", "payout_attempt", type_="check")
    op.drop_column("payout_attempt", "cost_minor")
    op.drop_column("payout_attempt", "fee_minor")
    op.drop_constraint("expected", "payout", type_="check")
    op.drop_column("payout", "expected_at_most")
    op.drop_column("payout", "expected_cost_minor")
    op.drop_column("payout", "expected_fee_minor")
    op.drop_constraint("wish", "payout", type_="check")
    op.drop_constraint(op.f("fk_payout_wish_by_id"), "payout", type_="foreignkey")
    op.drop_column("payout", "wish_by_id")
    op.drop_column("payout", "wish_reason")
    op.drop_column("payout", "wish_rail")
    op.drop_column("payout", "rail_reason")
    op.drop_table("destination_standing")
    op.drop_column("recipient", "preferred_rail")
    op.drop_index("uq_destination_current", "destination", postgresql_where="retired_at IS NULL")
    op.execute(ONE_EACH)
    op.create_index(
        "uq_destination_current", "destination", ["recipient_id", "currency"], unique=True, postgresql_where="retired_at IS NULL"
    )
