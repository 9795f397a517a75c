"""whose code a pool runs, and where a job comes from

Revision: 0046_trust_of_pools
Follows: 0045_run_limits
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0046_trust_of_pools"
down_revision = "0045_run_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("pool", sa.Column("trust", sa.String(length=40), nullable=False, server_default="open"))
    op.create_check_constraint("trust", "pool", "trust IN ('open', 'reviewed')")
    op.add_column(
        "pool",
        sa.Column(
            "reviewed_refs",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            server_default="{refs/heads/main,refs/heads/master}",
        ),
    )
    op.add_column("job", sa.Column("origin", sa.String(length=40), nullable=False, server_default="elsewhere"))
    op.create_check_constraint("origin", "job", "origin IN ('platform', 'maintainer', 'repository', 'elsewhere')")


def downgrade() -> None:
    # The version before would run anybody's code there.
    reviewed = op.get_bind().scalars(sa.text("SELECT name FROM pool WHERE trust = 'reviewed' ORDER BY name")).all()
    if reviewed:
        raise RuntimeError(
            f"The version before knows no pools for reviewed code only, and would let everybody's code into {', '.join(reviewed)}. "
            "Close these pools and set them to everybody's code first (pledgeworks compute trust), or stay on this version."
        )
    op.drop_constraint("origin", "job", type_="check")
    op.drop_column("job", "origin")
    op.drop_column("pool", "reviewed_refs")
    op.drop_constraint("trust", "pool", type_="check")
    op.drop_column("pool", "trust")
