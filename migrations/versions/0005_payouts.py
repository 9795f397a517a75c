"""recipients, payouts, attempts, runs

Revision: 0005_payouts
Follows: 0004_pledge
"""

revision = "0005_payouts"
down_revision = "0004_pledge"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
