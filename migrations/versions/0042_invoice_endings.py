"""invoices of an account at the provider that is gone, ended by two people

Revision: 0042_invoice_endings
Follows: 0041_assignments
"""

import sqlalchemy as sa
from alembic import op

revision = "0042_invoice_endings"
down_revision = "0041_assignments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pay_in_invoice", sa.Column("unknown_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "pay_in_invoice_ending",
        sa.Column("pay_in_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence_file_id", sa.UUID(), nullable=False),
        sa.Column("asked_by_id", sa.UUID(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_by_id", sa.UUID(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("confirmed_by_id <> asked_by_id", name=op.f("ck_pay_in_invoice_ending_two_people")),
        sa.CheckConstraint("num_nulls(confirmed_by_id, confirmed_at) IN (0, 2)", name=op.f("ck_pay_in_invoice_ending_confirmed")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_pay_in_invoice_ending_reason")),
        sa.ForeignKeyConstraint(["asked_by_id"], ["person.id"], name=op.f("fk_pay_in_invoice_ending_asked_by_id")),
        sa.ForeignKeyConstraint(["confirmed_by_id"], ["person.id"], name=op.f("fk_pay_in_invoice_ending_confirmed_by_id")),
        sa.ForeignKeyConstraint(["evidence_file_id"], ["stored_file.id"], name=op.f("fk_pay_in_invoice_ending_evidence_file_id")),
        sa.ForeignKeyConstraint(["pay_in_id"], ["pay_in_invoice.pay_in_id"], name=op.f("fk_pay_in_invoice_ending_pay_in_id")),
        sa.PrimaryKeyConstraint("pay_in_id", name=op.f("pk_pay_in_invoice_ending")),
    )


def downgrade() -> None:
    op.drop_table("pay_in_invoice_ending")
    op.drop_column("pay_in_invoice", "unknown_since")
