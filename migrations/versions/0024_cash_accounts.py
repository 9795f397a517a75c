"""the ledger account that each payout's money leaves from, and entries between two providers

Revision: 0024_cash_accounts
Follows: 0023_explained_amounts
"""

import sqlalchemy as sa
from alembic import op

revision = "0024_cash_accounts"
down_revision = "0023_explained_amounts"
branch_labels = None
depends_on = None

# Whatever was reserved before was held on the bank's account, whichever rail it went by.
BACKFILL = "UPDATE payout SET cash_account = 'assets:bank:' || lower(currency) WHERE holds > 0"
GUARD = """
CREATE FUNCTION payout_cash_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status NOT IN ('draft', 'approved', 'cancelled') AND NEW.cash_account IS DISTINCT FROM OLD.cash_account THEN
        RAISE EXCEPTION 'where the money of a % payout lies never changes', OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
GUARD_ON = """
CREATE TRIGGER payout_cash_guard BEFORE UPDATE OF cash_account ON payout FOR EACH ROW EXECUTE FUNCTION payout_cash_guard()
"""
MET = "entry_id IS NOT NULL"


def upgrade() -> None:
    op.add_column("payout", sa.Column("cash_account", sa.Text(), nullable=True))
    op.execute(BACKFILL)
    op.create_check_constraint(
        "cash_account", "payout", "status IN ('draft', 'approved', 'cancelled') OR cash_account IS NOT NULL"
    )
    op.execute(GUARD)
    op.execute(GUARD_ON)
    # An entry between two providers is told by both of them, by each once.
    op.drop_index("uq_outside_movement_entry", table_name="outside_movement")
    op.create_index(
        "uq_outside_movement_entry", "outside_movement", ["entry_id", "provider"], unique=True, postgresql_where=sa.text(MET)
    )


def downgrade() -> None:
    op.drop_index("uq_outside_movement_entry", table_name="outside_movement")
    op.create_index("uq_outside_movement_entry", "outside_movement", ["entry_id"], unique=True, postgresql_where=sa.text(MET))
    op.execute("DROP TRIGGER payout_cash_guard ON payout")
    op.execute("DROP FUNCTION payout_cash_guard()")
    op.drop_constraint("cash_account", "payout", type_="check")
    op.drop_column("payout", "cash_account")
