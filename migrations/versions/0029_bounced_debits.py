"""debits that were on our balance while they were on their way, and movements that nobody here can book

Revision: 0029_bounced_debits
Follows: 0028_said_by_provider
"""

import sqlalchemy as sa
from alembic import op

revision = "0029_bounced_debits"
down_revision = "0028_said_by_provider"
branch_labels = None
depends_on = None

KINDS = "'arrival', 'refund', 'refund_failed', 'dispute', 'reinstated', 'fee'"


def upgrade() -> None:
    op.add_column("pay_in", sa.Column("unknown", sa.Text(), nullable=True))
    _kinds(f"{KINDS}, 'payment_failed'")


def downgrade() -> None:
    """Fails where a debit bounced: its movements can't be told in the words of before."""
    _kinds(KINDS)
    op.drop_column("pay_in", "unknown")


def _kinds(words: str) -> None:
    """Only the platform writes this table."""
    op.execute(
        "-- squawk-ignore ban-drop-constraint\nALTER TABLE pay_in_movement DROP CONSTRAINT ck_pay_in_movement_movementkind"
    )
    op.create_check_constraint("movementkind", "pay_in_movement", f"kind IN ({words})")
