"""how much a project and a person may have running at a time

Revision: 0045_run_limits
Follows: 0044_pool_windows
"""

import sqlalchemy as sa
from alembic import op

revision = "0045_run_limits"
down_revision = "0044_pool_windows"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_limit",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("person_id", sa.UUID(), nullable=True),
        sa.Column("jobs", sa.BigInteger(), nullable=True),
        sa.Column("gpus", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by_id", sa.UUID(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(project_id, person_id) <= 1", name=op.f("ck_run_limit_whose")),
        sa.CheckConstraint("jobs BETWEEN 1 AND 1000000 AND gpus BETWEEN 1 AND 1000000", name=op.f("ck_run_limit_sizes")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_run_limit_reason")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_run_limit_person_id_person")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_run_limit_project_id_project")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_run_limit_set_by_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_limit")),
    )
    one = {"unique": True}
    op.create_index(
        "uq_run_limit_project", "run_limit", ["project_id"], postgresql_where=sa.text("project_id IS NOT NULL"), **one
    )
    op.create_index("uq_run_limit_person", "run_limit", ["person_id"], postgresql_where=sa.text("person_id IS NOT NULL"), **one)
    op.create_index(
        "uq_run_limit_everybody",
        "run_limit",
        [sa.text("(project_id IS NULL)")],
        postgresql_where=sa.text("project_id IS NULL AND person_id IS NULL"),
        **one,
    )


def downgrade() -> None:
    op.drop_index("uq_run_limit_everybody", table_name="run_limit")
    op.drop_index("uq_run_limit_person", table_name="run_limit")
    op.drop_index("uq_run_limit_project", table_name="run_limit")
    op.drop_table("run_limit")
