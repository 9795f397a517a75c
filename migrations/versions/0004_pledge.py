"""companies' pledges, payments, reports, membership

Revision: 0004_pledge
Follows: 0003_ledger
"""

revision = "0004_pledge"
down_revision = "0003_ledger"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
