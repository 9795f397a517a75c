"""hosts: the machines of a pool, where an attempt is, and jobs that want a host alone

Revision: 0051_hosts
Follows: 0050_what_if_limits
"""

import sqlalchemy as sa
from alembic import op

revision = "0051_hosts"
down_revision = "0050_what_if_limits"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pool_host",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pool_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.Column("in_service", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("set_by_id", sa.Uuid(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("name ~ '^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$' AND length(name) <= 63", name=op.f("ck_pool_host_name")),
        sa.CheckConstraint("devices > 0", name=op.f("ck_pool_host_devices")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_pool_host_reason")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_pool_host_pool_id_pool")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_pool_host_set_by_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool_host")),
        sa.UniqueConstraint("pool_id", "name", name=op.f("uq_pool_host_pool_id_name")),
    )
    op.add_column("job", sa.Column("exclusive", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("job_attempt", sa.Column("host", sa.String(length=250), nullable=True))


def downgrade() -> None:
    # It knows pools of one machine only, which are as large as their hosts in service together, and no job that is alone on one.
    pools = _count("(SELECT FROM pool_host GROUP BY pool_id HAVING count(*) > 1)")
    jobs = _count("job WHERE exclusive AND finished_at IS NULL")
    if pools or jobs:
        raise RuntimeError(
            f"The version before would take each of {pools} pools with several hosts for one large machine, and put others beside "
            f"{jobs} jobs that want a host alone. Remove hosts (pledgeworks compute remove-host) until each pool has one, and let "
            "these jobs end or cancel them, or stay on this version."
        )
    op.drop_column("job_attempt", "host")
    op.drop_column("job", "exclusive")
    op.drop_table("pool_host")


def _count(rows: str) -> int:
    return int(op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {rows}")))  # noqa: S608 - the two above
