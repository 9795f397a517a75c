"""accounts, transfers, holds, seals

Revision: 0003_ledger
Follows: 0002_tasks_audit_files
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_ledger"
down_revision = "0002_tasks_audit_files"
branch_labels = None
depends_on = None


# A new account has a proper code, stands on a side, is guarded there or not at all, and starts empty. Its sums change only
# below the trigger on transfers: a statement typed by hand has trigger depth 0. Identity and guard never change; the name may.
ACCOUNT_TRIGGERS = (
    """
CREATE FUNCTION ledger_open_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.code !~ '^(assets|liabilities|equity|income|expenses)(:[a-z0-9][a-z0-9._-]*)+$' THEN
        RAISE EXCEPTION '% is not an account code', NEW.code USING ERRCODE = 'check_violation';
    ELSIF NEW.normal NOT IN ('debit', 'credit') OR NEW.guard NOT IN ('none', NEW.normal) THEN
        RAISE EXCEPTION 'account % stands on the debit or the credit side and is guarded there', NEW.code
        USING ERRCODE = 'check_violation';
    ELSIF (NEW.debits_posted, NEW.debits_pending, NEW.credits_posted, NEW.credits_pending) <> (0, 0, 0, 0) THEN
        RAISE EXCEPTION 'account % starts with a balance; post a transfer instead', NEW.code
        USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
""",
    """
CREATE TRIGGER ledger_account_opens BEFORE INSERT ON ledger_account FOR EACH ROW EXECUTE FUNCTION ledger_open_account()
""",
    """
CREATE TRIGGER ledger_account_kept_by_transfers
BEFORE UPDATE OF id, code, commodity, normal, guard, debits_posted, debits_pending, credits_posted, credits_pending
ON ledger_account FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()
""",
    """
CREATE TRIGGER ledger_account_stays BEFORE DELETE OR TRUNCATE ON ledger_account
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)

APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
APPEND_ONLY_TABLES = (
    "ledger_commodity",
    "ledger_entry",
    "ledger_transfer",
    "ledger_seal",
    "ledger_sealed_entry",
    "ledger_repair",
)

# What transfers add to the sums of their accounts; used by the kept sums and by their recomputation alike.
SUMS = """
    SELECT account_id,
           sum(debits_posted)::bigint AS debits_posted, sum(debits_pending)::bigint AS debits_pending,
           sum(credits_posted)::bigint AS credits_posted, sum(credits_pending)::bigint AS credits_pending
    FROM (
        SELECT debit_id AS account_id,
               sum(amount) FILTER (WHERE phase IN ('direct', 'settle')) AS debits_posted,
               coalesce(sum(amount) FILTER (WHERE phase = 'hold'), 0) - coalesce(sum(held_amount), 0) AS debits_pending,
               NULL::numeric AS credits_posted, NULL::numeric AS credits_pending
        FROM {transfers} GROUP BY debit_id
        UNION ALL
        SELECT credit_id, NULL, NULL,
               sum(amount) FILTER (WHERE phase IN ('direct', 'settle')),
               coalesce(sum(amount) FILTER (WHERE phase = 'hold'), 0) - coalesce(sum(held_amount), 0)
        FROM {transfers} GROUP BY credit_id
    ) AS sides
    GROUP BY account_id"""

# What a transfer of each phase carries. Part of the trigger that runs anyway: PostgreSQL reads a CHECK from its text for every
# statement, which costs a single transfer more than writing its row.
WELL_FORMED = """(CASE
            WHEN {row}.phase IN ('direct', 'hold') THEN
                num_nulls({row}.hold_entry_id, {row}.hold_leg, {row}.held_amount, {row}.hold_phase) = 4
                AND ({row}.phase = 'hold' OR {row}.expires_at IS NULL)
            WHEN num_nulls({row}.hold_entry_id, {row}.hold_leg, {row}.held_amount, {row}.hold_phase) > 0
                OR {row}.hold_phase <> 'hold' OR {row}.expires_at IS NOT NULL THEN false
            WHEN {row}.phase = 'settle' THEN {row}.amount <= {row}.held_amount
            ELSE {row}.phase IN ('void', 'expire') AND {row}.amount = {row}.held_amount END)"""
ILL_FORMED = "a transfer does not carry what one of its phase carries"

# One trigger per statement, so that a COPY of thousands of transfers touches each account once; a single transfer, the most
# frequent statement, takes a short way. Accounts are locked in the order of their ids, so that two statements that share
# accounts wait for each other, never in a circle. Their ids are gathered first: a lock that was waited for asks its condition
# again for every row, and must not read the transfers each time. The short way finds its two accounts locked by ledger_post; a
# single row written by hand may meet a circle, and one of the two is then refused.
APPLY_TRANSFERS = (
    f"""
CREATE FUNCTION ledger_apply_transfers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    one ledger_transfer;
    count integer := 0;
    moved bigint;
    held bigint;
    accounts bigint[];
BEGIN
    FOR one IN SELECT * FROM added LIMIT 2 LOOP
        count := count + 1;
    END LOOP;
    IF count = 1 THEN
        IF NOT {WELL_FORMED.format(row="one")} THEN
            RAISE EXCEPTION '{ILL_FORMED}' USING ERRCODE = 'check_violation';
        END IF;
        moved := CASE WHEN one.phase IN ('direct', 'settle') THEN one.amount ELSE 0 END;
        held := CASE one.phase WHEN 'direct' THEN 0 WHEN 'hold' THEN one.amount ELSE - one.held_amount END;
        UPDATE ledger_account SET
            debits_posted = debits_posted + CASE id WHEN one.debit_id THEN moved ELSE 0 END,
            debits_pending = debits_pending + CASE id WHEN one.debit_id THEN held ELSE 0 END,
            credits_posted = credits_posted + CASE id WHEN one.credit_id THEN moved ELSE 0 END,
            credits_pending = credits_pending + CASE id WHEN one.credit_id THEN held ELSE 0 END
        WHERE id IN (one.debit_id, one.credit_id);
        RETURN NULL;
    END IF;

    IF EXISTS (SELECT FROM added AS t WHERE NOT {WELL_FORMED.format(row="t")}) THEN
        RAISE EXCEPTION '{ILL_FORMED}' USING ERRCODE = 'check_violation';
    END IF;
    accounts := ARRAY(SELECT debit_id FROM added UNION SELECT credit_id FROM added);
    PERFORM 1 FROM ledger_account WHERE id = ANY (accounts) ORDER BY id FOR NO KEY UPDATE;
    UPDATE ledger_account AS account SET
        debits_posted = account.debits_posted + coalesce(change.debits_posted, 0),
        debits_pending = account.debits_pending + coalesce(change.debits_pending, 0),
        credits_posted = account.credits_posted + coalesce(change.credits_posted, 0),
        credits_pending = account.credits_pending + coalesce(change.credits_pending, 0)
    FROM ({SUMS.format(transfers="added")}) AS change
    WHERE account.id = change.account_id;
    RETURN NULL;
END
$$
""",  # noqa: S608 - one constant put into another
    """
CREATE TRIGGER ledger_transfer_applies AFTER INSERT ON ledger_transfer
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_apply_transfers()
""",
)

RECOMPUTED = f"CREATE VIEW ledger_recomputed AS {SUMS.format(transfers='ledger_transfer')}"

# A repair takes no numbers from outside: it recomputes the account from its transfers, with the account locked, so that a
# transfer that is being written counts once.
REPAIR = (
    f"""
CREATE FUNCTION ledger_repair_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ledger_account WHERE id = NEW.account_id FOR NO KEY UPDATE;
    UPDATE ledger_account AS account SET
        debits_posted = coalesce(truth.debits_posted, 0), debits_pending = coalesce(truth.debits_pending, 0),
        credits_posted = coalesce(truth.credits_posted, 0), credits_pending = coalesce(truth.credits_pending, 0)
    FROM (SELECT NEW.account_id AS id) AS wanted LEFT JOIN (
        {SUMS.format(transfers="(SELECT * FROM ledger_transfer WHERE NEW.account_id IN (debit_id, credit_id)) AS own")}
    ) AS truth ON truth.account_id = wanted.id
    WHERE account.id = wanted.id;
    RETURN NULL;
END
$$
""",  # noqa: S608 - one constant put into another
    """
CREATE TRIGGER ledger_repair_applies AFTER INSERT ON ledger_repair
FOR EACH ROW EXECUTE FUNCTION ledger_repair_account()
""",
)

# Posting in one round trip. Refusals are answers, not exceptions, so that the caller's transaction can go on after them; the
# constraints stand behind. The caller sends each account once, with what the legs together need from it if it is guarded on its
# credit or on its debit side, and the legs by the accounts' places in that list. The accounts are locked first: whoever comes
# second with the same key finds the first one's entry, and nobody's funds change meanwhile.
POST = """
CREATE FUNCTION ledger_post(
    p_entry uuid, p_key text, p_hash bytea, p_kind text, p_memo text, p_refs jsonb, p_at timestamptz,
    p_phase text, p_expires_at timestamptz,
    p_accounts text[], p_debit_needs bigint[], p_credit_needs bigint[],
    p_debits integer[], p_credits integer[], p_amounts bigint[],
    OUT outcome text, OUT entry_id uuid, OUT commodities text[], OUT details jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    account record;
    place integer;
    ids bigint[] := array_fill(NULL::bigint, ARRAY[cardinality(p_accounts)]);
    known_hash bytea;
BEGIN
    outcome := 'posted';
    commodities := array_fill(NULL::text, ARRAY[cardinality(p_accounts)]);
    FOR account IN
        SELECT id, code, commodity, array_position(p_accounts, code) AS place,
               CASE guard WHEN 'credit' THEN credits_posted - debits_posted - debits_pending
                          WHEN 'debit' THEN debits_posted - credits_posted - credits_pending END AS available,
               CASE guard WHEN 'credit' THEN p_debit_needs[array_position(p_accounts, code)]
                          WHEN 'debit' THEN p_credit_needs[array_position(p_accounts, code)] END AS wanted
        FROM ledger_account WHERE code = ANY (p_accounts) ORDER BY id FOR NO KEY UPDATE
    LOOP
        ids[account.place] := account.id;
        commodities[account.place] := account.commodity;
        IF account.wanted > account.available AND account.wanted > 0 AND outcome = 'posted' THEN
            outcome := 'insufficient_funds';
            details := jsonb_build_object('account', account.code, 'commodity', account.commodity,
                                          'available', account.available, 'wanted', account.wanted);
        END IF;
    END LOOP;

    place := array_position(ids, NULL);
    IF place IS NOT NULL THEN
        outcome := 'unknown_account';
        details := jsonb_build_object('account', p_accounts[place]);
    ELSE
        FOR leg IN 1 .. cardinality(p_amounts) LOOP
            IF commodities[p_debits[leg]] <> commodities[p_credits[leg]] THEN
                outcome := 'mixed_commodities';
                details := jsonb_build_object(
                    'debit', p_accounts[p_debits[leg]], 'debit_commodity', commodities[p_debits[leg]],
                    'credit', p_accounts[p_credits[leg]], 'credit_commodity', commodities[p_credits[leg]]);
                EXIT;
            END IF;
        END LOOP;
    END IF;

    IF outcome = 'posted' THEN
        INSERT INTO ledger_entry (id, key, request_hash, kind, memo, refs, at)
        VALUES (p_entry, p_key, p_hash, p_kind, p_memo, p_refs, p_at)
        ON CONFLICT (key) DO NOTHING;
        IF FOUND THEN
            IF cardinality(p_amounts) = 1 THEN  -- the most frequent entry, at two thirds of the general way's cost
                INSERT INTO ledger_transfer (entry_id, leg, phase, debit_id, credit_id, commodity, amount, expires_at)
                VALUES (p_entry, 0, p_phase, ids[p_debits[1]], ids[p_credits[1]], commodities[1], p_amounts[1], p_expires_at);
            ELSE
                INSERT INTO ledger_transfer (entry_id, leg, phase, debit_id, credit_id, commodity, amount, expires_at)
                SELECT p_entry, leg - 1, p_phase, ids[p_debits[leg]], ids[p_credits[leg]], commodities[p_debits[leg]],
                       p_amounts[leg], p_expires_at
                FROM generate_series(1, cardinality(p_amounts)) AS leg;
            END IF;
            entry_id := p_entry;
            RETURN;
        END IF;
    END IF;

    -- Not posted now. If it was before, a retry gets that answer, whatever has become of the funds since.
    SELECT e.id, e.request_hash INTO entry_id, known_hash FROM ledger_entry AS e WHERE e.key = p_key;
    IF FOUND THEN
        outcome := CASE WHEN known_hash = p_hash THEN 'replayed' ELSE 'key_reused' END;
    END IF;
END
$$
"""

# Ending the holds of one entry: `p_legs` names some of them with the amounts to move (0 moves nothing), NULL means all that
# are open. Every way to end a hold locks its accounts first, so that of two at once the second sees the first's ending.
END_HOLDS = """
CREATE FUNCTION ledger_end_holds(
    p_entry uuid, p_key text, p_hash bytea, p_kind text, p_memo text, p_refs jsonb, p_at timestamptz,
    p_phase text, p_hold_key text, p_legs smallint[], p_amounts bigint[],
    OUT outcome text, OUT entry_id uuid, OUT details jsonb
) LANGUAGE plpgsql AS $$
DECLARE
    hold_entry uuid;
    known_hash bytea;
    hold record;
    legs smallint[] := '{}';
    amounts bigint[] := '{}';
BEGIN
    SELECT e.id INTO hold_entry FROM ledger_entry AS e WHERE e.key = p_hold_key;
    PERFORM 1 FROM ledger_account
    WHERE id IN (SELECT t.debit_id FROM ledger_transfer AS t WHERE t.entry_id = hold_entry
                 UNION ALL SELECT t.credit_id FROM ledger_transfer AS t WHERE t.entry_id = hold_entry)
    ORDER BY id FOR NO KEY UPDATE;

    SELECT e.id, e.request_hash INTO entry_id, known_hash FROM ledger_entry AS e WHERE e.key = p_key;
    IF FOUND THEN
        outcome := CASE WHEN known_hash = p_hash THEN 'replayed' ELSE 'key_reused' END;
        RETURN;
    END IF;

    FOR hold IN
        SELECT t.leg, t.amount, ending.phase AS ended, coalesce(wanted.amount, CASE
                   WHEN p_legs IS NULL AND p_phase = 'settle' THEN t.amount ELSE 0 END) AS wanted
        FROM ledger_transfer AS t
        LEFT JOIN ledger_transfer AS ending ON ending.hold_entry_id = t.entry_id AND ending.hold_leg = t.leg
        LEFT JOIN unnest(p_legs, p_amounts) AS wanted (leg, amount) ON wanted.leg = t.leg
        WHERE t.entry_id = hold_entry AND t.phase = 'hold'
          AND (wanted.leg IS NOT NULL OR ending.phase IS NULL)
        ORDER BY t.leg
    LOOP
        IF hold.ended IS NOT NULL THEN
            outcome := 'already_resolved';
            details := jsonb_build_object('leg', hold.leg, 'phase', hold.ended);
            RETURN;
        ELSIF hold.wanted > hold.amount THEN
            outcome := 'more_than_held';
            details := jsonb_build_object('leg', hold.leg, 'held', hold.amount, 'wanted', hold.wanted);
            RETURN;
        END IF;
        legs := legs || hold.leg;
        amounts := amounts || hold.wanted;
    END LOOP;
    IF cardinality(legs) = 0 THEN
        SELECT CASE WHEN count(*) = 0 THEN 'unknown_hold' ELSE 'already_resolved' END,
               jsonb_build_object('phase', min(ending.phase))
        INTO outcome, details
        FROM ledger_transfer AS t
        LEFT JOIN ledger_transfer AS ending ON ending.hold_entry_id = t.entry_id AND ending.hold_leg = t.leg
        WHERE t.entry_id = hold_entry AND t.phase = 'hold';
        RETURN;
    END IF;

    INSERT INTO ledger_entry (id, key, request_hash, kind, memo, refs, at)
    SELECT p_entry, p_key, p_hash, coalesce(p_kind, e.kind), coalesce(p_memo, e.memo), coalesce(p_refs, e.refs), p_at
    FROM ledger_entry AS e WHERE e.id = hold_entry
    ON CONFLICT (key) DO NOTHING;
    IF NOT FOUND THEN
        SELECT e.id INTO entry_id FROM ledger_entry AS e WHERE e.key = p_key;
        outcome := 'key_reused';  -- by another deed at this moment: endings of the same hold have waited above
        RETURN;
    END IF;
    INSERT INTO ledger_transfer (
        entry_id, leg, phase, debit_id, credit_id, commodity, amount, hold_entry_id, hold_leg, held_amount, hold_phase)
    SELECT p_entry, ending.no - 1,
           CASE WHEN ending.amount > 0 OR p_phase <> 'settle' THEN p_phase ELSE 'void' END,
           t.debit_id, t.credit_id, t.commodity, CASE WHEN ending.amount > 0 THEN ending.amount ELSE t.amount END,
           t.entry_id, t.leg, t.amount, 'hold'
    FROM unnest(legs, amounts) WITH ORDINALITY AS ending (leg, amount, no)
    JOIN ledger_transfer AS t ON t.entry_id = hold_entry AND t.leg = ending.leg;
    outcome := 'posted';
    entry_id := p_entry;
END
$$
"""

FUNCTIONS = (
    "ledger_post",
    "ledger_end_holds",
    "ledger_apply_transfers",
    "ledger_repair_account",
    "ledger_open_account",
)


def upgrade() -> None:
    op.create_table(
        "ledger_commodity",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("currency", "gpu_time", name="commoditykind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("scale", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("code ~ '^[A-Z][A-Z0-9._-]{0,22}[A-Z0-9]$'", name=op.f("ck_ledger_commodity_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_ledger_commodity")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(length=250), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("refs", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("xid", sa.BigInteger(), server_default=sa.text("(pg_current_xact_id()::text)::bigint"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_entry_key")),
    )
    op.create_index(
        "ix_ledger_entry_refs",
        "ledger_entry",
        ["refs"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"refs": "jsonb_path_ops"},
        postgresql_where=sa.text("refs <> '{}'"),
    )
    op.create_index("ix_ledger_entry_xid", "ledger_entry", ["xid"], unique=False, postgresql_using="brin")
    op.create_table(
        "ledger_seal",
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("no > 0 AND entries > 0", name=op.f("ck_ledger_seal_not_empty")),
        sa.PrimaryKeyConstraint("no", name=op.f("pk_ledger_seal")),
        sa.UniqueConstraint("hash", name=op.f("uq_ledger_seal_hash")),
        sa.UniqueConstraint("previous_hash", name=op.f("uq_ledger_seal_previous_hash")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("normal", sa.Enum("debit", "credit", name="side", native_enum=False, length=40), nullable=False),
        sa.Column("guard", sa.Enum("none", "debit", "credit", name="guard", native_enum=False, length=40), nullable=False),
        sa.Column("debits_posted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("debits_pending", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("credits_posted", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("credits_pending", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "debits_pending >= 0 AND credits_pending >= 0 AND CASE guard"
            " WHEN 'credit' THEN debits_posted + debits_pending <= credits_posted"
            " WHEN 'debit' THEN credits_posted + credits_pending <= debits_posted ELSE true END",
            name=op.f("ck_ledger_account_no_overdraft"),
        ),
        sa.ForeignKeyConstraint(["commodity"], ["ledger_commodity.code"], name=op.f("fk_ledger_account_commodity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_account")),
        sa.UniqueConstraint("code", name=op.f("uq_ledger_account_code")),
        sa.UniqueConstraint("id", "commodity", name=op.f("uq_ledger_account_id_commodity")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "ledger_sealed_entry",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("seal_no", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("position > 0", name=op.f("ck_ledger_sealed_entry_position")),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"], name=op.f("fk_ledger_sealed_entry_entry_id")),
        sa.ForeignKeyConstraint(["seal_no"], ["ledger_seal.no"], name=op.f("fk_ledger_sealed_entry_seal_no")),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_ledger_sealed_entry")),
        sa.UniqueConstraint("entry_id", name=op.f("uq_ledger_sealed_entry_entry_id")),
    )
    op.create_table(
        "ledger_repair",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_account.id"], name=op.f("fk_ledger_repair_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_repair")),
    )
    op.create_table(
        "ledger_transfer",
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("leg", sa.SmallInteger(), nullable=False),
        sa.Column("debit_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_id", sa.BigInteger(), nullable=False),
        sa.Column("commodity", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column(
            "phase",
            sa.Enum("direct", "hold", "settle", "void", "expire", name="phase", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("hold_entry_id", sa.UUID(), nullable=True),
        sa.Column("hold_leg", sa.SmallInteger(), nullable=True),
        sa.Column("held_amount", sa.BigInteger(), nullable=True),
        sa.Column("hold_phase", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_transfer_amount_positive")),
        sa.CheckConstraint("debit_id <> credit_id", name=op.f("ck_ledger_transfer_two_accounts")),
        sa.ForeignKeyConstraint(
            ["credit_id", "commodity"],
            ["ledger_account.id", "ledger_account.commodity"],
            name=op.f("fk_ledger_transfer_credit_id_commodity"),
        ),
        sa.ForeignKeyConstraint(
            ["debit_id", "commodity"],
            ["ledger_account.id", "ledger_account.commodity"],
            name=op.f("fk_ledger_transfer_debit_id_commodity"),
        ),
        sa.ForeignKeyConstraint(["entry_id"], ["ledger_entry.id"], name=op.f("fk_ledger_transfer_entry_id")),
        sa.ForeignKeyConstraint(
            ["hold_entry_id", "hold_leg", "debit_id", "credit_id", "commodity", "held_amount", "hold_phase"],
            [
                "ledger_transfer.entry_id",
                "ledger_transfer.leg",
                "ledger_transfer.debit_id",
                "ledger_transfer.credit_id",
                "ledger_transfer.commodity",
                "ledger_transfer.amount",
                "ledger_transfer.phase",
            ],
            name="fk_ledger_transfer_hold",
        ),
        sa.PrimaryKeyConstraint(
            "entry_id", "leg", "debit_id", "credit_id", "commodity", "amount", "phase", name=op.f("pk_ledger_transfer")
        ),
    )
    op.create_index("ix_ledger_transfer_credit_id", "ledger_transfer", ["credit_id"], unique=False)
    op.create_index("ix_ledger_transfer_debit_id", "ledger_transfer", ["debit_id"], unique=False)
    op.create_index(
        "ix_ledger_transfer_expires_at",
        "ledger_transfer",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
    op.create_index(
        "uq_ledger_transfer_hold",
        "ledger_transfer",
        ["hold_entry_id", "hold_leg"],
        unique=True,
        postgresql_where=sa.text("hold_entry_id IS NOT NULL"),
    )
    for table in APPEND_ONLY_TABLES:
        op.execute(APPEND_ONLY.format(table=table))
    for statement in (*ACCOUNT_TRIGGERS, *APPLY_TRANSFERS, RECOMPUTED, *REPAIR, POST, END_HOLDS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW ledger_recomputed")
    op.drop_index("uq_ledger_transfer_hold", table_name="ledger_transfer", postgresql_where=sa.text("hold_entry_id IS NOT NULL"))
    op.drop_index(
        "ix_ledger_transfer_expires_at", table_name="ledger_transfer", postgresql_where=sa.text("expires_at IS NOT NULL")
    )
    op.drop_index("ix_ledger_transfer_debit_id", table_name="ledger_transfer")
    op.drop_index("ix_ledger_transfer_credit_id", table_name="ledger_transfer")
    op.drop_table("ledger_transfer")
    op.drop_table("ledger_repair")
    op.drop_table("ledger_sealed_entry")
    op.drop_table("ledger_account")
    op.drop_table("ledger_seal")
    op.drop_index("ix_ledger_entry_xid", table_name="ledger_entry", postgresql_using="brin")
    op.drop_index(
        "ix_ledger_entry_refs",
        table_name="ledger_entry",
        postgresql_using="gin",
        postgresql_ops={"refs": "jsonb_path_ops"},
        postgresql_where=sa.text("refs <> '{}'"),
    )
    op.drop_table("ledger_entry")
    op.drop_table("ledger_commodity")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
