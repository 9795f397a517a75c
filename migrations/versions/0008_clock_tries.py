"""tries of daily work that have not succeeded

Revision: 0008_clock_tries
Follows: 0007_grants
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_clock_tries"
down_revision = "0007_grants"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clock_try",
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_clock_try")),
    )


def downgrade() -> None:
    op.drop_table("clock_try")
