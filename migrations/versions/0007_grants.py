"""programmes, applications, reviews, grants, instalments

Revision: 0007_grants
Follows: 0006_compute
"""

revision = "0007_grants"
down_revision = "0006_compute"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
