"""instalments that a fiscal host expects for our fund

Revision: 0022_host_orders
Follows: 0021_second_looks
"""

import sqlalchemy as sa
from alembic import op

revision = "0022_host_orders"
down_revision = "0021_second_looks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "host_order",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("instalment_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("payer", sa.String(length=250), nullable=False),
        sa.Column("fund", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("expected_on", sa.Date(), nullable=True),
        sa.Column("host_fee_percent", sa.Numeric(precision=5, scale=2), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "asked",
                "expected",
                "paid",
                "expired",
                "refused",
                name="hostorderstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("received_minor", sa.BigInteger(), nullable=True),
        sa.Column("fee_minor", sa.BigInteger(), nullable=False),
        sa.Column("movement_id", sa.Text(), nullable=True),
        sa.Column("fee_movement_id", sa.Text(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("recorded_by_id", sa.UUID(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_host_order_amount_positive")),
        sa.CheckConstraint("host_fee_percent BETWEEN 0 AND 100", name=op.f("ck_host_order_fee_percent")),
        sa.CheckConstraint(
            "status NOT IN ('expected', 'paid', 'expired') OR remote_id IS NOT NULL", name=op.f("ck_host_order_known_there")
        ),
        sa.CheckConstraint("(status = 'paid') = (received_minor IS NOT NULL)", name=op.f("ck_host_order_paid_with_amount")),
        sa.CheckConstraint("status <> 'refused' OR length(trim(problem)) > 0", name=op.f("ck_host_order_refused_with_reason")),
        sa.ForeignKeyConstraint(["instalment_id"], ["pledge_instalment.id"], name=op.f("fk_host_order_instalment_id")),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name=op.f("fk_host_order_recorded_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_order")),
        sa.UniqueConstraint("key", name=op.f("uq_host_order_key")),
        sa.UniqueConstraint("remote_id", name=op.f("uq_host_order_remote_id")),
    )
    op.create_index("ix_host_order_instalment_id", "host_order", ["instalment_id"], unique=False)
    op.create_index(
        "uq_host_order_live",
        "host_order",
        ["instalment_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('asked', 'expected', 'paid')"),
    )


def downgrade() -> None:
    op.drop_table("host_order")
