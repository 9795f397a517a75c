"""questions to our own history: waits under a change, beside the history as it was

Revision: 0034_what_if
Follows: 0033_project_weights
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034_what_if"
down_revision = "0033_project_weights"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "what_if",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("asked_by_id", sa.UUID(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("gpus_before", sa.BigInteger(), nullable=False),
        sa.Column("gpus_after", sa.BigInteger(), nullable=False),
        sa.Column("wall_seconds_max", sa.BigInteger(), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("weight_after", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "waiting",
                "running",
                "answered",
                "failed",
                name="whatifstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("answer", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("gpus_before > 0 AND gpus_after > 0 AND days > 0", name=op.f("ck_what_if_sizes")),
        sa.CheckConstraint("wall_seconds_max > 0", name=op.f("ck_what_if_limit")),
        sa.CheckConstraint("(project_id IS NULL) = (weight_after IS NULL)", name=op.f("ck_what_if_whose_weight")),
        sa.CheckConstraint("weight_after > 0", name=op.f("ck_what_if_weight")),
        sa.CheckConstraint(
            "gpus_before <> gpus_after OR wall_seconds_max IS NOT NULL OR weight_after IS NOT NULL",
            name=op.f("ck_what_if_some_change"),
        ),
        sa.CheckConstraint("(status = 'answered') = (answer IS NOT NULL)", name=op.f("ck_what_if_answer")),
        sa.CheckConstraint("(status = 'failed') = (failure IS NOT NULL)", name=op.f("ck_what_if_failure")),
        sa.ForeignKeyConstraint(["asked_by_id"], ["person.id"], name=op.f("fk_what_if_asked_by_id_person")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_what_if_flavor_id_flavor")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_what_if_project_id_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_what_if")),
    )
    op.create_index("ix_what_if_asked_at", "what_if", ["asked_at"])


def downgrade() -> None:
    op.drop_table("what_if")
