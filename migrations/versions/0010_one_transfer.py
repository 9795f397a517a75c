"""ledger: post one transfer the short way

Revision ID: 0010_one_transfer
Revises: 0009_whole_units
Create Date: 2026-11-22
"""

from alembic import op

revision = "0010_one_transfer"
down_revision = "0009_whole_units"
branch_labels = None
depends_on = None

# An entry of one transfer, the most frequent by far, without the arrays of ledger_post, at two thirds of its cost. Answers with the
# commodity if the entry was written. If anything stands against it, nothing was written and the answer is NULL: the caller asks
# ledger_post, which knows every reason. The locks are taken in the same order there.
POST_ONE = """
CREATE FUNCTION ledger_post_one(
    p_entry uuid, p_key text, p_hash bytea, p_kind text, p_memo text, p_refs jsonb, p_at timestamptz,
    p_phase text, p_expires_at timestamptz, p_debit text, p_credit text, p_amount bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    account record;
    debit_id bigint;
    credit_id bigint;
    debit_commodity text;
    credit_commodity text;
BEGIN
    FOR account IN
        SELECT id, code, commodity,
               CASE guard WHEN 'credit' THEN code = p_credit OR credits_posted - debits_posted - debits_pending >= p_amount
                          WHEN 'debit' THEN code = p_debit OR debits_posted - credits_posted - credits_pending >= p_amount
                          ELSE true END AS has_enough
        FROM ledger_account WHERE code IN (p_debit, p_credit) ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF NOT account.has_enough THEN
            RETURN NULL;
        ELSIF account.code = p_debit THEN
            debit_id := account.id;
            debit_commodity := account.commodity;
        ELSE
            credit_id := account.id;
            credit_commodity := account.commodity;
        END IF;
    END LOOP;
    IF debit_commodity = credit_commodity THEN  -- not if either account is unknown
        INSERT INTO ledger_entry (id, key, request_hash, kind, memo, refs, at)
        VALUES (p_entry, p_key, p_hash, p_kind, p_memo, p_refs, p_at)
        ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            INSERT INTO ledger_transfer (entry_id, leg, phase, debit_id, credit_id, commodity, amount, expires_at)
            VALUES (p_entry, 0, p_phase, debit_id, credit_id, debit_commodity, p_amount, p_expires_at);
            RETURN debit_commodity;
        END IF;
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    op.execute(POST_ONE)


def downgrade() -> None:
    op.execute("DROP FUNCTION ledger_post_one")
