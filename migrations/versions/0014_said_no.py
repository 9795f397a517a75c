"""what a rail said of an attempt it did not pay: no, in a way that proves nothing, or that it has it and goes on with it

Revision: 0014_said_no
Follows: 0010_one_transfer
"""

import sqlalchemy as sa
from alembic import op

revision = "0014_said_no"
down_revision = "0010_one_transfer"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payout_attempt", sa.Column("said_no", sa.Text(), nullable=True))
    op.add_column("payout_attempt", sa.Column("at_rail", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("payout_attempt", "at_rail")
    op.drop_column("payout_attempt", "said_no")
