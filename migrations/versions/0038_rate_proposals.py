"""proposals of exchange rates from benchmarks, decided by a second person

Revision: 0038_rate_proposals
Follows: 0037_forecast_warnings
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038_rate_proposals"
down_revision = "0037_forecast_warnings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rate_proposal",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("reference_id", sa.UUID(), nullable=False),
        sa.Column("evidence", postgresql.JSONB(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "accepted", "declined", name="proposalstatus", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by_id", sa.UUID(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint("decided_by_id <> made_by_id", name=op.f("ck_rate_proposal_four_eyes")),
        sa.CheckConstraint("(status = 'open') = (decided_at IS NULL)", name=op.f("ck_rate_proposal_decided")),
        sa.CheckConstraint("status = 'open' OR decided_by_id IS NOT NULL", name=op.f("ck_rate_proposal_decider")),
        sa.ForeignKeyConstraint(["reference_id"], ["flavor.id"], name=op.f("fk_rate_proposal_reference_id")),
        sa.ForeignKeyConstraint(["made_by_id"], ["person.id"], name=op.f("fk_rate_proposal_made_by_id")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_rate_proposal_decided_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_proposal")),
    )
    op.create_table(
        "rate_proposal_line",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("proposal_id", sa.UUID(), nullable=False),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("current_numerator", sa.BigInteger(), nullable=True),
        sa.Column("current_denominator", sa.BigInteger(), nullable=True),
        sa.Column("numerator", sa.BigInteger(), nullable=False),
        sa.Column("denominator", sa.BigInteger(), nullable=False),
        sa.Column("low", sa.String(length=250), nullable=False),
        sa.Column("high", sa.String(length=250), nullable=False),
        sa.CheckConstraint("numerator > 0 AND denominator > 0", name=op.f("ck_rate_proposal_line_positive")),
        sa.CheckConstraint(
            "current_numerator > 0 AND current_denominator > 0", name=op.f("ck_rate_proposal_line_current_positive")
        ),
        sa.CheckConstraint(
            "num_nulls(current_numerator, current_denominator) IN (0, 2)", name=op.f("ck_rate_proposal_line_current_whole")
        ),
        sa.ForeignKeyConstraint(["proposal_id"], ["rate_proposal.id"], name=op.f("fk_rate_proposal_line_proposal_id")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_rate_proposal_line_flavor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_proposal_line")),
    )
    op.create_index("uq_rate_proposal_line_flavor", "rate_proposal_line", ["proposal_id", "flavor_id"], unique=True)


def downgrade() -> None:
    op.drop_table("rate_proposal_line")
    op.drop_table("rate_proposal")
