"""maintenance, reservations and drains of pools

Revision: 0044_pool_windows
Follows: 0043_flavor_alternatives
"""

import sqlalchemy as sa
from alembic import op

revision = "0044_pool_windows"
down_revision = "0043_flavor_alternatives"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pool_window",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("pool_id", sa.UUID(), nullable=False),
        sa.Column("kind", _one_of("windowkind", "maintenance", "reservation", "drain"), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=True),
        sa.Column("begins_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("status", _one_of("windowstatus", "planned", "over", "called_off"), nullable=False),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_by_id", sa.UUID(), nullable=True),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("ends_at > begins_at", name=op.f("ck_pool_window_times")),
        sa.CheckConstraint("gpus > 0", name=op.f("ck_pool_window_gpus")),
        sa.CheckConstraint(
            "(kind = 'drain') = (gpus IS NULL) AND (kind = 'drain') = (ends_at IS NULL)",
            name=op.f("ck_pool_window_drain_takes_all"),
        ),
        sa.CheckConstraint("(kind = 'reservation') = (project_id IS NOT NULL)", name=op.f("ck_pool_window_reserved_for")),
        sa.CheckConstraint("length(trim(why)) > 0", name=op.f("ck_pool_window_why")),
        sa.ForeignKeyConstraint(["planned_by_id"], ["person.id"], name=op.f("fk_pool_window_planned_by_id_person")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_pool_window_pool_id_pool")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_pool_window_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_window")),
    )
    op.create_index(
        "ix_pool_window_planned",
        "pool_window",
        ["pool_id", "begins_at"],
        postgresql_where=sa.text("status = 'planned'"),
    )
    op.add_column("job_attempt", sa.Column("reservation_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_job_attempt_reservation_id"), "job_attempt", "pool_window", ["reservation_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_job_attempt_reservation_id"), "job_attempt", type_="foreignkey")
    op.drop_column("job_attempt", "reservation_id")
    op.drop_index("ix_pool_window_planned", table_name="pool_window")
    op.drop_table("pool_window")


def _one_of(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=40)
