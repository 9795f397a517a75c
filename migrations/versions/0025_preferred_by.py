"""who said by which rail a payee is paid

Revision: 0025_preferred_by
Follows: 0024_cash_accounts
"""

import sqlalchemy as sa
from alembic import op

revision = "0025_preferred_by"
down_revision = "0024_cash_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recipient", sa.Column("preferred_by_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_recipient_preferred_by_id"), "recipient", "person", ["preferred_by_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_recipient_preferred_by_id"), "recipient", type_="foreignkey")
    op.drop_column("recipient", "preferred_by_id")
