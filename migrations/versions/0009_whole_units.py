"""what is carried of a payout where its rail pays whole units, and files for other rails than the bank

Revision: 0009_whole_units
Follows: 0008_clock_tries
"""

import sqlalchemy as sa
from alembic import op

revision = "0009_whole_units"
down_revision = "0008_clock_tries"
branch_labels = None
depends_on = None

# How a payout is divided is decided when it is reserved, and is part of its hold from then on.
CARRY_GUARD = """
CREATE FUNCTION payout_carry_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.carried_minor <> OLD.carried_minor AND OLD.status NOT IN ('draft', 'approved') AND NEW.status <> 'draft' THEN
        RAISE EXCEPTION 'what is carried of a % payout is frozen', OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
CARRY_GUARD_ON = """
CREATE TRIGGER payout_carry_guard BEFORE UPDATE ON payout FOR EACH ROW EXECUTE FUNCTION payout_carry_guard()
"""
SWITCH = """
INSERT INTO rail_switch (id, rail, stopped, changed_at)
VALUES (gen_random_uuid(), 'github_sponsors', FALSE, TIMESTAMPTZ '2000-01-01T00:00:00Z')
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    op.add_column("payout", sa.Column("carried_minor", sa.BigInteger(), server_default="0", nullable=False))
    op.create_check_constraint("something_leaves", "payout", "amount_minor > carried_minor")
    op.add_column("bank_file", sa.Column("rail", sa.String(length=250), server_default="bank_file", nullable=False))
    op.execute(CARRY_GUARD)
    op.execute(CARRY_GUARD_ON)
    op.execute(SWITCH)


def downgrade() -> None:
    op.execute("DELETE FROM rail_switch WHERE rail = 'github_sponsors'")
    op.execute("DROP TRIGGER payout_carry_guard ON payout")
    op.execute("DROP FUNCTION payout_carry_guard()")
    op.drop_column("bank_file", "rail")
    op.drop_constraint("something_leaves", "payout", type_="check")
    op.drop_column("payout", "carried_minor")
