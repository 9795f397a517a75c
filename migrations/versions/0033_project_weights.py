"""how much a project counts when turns on GPUs are shared

Revision: 0033_project_weights
Follows: 0032_own_second_look
"""

import sqlalchemy as sa
from alembic import op

revision = "0033_project_weights"
down_revision = "0032_own_second_look"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_weight",
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by_id", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("weight BETWEEN 1 AND 1000", name=op.f("ck_project_weight_range")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_weight_project_id_project")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_project_weight_set_by_id_person")),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_project_weight")),
    )


def downgrade() -> None:
    op.drop_table("project_weight")
