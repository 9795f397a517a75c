"""what a run came to when it was approved

Revision: 0031_approved_totals
Follows: 0030_provider_balances
"""

import sqlalchemy as sa
from alembic import op

revision = "0031_approved_totals"
down_revision = "0030_provider_balances"
branch_labels = None
depends_on = None

# Lines only leave an approved run: what is left of it now is what counts from here on.
APPROVED_BEFORE = """
UPDATE payout_run AS run SET approved_minor = (
    SELECT coalesce(sum(amount_minor), 0) FROM payout WHERE run_id = run.id AND status <> 'cancelled'
) WHERE run.approved_at IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("payout_run", sa.Column("approved_minor", sa.BigInteger(), nullable=True))
    op.execute(APPROVED_BEFORE)


def downgrade() -> None:
    op.drop_column("payout_run", "approved_minor")
