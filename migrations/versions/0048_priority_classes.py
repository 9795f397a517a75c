"""priority classes with named reasons, and the jobs that have one

Revision: 0048_priority_classes
Follows: 0047_scheduler_memory
"""

import sqlalchemy as sa
from alembic import op

revision = "0048_priority_classes"
down_revision = "0047_scheduler_memory"
branch_labels = None
depends_on = None


def upgrade() -> None:
    use = sa.Enum(
        "everybody", "maintainers", "officers", name="priorityuse", native_enum=False, create_constraint=True, length=40
    )
    op.create_table(
        "priority_class",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("slug", sa.String(length=250), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("use", use, nullable=False),
        sa.Column("needs_reason", sa.Boolean(), nullable=False),
        sa.Column("month_ticks", sa.BigInteger(), nullable=True),
        sa.Column("is_open", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("set_by_id", sa.UUID(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND slug <> 'ordinary'", name=op.f("ck_priority_class_slug")),
        sa.CheckConstraint("rank BETWEEN -100 AND 100 AND rank <> 0", name=op.f("ck_priority_class_rank")),
        sa.CheckConstraint("month_ticks > 0", name=op.f("ck_priority_class_month")),
        sa.CheckConstraint(
            "rank < 0 OR use = 'officers' OR month_ticks IS NOT NULL", name=op.f("ck_priority_class_first_is_scarce")
        ),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_priority_class_set_by_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_priority_class")),
        sa.UniqueConstraint("slug", name=op.f("uq_priority_class_slug")),
    )
    op.add_column("job", sa.Column("priority_id", sa.UUID(), nullable=True))
    op.add_column("job", sa.Column("priority_reason", sa.Text(), nullable=True))
    op.add_column("job", sa.Column("priority_ticks", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_job_priority_id_priority_class"), "job", "priority_class", ["priority_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_job_priority_id_priority_class"), "job", type_="foreignkey")
    op.drop_column("job", "priority_ticks")
    op.drop_column("job", "priority_reason")
    op.drop_column("job", "priority_id")
    op.drop_table("priority_class")
