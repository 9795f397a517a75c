"""other flavors that a job accepts, and why an attempt started on one of them

Revision: 0043_flavor_alternatives
Follows: 0042_invoice_endings
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0043_flavor_alternatives"
down_revision = "0042_invoice_endings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("alternative_ids", postgresql.ARRAY(sa.Uuid()), nullable=False, server_default="{}"))
    op.create_check_constraint("benchmark_on_one_flavor", "job", "kind <> 'benchmark' OR alternative_ids = '{}'")
    op.create_check_constraint("alternatives", "job", "flavor_id <> ALL (alternative_ids)")
    op.add_column("job_attempt", sa.Column("chosen_because", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("job_attempt", "chosen_because")
    op.drop_constraint("alternatives", "job", type_="check")
    op.drop_constraint("benchmark_on_one_flavor", "job", type_="check")
    op.drop_column("job", "alternative_ids")
