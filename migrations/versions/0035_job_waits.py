"""how long jobs waited for each reason, kept when the reason changes

Revision: 0035_job_waits
Follows: 0034_what_if
"""

import sqlalchemy as sa
from alembic import op

revision = "0035_job_waits"
down_revision = "0034_what_if"
branch_labels = None
depends_on = None

# By statement, not by row: the scheduler changes thousands of jobs in one. A wait ends when the next reason begins, and the last
# one when the job's state changes.
KEEP = """
CREATE FUNCTION job_wait_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_wait (job_id, reason, waited_ms)
    SELECT was.id, was.waiting_code,
           greatest(0, extract(epoch FROM coalesce(now_is.waiting_since, now_is.status_at) - was.waiting_since) * 1000)::bigint
    FROM was JOIN now_is USING (id)
    WHERE was.waiting_code IS NOT NULL AND was.waiting_code IS DISTINCT FROM now_is.waiting_code
    ON CONFLICT (job_id, reason) DO UPDATE SET waited_ms = job_wait.waited_ms + excluded.waited_ms;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "job_wait",
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.String(length=250), nullable=False),
        sa.Column("waited_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("waited_ms >= 0", name=op.f("ck_job_wait_waited")),
        sa.PrimaryKeyConstraint("job_id", "reason", name=op.f("pk_job_wait")),
    )
    op.execute(KEEP)
    op.execute(
        "CREATE TRIGGER job_wait_keep AFTER UPDATE ON job REFERENCING OLD TABLE AS was NEW TABLE AS now_is "
        "FOR EACH STATEMENT EXECUTE FUNCTION job_wait_keep()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER job_wait_keep ON job")
    op.execute("DROP FUNCTION job_wait_keep()")
    op.drop_table("job_wait")
