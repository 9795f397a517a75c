"""what-if: how much of a project may run at a time

Revision: 0050_what_if_limits
Follows: 0049_quota_groups
"""

import sqlalchemy as sa
from alembic import op

revision = "0050_what_if_limits"
down_revision = "0049_quota_groups"
branch_labels = None
depends_on = None

CHANGES = "gpus_before <> gpus_after OR num_nonnulls(wall_seconds_max, weight_after, limit_jobs, limit_gpus) > 0"
CHANGES_BEFORE = "gpus_before <> gpus_after OR wall_seconds_max IS NOT NULL OR weight_after IS NOT NULL"


def upgrade() -> None:
    for name, kind in (("limit_project_id", sa.UUID()), ("limit_jobs", sa.BigInteger()), ("limit_gpus", sa.BigInteger())):
        op.add_column("what_if", sa.Column(name, kind, nullable=True))
    _add(
        "fk_what_if_limit_project_id_project",
        "FOREIGN KEY (limit_project_id) REFERENCES project (id)",
        "adding-foreign-key-constraint",
    )
    _add("ck_what_if_run_limit", "CHECK (limit_jobs > 0 AND limit_gpus > 0)")
    _add("ck_what_if_whose_limit", "CHECK (limit_project_id IS NULL OR num_nonnulls(limit_jobs, limit_gpus) > 0)")
    _drop("ck_what_if_some_change")
    _add("ck_what_if_some_change", f"CHECK ({CHANGES})")


def downgrade() -> None:
    # Without its limit a question would read otherwise than it was answered. It can be asked again.
    op.execute("DELETE FROM what_if WHERE num_nonnulls(limit_jobs, limit_gpus) > 0")
    _drop("ck_what_if_some_change")
    _add("ck_what_if_some_change", f"CHECK ({CHANGES_BEFORE})")
    for name in ("ck_what_if_whose_limit", "ck_what_if_run_limit", "fk_what_if_limit_project_id_project"):
        _drop(name)
    for name in ("limit_gpus", "limit_jobs", "limit_project_id"):
        op.drop_column("what_if", name)


def _add(name: str, rule: str, *also: str) -> None:
    """Ten questions a person and hour: reading the table through takes no time."""
    ignored = ", ".join(("constraint-missing-not-valid", *also))
    op.execute(f"-- squawk-ignore {ignored}\nALTER TABLE what_if ADD CONSTRAINT {name} {rule}")


def _drop(name: str) -> None:
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE what_if DROP CONSTRAINT {name}")
