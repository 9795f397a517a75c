"""what came of starts that were expected, and what ranges learnt from it

Revision: 0053_told_starts
Follows: 0052_ended_quota_groups
"""

import sqlalchemy as sa
from alembic import op

revision = "0053_told_starts"
down_revision = "0052_ended_quota_groups"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "told_start",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("soonest_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("likely_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("late_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("over_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=True),
        sa.CheckConstraint("soonest_at <= likely_at AND likely_at <= late_at", name=op.f("ck_told_start_order")),
        sa.CheckConstraint("num_nonnulls(over_at, held) IN (0, 2)", name=op.f("ck_told_start_over")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_told_start_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_told_start")),
    )
    op.create_index("ix_told_start_horizon", "told_start", ["horizon", "over_at"])
    op.create_index("ix_told_start_open", "told_start", ["job_id"], postgresql_where=sa.text("over_at IS NULL"))
    op.create_table(
        "range_correction",
        sa.Column("horizon", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("soonest", sa.Float(), nullable=False),
        sa.Column("likely", sa.Float(), nullable=False),
        sa.Column("late", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("horizon", name=op.f("pk_range_correction")),
    )
    op.add_column("job", sa.Column("expected_ranges", sa.BigInteger(), nullable=True))
    op.add_column("job", sa.Column("expected_held", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("job", "expected_held")
    op.drop_column("job", "expected_ranges")
    op.drop_table("range_correction")
    op.drop_index("ix_told_start_open", table_name="told_start")
    op.drop_index("ix_told_start_horizon", table_name="told_start")
    op.drop_table("told_start")
