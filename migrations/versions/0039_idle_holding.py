"""what running attempts were seen doing, and each pool's rule for those that do nothing

Revision: 0039_idle_holding
Follows: 0038_rate_proposals
"""

import sqlalchemy as sa
from alembic import op

revision = "0039_idle_holding"
down_revision = "0038_rate_proposals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt_activity",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("attempt_id", sa.UUID(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("has_gpus", sa.Boolean(), nullable=False),
        sa.Column("gpu_percent", sa.Integer(), nullable=True),
        sa.Column("cpu_milliseconds", sa.BigInteger(), nullable=True),
        sa.Column("cpu_millicores", sa.BigInteger(), nullable=True),
        sa.Column("idle_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idle_looks", sa.BigInteger(), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("gpu_percent BETWEEN 0 AND 100", name=op.f("ck_attempt_activity_percent")),
        sa.CheckConstraint("(idle_since IS NULL) = (idle_looks = 0)", name=op.f("ck_attempt_activity_stretch")),
        sa.CheckConstraint("noticed_at IS NULL OR idle_since IS NOT NULL", name=op.f("ck_attempt_activity_noticed_while_idle")),
        sa.ForeignKeyConstraint(["attempt_id"], ["job_attempt.id"], name=op.f("fk_attempt_activity_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt_activity")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_attempt_activity_attempt_id")),
    )
    op.add_column("pool", sa.Column("idle_minutes", sa.Integer(), nullable=False, server_default="15"))
    op.create_check_constraint("idle_minutes", "pool", "idle_minutes BETWEEN 5 AND 1440")
    op.add_column("pool", sa.Column("idle_rule", sa.String(length=40), nullable=False, server_default="tell"))
    op.create_check_constraint("idlerule", "pool", "idle_rule IN ('tell', 'stop')")


def downgrade() -> None:
    op.drop_constraint("idlerule", "pool", type_="check")
    op.drop_constraint("idle_minutes", "pool", type_="check")
    op.drop_column("pool", "idle_rule")
    op.drop_column("pool", "idle_minutes")
    op.drop_table("attempt_activity")
