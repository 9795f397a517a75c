"""what the scheduler remembers between its turns

Revision: 0047_scheduler_memory
Follows: 0046_trust_of_pools
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0047_scheduler_memory"
down_revision = "0046_trust_of_pools"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scheduler_turn",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("ideal_at", sa.BigInteger(), nullable=True),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_scheduler_turn_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduler_turn")),
    )
    op.create_table(
        "scheduler_memory",
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("past", sa.Float(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=False),
        sa.Column("rate", sa.BigInteger(), nullable=False),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("fared", sa.Float(), nullable=False),
        sa.Column("demand", sa.Float(), nullable=False),
        sa.Column("jobs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_scheduler_memory_project_id")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_scheduler_memory")),
    )


def downgrade() -> None:
    op.drop_table("scheduler_memory")
    op.drop_table("scheduler_turn")
