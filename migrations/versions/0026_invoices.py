"""invoices: pay-ins that are asked for by an invoice of the provider's

Revision: 0026_invoices
Follows: 0025_preferred_by
"""

import sqlalchemy as sa
from alembic import op

revision = "0026_invoices"
down_revision = "0025_preferred_by"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pay_in_invoice",
        sa.Column("pay_in_id", sa.UUID(), nullable=False),
        sa.Column("po_number", sa.Text(), nullable=True),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("email", sa.String(length=250), nullable=False),
        sa.Column("line1", sa.String(length=250), nullable=False),
        sa.Column("line2", sa.Text(), nullable=True),
        sa.Column("city", sa.String(length=250), nullable=False),
        sa.Column("postal_code", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("due_days", sa.BigInteger(), nullable=False),
        sa.Column("wish", _words("invoicewish", "sent", "withdrawn", "paid_elsewhere"), nullable=False),
        sa.Column(
            "standing",
            _words("invoicestanding", "not_made", "draft", "open", "paid", "paid_elsewhere", "void", "uncollectible"),
            nullable=False,
        ),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_sent", sa.Text(), nullable=True),
        sa.CheckConstraint("due_days BETWEEN 1 AND 365", name=op.f("ck_pay_in_invoice_due_days")),
        sa.CheckConstraint("length(po_number) BETWEEN 1 AND 140", name=op.f("ck_pay_in_invoice_po_number")),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_pay_in_invoice_country")),
        sa.CheckConstraint(
            "(standing = 'not_made') = (invoice_id IS NULL) OR standing = 'void'", name=op.f("ck_pay_in_invoice_made")
        ),
        sa.ForeignKeyConstraint(["pay_in_id"], ["pay_in.id"], name=op.f("fk_pay_in_invoice_pay_in_id")),
        sa.PrimaryKeyConstraint("pay_in_id", name=op.f("pk_pay_in_invoice")),
        sa.UniqueConstraint("invoice_id", name=op.f("uq_pay_in_invoice_invoice_id")),
    )
    op.create_index(
        "ix_pay_in_invoice_payable",
        "pay_in_invoice",
        ["due_on"],
        unique=False,
        postgresql_where=sa.text("standing IN ('open', 'uncollectible')"),
    )
    _one_arrival_of("source")


def downgrade() -> None:
    """Fails where an invoice was paid by several charges: one of them would have to be forgotten."""
    _one_arrival_of("pay_in_id")
    op.drop_table("pay_in_invoice")


def _one_arrival_of(column: str) -> None:
    op.drop_index("uq_pay_in_movement_arrival", table_name="pay_in_movement")
    op.create_index(
        "uq_pay_in_movement_arrival", "pay_in_movement", [column], unique=True, postgresql_where=sa.text("kind = 'arrival'")
    )


def _words(name: str, *words: str) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=40)
