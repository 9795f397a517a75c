"""quota groups that were ended, kept as history

Revision: 0052_ended_quota_groups
Follows: 0051_hosts
"""

import sqlalchemy as sa
from alembic import op

revision = "0052_ended_quota_groups"
down_revision = "0051_hosts"
branch_labels = None
depends_on = None

LIVING = "ended_at IS NULL"


def upgrade() -> None:
    op.add_column("quota_group", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quota_group", sa.Column("ended_by_id", sa.UUID(), nullable=True))
    op.add_column("quota_group", sa.Column("end_reason", sa.Text(), nullable=True))
    op.execute(
        "-- squawk-ignore constraint-missing-not-valid, adding-foreign-key-constraint\n"
        "ALTER TABLE quota_group ADD CONSTRAINT fk_quota_group_ended_by_id_person FOREIGN KEY (ended_by_id) REFERENCES person (id)"
    )
    op.execute(
        "-- squawk-ignore constraint-missing-not-valid\n"
        "ALTER TABLE quota_group ADD CONSTRAINT ck_quota_group_end CHECK (num_nulls(ended_at, end_reason) IN (0, 2))"
    )
    # A pool has one group at most: both take no time.
    for column, name in (("name", "uq_quota_group_living_name"), ("pool_id", "uq_quota_group_living_pool")):
        op.execute(
            "-- squawk-ignore require-concurrent-index-creation\n"
            f"CREATE UNIQUE INDEX {name} ON quota_group ({column}) WHERE {LIVING}"
        )
        op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE quota_group DROP CONSTRAINT uq_quota_group_{column}")


def downgrade() -> None:
    ended = op.get_bind().scalar(sa.text("SELECT count(*) FROM quota_group WHERE ended_at IS NOT NULL"))
    if ended:
        raise RuntimeError(
            f"The version before would give projects back what they owned in {ended} quota groups that were ended. "
            "Export them (pledgeworks compute quotas --ended --json) and delete them first, or stay on this version."
        )
    for column, name in (("name", "uq_quota_group_living_name"), ("pool_id", "uq_quota_group_living_pool")):
        op.create_unique_constraint(op.f(f"uq_quota_group_{column}"), "quota_group", [column])
        op.drop_index(name, table_name="quota_group")
    op.drop_constraint(op.f("ck_quota_group_end"), "quota_group", type_="check")
    op.drop_constraint(op.f("fk_quota_group_ended_by_id_person"), "quota_group", type_="foreignkey")
    for column in ("end_reason", "ended_by_id", "ended_at"):
        op.drop_column("quota_group", column)
