"""refunds of online payments, and what a provider keeps of transfers that were too large

Revision: 0017_refunds
Follows: 0016_payee_desk
"""

import sqlalchemy as sa
from alembic import op

revision = "0017_refunds"
down_revision = "0016_payee_desk"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pay_in_refund",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("pay_in_id", sa.UUID(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "asked",
                "approved",
                "pending",
                "done",
                "failed",
                "turned_down",
                name="refundstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("asked_by_id", sa.UUID(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by_id", sa.UUID(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("wants_details", sa.Boolean(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.CheckConstraint("status <> 'failed' OR length(trim(failure)) > 0", name=op.f("ck_pay_in_refund_failed_with_reason")),
        sa.CheckConstraint(
            "status IN ('asked', 'turned_down') OR approved_by_id IS NOT NULL", name=op.f("ck_pay_in_refund_approved_by_somebody")
        ),
        sa.CheckConstraint(
            "status NOT IN ('pending', 'done') OR remote_id IS NOT NULL", name=op.f("ck_pay_in_refund_known_there")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_pay_in_refund_amount_positive")),
        sa.CheckConstraint("approved_by_id <> asked_by_id", name=op.f("ck_pay_in_refund_four_eyes")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_pay_in_refund_reason")),
        sa.ForeignKeyConstraint(["approved_by_id"], ["person.id"], name=op.f("fk_pay_in_refund_approved_by_id")),
        sa.ForeignKeyConstraint(["asked_by_id"], ["person.id"], name=op.f("fk_pay_in_refund_asked_by_id")),
        sa.ForeignKeyConstraint(["pay_in_id"], ["pay_in.id"], name=op.f("fk_pay_in_refund_pay_in_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pay_in_refund")),
        sa.UniqueConstraint("remote_id", name=op.f("uq_pay_in_refund_remote_id")),
    )
    op.create_index(op.f("ix_pay_in_refund_pay_in_id"), "pay_in_refund", ["pay_in_id"], unique=False)
    op.create_index(
        "ix_pay_in_refund_waiting",
        "pay_in_refund",
        ["asked_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('asked', 'approved', 'pending')"),
    )
    op.add_column("pay_in", sa.Column("surplus_minor", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("pay_in", "surplus_minor")
    op.drop_table("pay_in_refund")
