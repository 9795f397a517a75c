"""set-aside money that one person assigns and another confirms

Revision: 0041_assignments
Follows: 0040_explained_balances
"""

import sqlalchemy as sa
from alembic import op

revision = "0041_assignments"
down_revision = "0040_explained_balances"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "books_assignment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("set_aside_on", sa.String(length=250), nullable=False),
        sa.Column("expected_key", sa.String(length=250), nullable=False),
        sa.Column("reference", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("proposed_by_id", sa.UUID(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name=op.f("ck_books_assignment_two_people")
        ),
        sa.CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name=op.f("ck_books_assignment_decided")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_books_assignment_amount_positive")),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=op.f("fk_books_assignment_proposed_by_id")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_books_assignment_decided_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_assignment")),
    )
    op.create_index(
        "uq_books_assignment_waiting",
        "books_assignment",
        ["expected_key"],
        unique=True,
        postgresql_where=sa.text("decided_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("books_assignment")
