"""tasks, audit events, stored files

Revision: 0002_tasks_audit_files
Follows: 0001_identity
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_tasks_audit_files"
down_revision = "0001_identity"
branch_labels = None
depends_on = None


APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$
"""
# Row triggers would let TRUNCATE and an UPDATE of no row pass unseen; statement triggers refuse the attempt itself.
EVENT_APPEND_ONLY = """
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.execute(APPEND_ONLY)
    op.create_table(
        "event",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verb", sa.String(length=250), nullable=False),
        sa.Column("object_type", sa.String(length=250), nullable=False),
        sa.Column("object_id", sa.UUID(), nullable=False),
        sa.Column("actor_id", sa.UUID(), nullable=True),
        sa.Column("actor_name", sa.String(length=250), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_at", "event", ["at"], unique=False)
    op.create_index("ix_event_object", "event", ["object_type", "object_id", "at"], unique=False)
    op.execute(EVENT_APPEND_ONLY)
    op.create_table(
        "stored_file",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("media_type", sa.String(length=250), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=250), nullable=False),
        sa.Column("object_key", sa.String(length=250), nullable=False),
        sa.Column("uploaded_by_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_stored_file_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_file")),
    )
    op.create_table(
        "clock_run",
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("done_on", sa.Date(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_clock_run")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(length=250), nullable=False),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "ready", "running", "done", "parked", name="taskstatus", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_token", sa.UUID(), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("tries_max", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(status = 'running') = (lease_token IS NOT NULL)", name=op.f("ck_task_lease_while_running")),
        sa.CheckConstraint("tries >= 0 AND tries_max > 0", name=op.f("ck_task_tries")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )
    op.create_index("ix_task_due", "task", ["run_at"], unique=False, postgresql_where=sa.text("status IN ('ready', 'running')"))
    op.create_index("ix_task_status_created", "task", ["status", "created_at"], unique=False)
    op.create_index("uq_task_waiting_dedupe", "task", ["dedupe_key"], unique=True, postgresql_where=sa.text("status = 'ready'"))


def downgrade() -> None:
    op.drop_index("uq_task_waiting_dedupe", table_name="task", postgresql_where=sa.text("status = 'ready'"))
    op.drop_index("ix_task_status_created", table_name="task")
    op.drop_index("ix_task_due", table_name="task", postgresql_where=sa.text("status IN ('ready', 'running')"))
    op.drop_table("task")
    op.drop_table("clock_run")
    op.drop_table("stored_file")
    op.drop_index("ix_event_object", table_name="event")
    op.drop_index("ix_event_at", table_name="event")
    op.drop_table("event")
    op.execute("DROP FUNCTION refuse_change()")
