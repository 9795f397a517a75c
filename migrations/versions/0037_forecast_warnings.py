"""warnings from the pace of use: each once per grant or offer, kind and mark

Revision: 0037_forecast_warnings
Follows: 0036_expected_starts
"""

import sqlalchemy as sa
from alembic import op

revision = "0037_forecast_warnings"
down_revision = "0036_expected_starts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "forecast_warning",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=True),
        sa.Column("offer_id", sa.UUID(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum("runs_out", "lapses", name="warningkind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("days_before", sa.Integer(), nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("title", sa.String(length=250), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(grant_id, offer_id) = 1", name=op.f("ck_forecast_warning_one_subject")),
        sa.ForeignKeyConstraint(["grant_id"], ["compute_grant.id"], name=op.f("fk_forecast_warning_grant_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["compute_offer.id"], name=op.f("fk_forecast_warning_offer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_forecast_warning")),
    )
    op.create_index(
        "uq_forecast_warning_mark",
        "forecast_warning",
        ["grant_id", "offer_id", "kind", "days_before"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )


def downgrade() -> None:
    op.drop_table("forecast_warning")
