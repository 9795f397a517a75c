"""which documents of payees are on file

Revision: 0018_payee_documents
Follows: 0017_refunds
"""

import sqlalchemy as sa
from alembic import op

revision = "0018_payee_documents"
down_revision = "0017_refunds"
branch_labels = None
depends_on = None

GUARD = """
CREATE FUNCTION payee_document_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.ended_at IS NOT NULL OR
       to_jsonb(NEW) - ARRAY['ended_at', 'ended_by_id', 'ended_reason']
       IS DISTINCT FROM to_jsonb(OLD) - ARRAY['ended_at', 'ended_by_id', 'ended_reason'] THEN
        RAISE EXCEPTION 'a document is ended and noted anew, never edited' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
GUARD_ON = """
CREATE TRIGGER payee_document_guard BEFORE UPDATE OR DELETE ON payee_document
FOR EACH ROW EXECUTE FUNCTION payee_document_guard()
"""


def upgrade() -> None:
    op.create_table(
        "payee_document",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("recipient_id", sa.UUID(), nullable=False),
        sa.Column("document", sa.String(length=250), nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("kept_at", sa.String(length=250), nullable=False),
        sa.Column("recorded_by_id", sa.UUID(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by_id", sa.UUID(), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nulls(ended_at, ended_by_id, ended_reason) IN (0, 3)", name=op.f("ck_payee_document_ended")),
        sa.CheckConstraint("valid_until IS NULL OR valid_until >= signed_on", name=op.f("ck_payee_document_dates_in_order")),
        sa.ForeignKeyConstraint(["ended_by_id"], ["person.id"], name=op.f("fk_payee_document_ended_by_id")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_payee_document_recipient_id")),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name=op.f("fk_payee_document_recorded_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payee_document")),
    )
    op.create_index(op.f("ix_payee_document_recipient_id"), "payee_document", ["recipient_id"])
    op.execute(GUARD)
    op.execute(GUARD_ON)


def downgrade() -> None:
    op.drop_table("payee_document")
    op.execute("DROP FUNCTION payee_document_guard()")
