"""what would have to happen for a waiting job, and when it is expected to start

Revision: 0036_expected_starts
Follows: 0035_job_waits
"""

import sqlalchemy as sa
from alembic import op

revision = "0036_expected_starts"
down_revision = "0035_job_waits"
branch_labels = None
depends_on = None

MOMENTS = ("expected_as_of", "expected_soonest_at", "expected_likely_at", "expected_late_at", "expected_latest_at")


def upgrade() -> None:
    op.add_column("job", sa.Column("waiting_remedy", sa.Text(), nullable=True))
    for name in MOMENTS:
        op.add_column("job", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(
        "expected_start",
        "job",
        "num_nulls(expected_as_of, expected_soonest_at, expected_likely_at, expected_late_at) = 0 "
        "AND expected_soonest_at <= expected_likely_at AND expected_likely_at <= expected_late_at "
        "OR num_nonnulls(expected_as_of, expected_soonest_at, expected_likely_at, expected_late_at, expected_latest_at) = 0",
    )


def downgrade() -> None:
    op.drop_constraint("expected_start", "job", type_="check")
    for name in reversed(MOMENTS):
        op.drop_column("job", name)
    op.drop_column("job", "waiting_remedy")
