"""what providers say they hold for us, day by day

Revision: 0030_provider_balances
Follows: 0029_bounced_debits
"""

import sqlalchemy as sa
from alembic import op

revision = "0030_provider_balances"
down_revision = "0029_bounced_debits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_balance",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("provider", sa.String(length=250), nullable=False),
        sa.Column("on", sa.Date(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("there_minor", sa.BigInteger(), nullable=False),
        sa.Column("ledger_minor", sa.BigInteger(), nullable=False),
        sa.Column("lists_minor", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_balance")),
        sa.UniqueConstraint("provider", "on", "currency", name=op.f("uq_provider_balance_provider_on_currency")),
    )


def downgrade() -> None:
    op.drop_table("provider_balance")
