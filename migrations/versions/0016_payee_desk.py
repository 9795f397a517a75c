"""a second look at destinations, payees that are held, and what payees answer to notices

Revision: 0016_payee_desk
Follows: 0015_closed_months
"""

import sqlalchemy as sa
from alembic import op

revision = "0016_payee_desk"
down_revision = "0015_closed_months"
branch_labels = None
depends_on = None

# Whoever approved a payout to a destination looked at it, and was not who entered it. Others are compared before the next payout.
LOOKED_AT_BEFORE = """
INSERT INTO destination_look (id, destination_id, created_by_id, looked_by_id, looked_at, note)
SELECT gen_random_uuid(), destination.id, destination.created_by_id, first.approved_by_id, first.approved_at,
       'Approved with a run, before destinations were compared one by one.'
FROM destination CROSS JOIN LATERAL (
    SELECT approved_by_id, approved_at FROM payout
    WHERE destination_id = destination.id AND approved_by_id <> destination.created_by_id
    ORDER BY approved_at LIMIT 1
) AS first
"""
# What was compared stays written.
APPEND_ONLY = """
CREATE TRIGGER destination_look_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON destination_look
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_unique_constraint(op.f("uq_destination_id_created_by_id"), "destination", ["id", "created_by_id"])
    op.create_table(
        "destination_look",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("destination_id", sa.UUID(), nullable=False),
        sa.Column("created_by_id", sa.UUID(), nullable=False),
        sa.Column("looked_by_id", sa.UUID(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("looked_by_id <> created_by_id", name=op.f("ck_destination_look_four_eyes")),
        sa.ForeignKeyConstraint(
            ["destination_id", "created_by_id"],
            ["destination.id", "destination.created_by_id"],
            name="fk_destination_look_destination",
        ),
        sa.ForeignKeyConstraint(["looked_by_id"], ["person.id"], name=op.f("fk_destination_look_looked_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination_look")),
        sa.UniqueConstraint("destination_id", name=op.f("uq_destination_look_destination_id")),
    )
    op.execute(LOOKED_AT_BEFORE)
    op.execute(APPEND_ONLY)
    op.add_column("recipient", sa.Column("held_reason", sa.Text(), nullable=True))
    op.add_column("recipient", sa.Column("held_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint("held", "recipient", "(held_reason IS NULL) = (held_at IS NULL)")
    op.add_column("payout_notice", sa.Column("destination_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_payout_notice_destination_id"), "payout_notice", "destination", ["destination_id"], ["id"])
    op.add_column("payout_notice", sa.Column("exported_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payout_notice", sa.Column("answered_by_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_payout_notice_answered_by_id"), "payout_notice", "person", ["answered_by_id"], ["id"])
    op.add_column("payout_notice", sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("payout_notice", sa.Column("denied", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint("answered", "payout_notice", "(answered_by_id IS NULL) = (answered_at IS NULL)")
    op.create_check_constraint("denied", "payout_notice", "NOT denied OR answered_at IS NOT NULL")


def downgrade() -> None:
    op.drop_constraint("denied", "payout_notice", type_="check")
    op.drop_constraint("answered", "payout_notice", type_="check")
    op.drop_column("payout_notice", "denied")
    op.drop_column("payout_notice", "answered_at")
    op.drop_constraint(op.f("fk_payout_notice_answered_by_id"), "payout_notice", type_="foreignkey")
    op.drop_column("payout_notice", "answered_by_id")
    op.drop_column("payout_notice", "exported_at")
    op.drop_constraint(op.f("fk_payout_notice_destination_id"), "payout_notice", type_="foreignkey")
    op.drop_column("payout_notice", "destination_id")
    op.drop_constraint("held", "recipient", type_="check")
    op.drop_column("recipient", "held_at")
    op.drop_column("recipient", "held_reason")
    op.drop_table("destination_look")
    op.drop_constraint(op.f("uq_destination_id_created_by_id"), "destination", type_="unique")
