"""explanations of what a provider holds and no list explains

Revision: 0040_explained_balances
Follows: 0039_idle_holding
"""

import sqlalchemy as sa
from alembic import op

revision = "0040_explained_balances"
down_revision = "0039_idle_holding"
branch_labels = None
depends_on = None

BEFORE = "'bank_line', 'outside_movement', 'entry'"


def upgrade() -> None:
    _subjects(f"{BEFORE}, 'provider_balance'")


def downgrade() -> None:
    # What two people said about money is not thrown away on the way.
    kept = op.get_bind().scalar(sa.text("SELECT count(*) FROM books_explanation WHERE subject = 'provider_balance'"))
    if kept:
        raise RuntimeError(
            f"The version before knows no explanations of what a provider holds, and this database has {kept}. "
            "Export them and delete them first, or stay on this version."
        )
    _subjects(BEFORE)


def _subjects(names: str) -> None:
    # The one that takes its place is in force before anybody else sees the table.
    op.execute("-- squawk-ignore ban-drop-constraint\nALTER TABLE books_explanation DROP CONSTRAINT ck_books_explanation_subject")
    op.create_check_constraint("subject", "books_explanation", f"subject IN ({names})")
