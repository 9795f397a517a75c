"""quota groups: what projects own of a pool and lend each other, and who was asked to give it back

Revision: 0049_quota_groups
Follows: 0048_priority_classes
"""

import sqlalchemy as sa
from alembic import op

revision = "0049_quota_groups"
down_revision = "0048_priority_classes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quota_group",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column("grace_seconds", sa.BigInteger(), nullable=False),
        sa.Column("lost_gpu_seconds_max", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by_id", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("grace_seconds BETWEEN 0 AND 86400", name=op.f("ck_quota_group_grace")),
        sa.CheckConstraint("lost_gpu_seconds_max >= 0", name=op.f("ck_quota_group_lost")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_quota_group_reason")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_quota_group_pool_id_pool")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_quota_group_set_by_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota_group")),
        sa.UniqueConstraint("name", name=op.f("uq_quota_group_name")),
        sa.UniqueConstraint("pool_id", name=op.f("uq_quota_group_pool_id")),
    )
    op.create_table(
        "quota_share",
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("nominal", sa.BigInteger(), nullable=False),
        sa.Column("lends", sa.BigInteger(), nullable=True),
        sa.Column("borrows", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by_id", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("nominal > 0", name=op.f("ck_quota_share_nominal")),
        sa.CheckConstraint("lends BETWEEN 0 AND nominal", name=op.f("ck_quota_share_lends")),
        sa.CheckConstraint("borrows >= 0", name=op.f("ck_quota_share_borrows")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_quota_share_reason")),
        sa.ForeignKeyConstraint(["group_id"], ["quota_group.id"], name=op.f("fk_quota_share_group_id_quota_group")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_quota_share_project_id_project")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_quota_share_set_by_id_person")),
        sa.PrimaryKeyConstraint("group_id", "project_id", name=op.f("pk_quota_share")),
    )
    op.create_table(
        "reclaim_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("for_job_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("leaves_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lost_gpu_seconds", sa.BigInteger(), nullable=False),
        sa.Column("spared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(spared_at, stopped_at) <= 1", name=op.f("ck_reclaim_notice_one_ending")),
        sa.CheckConstraint("leaves_at >= asked_at AND lost_gpu_seconds >= 0", name=op.f("ck_reclaim_notice_sizes")),
        sa.ForeignKeyConstraint(["attempt_id"], ["job_attempt.id"], name=op.f("fk_reclaim_notice_attempt_id_job_attempt")),
        sa.ForeignKeyConstraint(["for_job_id"], ["job.id"], name=op.f("fk_reclaim_notice_for_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reclaim_notice")),
    )
    op.create_index(
        "uq_reclaim_notice_attempt",
        "reclaim_notice",
        ["attempt_id"],
        unique=True,
        postgresql_where=sa.text("spared_at IS NULL"),
    )
    op.create_index("ix_reclaim_notice_for_job", "reclaim_notice", ["for_job_id"])


def downgrade() -> None:
    op.drop_index("ix_reclaim_notice_for_job", table_name="reclaim_notice")
    op.drop_index("uq_reclaim_notice_attempt", table_name="reclaim_notice")
    op.drop_table("reclaim_notice")
    op.drop_table("quota_share")
    op.drop_table("quota_group")
