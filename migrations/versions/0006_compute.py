"""offers, pools, compute grants, jobs, usage

Revision: 0006_compute
Follows: 0005_payouts
"""

revision = "0006_compute"
down_revision = "0005_payouts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
