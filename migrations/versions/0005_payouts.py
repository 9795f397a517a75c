"""recipients, payouts, attempts, runs

Revision: 0005_payouts
Follows: 0004_pledge
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_payouts"
down_revision = "0004_pledge"
branch_labels = None
depends_on = None


# The database keeps the promises of payouts/models too, whoever writes: states move along their graph, and what was
# approved or sent is what stays written.
PAYOUT_GUARD = """
CREATE FUNCTION payout_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a payout is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.obligation, NEW.round, NEW.recipient_id, NEW.currency, NEW.prepared_by_id, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.obligation, OLD.round, OLD.recipient_id, OLD.currency, OLD.prepared_by_id, OLD.created_at) THEN
        RAISE EXCEPTION 'who is owed for what never changes' USING ERRCODE = 'restrict_violation';
    END IF;
    -- Terms change in a draft, or on the way back to one (which clears the approval).
    IF OLD.status <> 'draft' AND NEW.status <> 'draft' AND
       (NEW.amount_minor, NEW.fund_account, NEW.memo, NEW.destination_id, NEW.rail, NEW.run_id, NEW.approved_by_id,
        NEW.approved_line_hash)
       IS DISTINCT FROM
       (OLD.amount_minor, OLD.fund_account, OLD.memo, OLD.destination_id, OLD.rail, OLD.run_id, OLD.approved_by_id,
        OLD.approved_line_hash) THEN
        RAISE EXCEPTION 'the terms of a % payout are frozen', OLD.status USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.status <> OLD.status AND (OLD.status, NEW.status) NOT IN (
        ('draft', 'approved'), ('draft', 'cancelled'),
        ('approved', 'reserved'), ('approved', 'draft'), ('approved', 'cancelled'),
        ('reserved', 'paid'), ('reserved', 'draft'), ('reserved', 'cancelled'),
        ('paid', 'returned'), ('paid', 'reversed')) THEN
        RAISE EXCEPTION 'a % payout cannot become %', OLD.status, NEW.status USING ERRCODE = 'restrict_violation';
    END IF;
    -- Taking a payout back, or cancelling it, while an attempt may still pay it would be the first half of paying twice.
    IF NEW.status <> OLD.status AND NEW.status IN ('draft', 'cancelled') AND EXISTS (
        SELECT FROM payout_attempt WHERE payout_id = OLD.id AND state <> 'failed') THEN
        RAISE EXCEPTION 'an attempt of this payout may still pay it' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
PAYOUT_GUARD_ON = """
CREATE TRIGGER payout_guard BEFORE UPDATE OR DELETE ON payout FOR EACH ROW EXECUTE FUNCTION payout_guard()
"""
ATTEMPT_GUARD = """
CREATE FUNCTION payout_attempt_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'an attempt is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF (NEW.id, NEW.payout_id, NEW.no, NEW.rail, NEW.idem_key, NEW.parameters, NEW.created_at)
       IS DISTINCT FROM
       (OLD.id, OLD.payout_id, OLD.no, OLD.rail, OLD.idem_key, OLD.parameters, OLD.created_at) THEN
        RAISE EXCEPTION 'key and parameters of an attempt are frozen' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.sends < OLD.sends OR NEW.declined < OLD.declined THEN
        RAISE EXCEPTION 'sends are counted upwards' USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('sending', 'accepted'), ('sending', 'failed'), ('sending', 'unknown'),
        ('unknown', 'accepted'), ('unknown', 'failed'), ('unknown', 'human'),
        ('human', 'accepted'), ('human', 'failed')) THEN
        RAISE EXCEPTION 'a % attempt cannot become %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.state IN ('accepted', 'failed') AND (NEW.remote_id, NEW.failure) IS DISTINCT FROM (OLD.remote_id, OLD.failure) THEN
        RAISE EXCEPTION 'the end of an attempt is final' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
ATTEMPT_GUARD_ON = """
CREATE TRIGGER payout_attempt_guard BEFORE UPDATE OR DELETE ON payout_attempt
FOR EACH ROW EXECUTE FUNCTION payout_attempt_guard()
"""
DESTINATION_GUARD = """
CREATE FUNCTION destination_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.retired_at IS NOT NULL OR
       to_jsonb(NEW) - 'retired_at' IS DISTINCT FROM to_jsonb(OLD) - 'retired_at' THEN
        RAISE EXCEPTION 'a destination is retired and replaced, never edited' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
DESTINATION_GUARD_ON = """
CREATE TRIGGER destination_guard BEFORE UPDATE OR DELETE ON destination FOR EACH ROW EXECUTE FUNCTION destination_guard()
"""
RULE_APPEND_ONLY = """
CREATE TRIGGER payout_rule_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_rule
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
NO_TRUNCATE = """
CREATE TRIGGER payout_attempt_no_truncate BEFORE TRUNCATE ON payout_attempt FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
GUARDS = (
    PAYOUT_GUARD,
    PAYOUT_GUARD_ON,
    ATTEMPT_GUARD,
    ATTEMPT_GUARD_ON,
    DESTINATION_GUARD,
    DESTINATION_GUARD_ON,
    RULE_APPEND_ONLY,
    NO_TRUNCATE,
)
GUARD_FUNCTIONS = ("payout_guard", "payout_attempt_guard", "destination_guard")

# What an installation starts with; people set other numbers, with a date and a reason, under Payouts → Limits.
FIRST_RULES = """
INSERT INTO payout_rule (id, kind, currency, rail, value, valid_from, reason)
SELECT gen_random_uuid(), kind, currency, NULL, value,
       TIMESTAMPTZ '2000-01-01T00:00:00Z', 'Start value.'
FROM (VALUES ('payout_max', 25000000), ('recipient_month_max', 50000000), ('run_max', 200000000),
             ('day_max', 200000000), ('second_approver_from', 10000000)) AS rule (kind, value),
     (VALUES ('USD'), ('EUR'), ('GBP')) AS known (currency)
UNION ALL
SELECT gen_random_uuid(), 'cool_off_hours', NULL, NULL, 72,
       TIMESTAMPTZ '2000-01-01T00:00:00Z', 'Start value.'
"""
FIRST_SWITCHES = """
INSERT INTO rail_switch (id, rail, stopped, changed_at)
SELECT gen_random_uuid(), rail, FALSE, TIMESTAMPTZ '2000-01-01T00:00:00Z'
FROM (VALUES ('fake'), ('manual'), ('bank_file')) AS known (rail)
"""


def upgrade() -> None:
    op.create_table(
        "bank_file",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("line_count", sa.BigInteger(), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("file_id", sa.UUID(), nullable=False),
        sa.Column("created_by_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("line_count > 0 AND total_minor > 0", name=op.f("ck_bank_file_not_empty")),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name=op.f("fk_bank_file_created_by_id")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_bank_file_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_file")),
        sa.UniqueConstraint("number", name=op.f("uq_bank_file_number")),
    )
    op.create_table(
        "bank_import",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("file_id", sa.UUID(), nullable=False),
        sa.Column("imported_by_id", sa.UUID(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_bank_import_file_id")),
        sa.ForeignKeyConstraint(["imported_by_id"], ["person.id"], name=op.f("fk_bank_import_imported_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_import")),
    )
    op.create_table(
        "payout_rule",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "payout_max",
                "recipient_month_max",
                "run_max",
                "day_max",
                "rail_day_max",
                "second_approver_from",
                "cool_off_hours",
                name="rulekind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("rail", sa.Text(), nullable=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("set_by_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("(kind = 'cool_off_hours') = (currency IS NULL)", name=op.f("ck_payout_rule_amounts_have_a_currency")),
        sa.CheckConstraint("(kind = 'rail_day_max') = (rail IS NOT NULL)", name=op.f("ck_payout_rule_rail_where_it_matters")),
        sa.CheckConstraint("value >= 0", name=op.f("ck_payout_rule_value")),
        sa.ForeignKeyConstraint(["set_by_id"], ["person.id"], name=op.f("fk_payout_rule_set_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_rule")),
    )
    op.create_index("ix_payout_rule_kind", "payout_rule", ["kind", "currency", "valid_from"], unique=False)
    op.create_table(
        "payout_run",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "approved",
                "sending",
                "done",
                "cancelled",
                name="runstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("content_hash", sa.String(length=250), nullable=False),
        sa.Column("prepared_by_id", sa.UUID(), nullable=False),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_by_id", sa.UUID(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["prepared_by_id"], ["person.id"], name=op.f("fk_payout_run_prepared_by_id")),
        sa.ForeignKeyConstraint(["sent_by_id"], ["person.id"], name=op.f("fk_payout_run_sent_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_run")),
        sa.UniqueConstraint("id", "prepared_by_id", name=op.f("uq_payout_run_id_prepared_by_id")),
        sa.UniqueConstraint("number", name=op.f("uq_payout_run_number")),
    )
    op.create_index("ix_payout_run_prepared_at", "payout_run", ["prepared_at"], unique=False)
    op.create_table(
        "rail_switch",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("rail", sa.String(length=250), nullable=False),
        sa.Column("stopped", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("changed_by_id", sa.UUID(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("NOT stopped OR reason IS NOT NULL", name=op.f("ck_rail_switch_stopped_for_a_reason")),
        sa.ForeignKeyConstraint(["changed_by_id"], ["person.id"], name=op.f("fk_rail_switch_changed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rail_switch")),
        sa.UniqueConstraint("rail", name=op.f("uq_rail_switch_rail")),
    )
    op.create_table(
        "recipient",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "person",
                "organisation",
                "fiscal_host",
                name="recipientkind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("person_id", sa.UUID(), nullable=True),
        sa.Column("organisation_id", sa.UUID(), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("country ~ '^[A-Z]{2}$'", name=op.f("ck_recipient_country")),
        sa.CheckConstraint("num_nonnulls(person_id, organisation_id) <= 1", name=op.f("ck_recipient_one_identity")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_recipient_organisation_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_recipient_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient")),
    )
    op.create_index("ix_recipient_name", "recipient", ["name", "id"], unique=False)
    op.create_index(op.f("ix_recipient_organisation_id"), "recipient", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_recipient_person_id"), "recipient", ["person_id"], unique=False)
    op.create_table(
        "destination",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("recipient_id", sa.UUID(), nullable=False),
        sa.Column("rail", sa.String(length=250), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("label", sa.String(length=250), nullable=False),
        sa.Column("fingerprint", sa.String(length=250), nullable=False),
        sa.Column("created_by_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("usable_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaces_id", sa.UUID(), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("usable_from >= created_at", name=op.f("ck_destination_usable_after_creation")),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name=op.f("fk_destination_created_by_id")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_destination_recipient_id")),
        sa.ForeignKeyConstraint(["replaces_id"], ["destination.id"], name=op.f("fk_destination_replaces_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destination")),
    )
    op.create_index(
        "uq_destination_current",
        "destination",
        ["recipient_id", "currency"],
        unique=True,
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_table(
        "payout_notice",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("recipient_id", sa.UUID(), nullable=False),
        sa.Column("address", sa.String(length=250), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told_by_id", sa.UUID(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(told_by_id IS NULL) = (told_at IS NULL)", name=op.f("ck_payout_notice_told")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_payout_notice_recipient_id")),
        sa.ForeignKeyConstraint(["told_by_id"], ["person.id"], name=op.f("fk_payout_notice_told_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_notice")),
    )
    op.create_index(op.f("ix_payout_notice_recipient_id"), "payout_notice", ["recipient_id"], unique=False)
    op.create_table(
        "payout_run_approval",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("prepared_by_id", sa.UUID(), nullable=False),
        sa.Column("approver_id", sa.UUID(), nullable=False),
        sa.Column("content_hash", sa.String(length=250), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("approver_id <> prepared_by_id", name=op.f("ck_payout_run_approval_four_eyes")),
        sa.ForeignKeyConstraint(["approver_id"], ["person.id"], name=op.f("fk_payout_run_approval_approver_id")),
        sa.ForeignKeyConstraint(
            ["run_id", "prepared_by_id"], ["payout_run.id", "payout_run.prepared_by_id"], name="fk_payout_run_approval_preparer"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_run_approval")),
    )
    op.create_index(
        "uq_payout_run_approval_current",
        "payout_run_approval",
        ["run_id", "approver_id"],
        unique=True,
        postgresql_where=sa.text("voided_at IS NULL"),
    )
    op.create_table(
        "payout",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("obligation", sa.String(length=250), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("recipient_id", sa.UUID(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("fund_account", sa.String(length=250), nullable=False),
        sa.Column("memo", sa.String(length=250), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "approved",
                "reserved",
                "paid",
                "returned",
                "reversed",
                "cancelled",
                name="payoutstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("prepared_by_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=True),
        sa.Column("destination_id", sa.UUID(), nullable=True),
        sa.Column("rail", sa.Text(), nullable=True),
        sa.Column("is_canary", sa.Boolean(), nullable=False),
        sa.Column("approved_by_id", sa.UUID(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_line_hash", sa.Text(), nullable=True),
        sa.Column("attempts_allowed", sa.BigInteger(), nullable=False),
        sa.Column("holds", sa.BigInteger(), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("blocked_reason", sa.Text(), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "(status IN ('paid', 'returned', 'reversed')) = (paid_at IS NOT NULL)", name=op.f("ck_payout_paid_at")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'cancelled') OR approved_by_id IS NOT NULL", name=op.f("ck_payout_approved_by_somebody")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'cancelled') OR num_nulls(run_id, destination_id, rail, approved_line_hash) = 0",
            name=op.f("ck_payout_approved_in_a_run"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_payout_amount_positive")),
        sa.CheckConstraint("approved_by_id <> prepared_by_id", name=op.f("ck_payout_four_eyes")),
        sa.CheckConstraint("round > 0 AND attempts_allowed >= 0 AND holds >= 0", name=op.f("ck_payout_counters")),
        sa.ForeignKeyConstraint(["approved_by_id"], ["person.id"], name=op.f("fk_payout_approved_by_id")),
        sa.ForeignKeyConstraint(["destination_id"], ["destination.id"], name=op.f("fk_payout_destination_id")),
        sa.ForeignKeyConstraint(["prepared_by_id"], ["person.id"], name=op.f("fk_payout_prepared_by_id")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_payout_recipient_id")),
        sa.ForeignKeyConstraint(["run_id"], ["payout_run.id"], name=op.f("fk_payout_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout")),
        sa.UniqueConstraint("obligation", "round", name=op.f("uq_payout_obligation_round")),
    )
    op.create_index("ix_payout_due", "payout", ["due_on", "id"], unique=False, postgresql_where=sa.text("status = 'draft'"))
    op.create_index(op.f("ix_payout_recipient_id"), "payout", ["recipient_id"], unique=False)
    op.create_index("ix_payout_reserved", "payout", ["currency", "reserved_at"], unique=False)
    op.create_index(op.f("ix_payout_run_id"), "payout", ["run_id"], unique=False)
    op.create_index("ix_payout_status", "payout", ["status", "id"], unique=False)
    op.create_index("uq_payout_canary", "payout", ["run_id", "rail"], unique=True, postgresql_where=sa.text("is_canary"))
    op.create_index(
        "uq_payout_open_obligation",
        "payout",
        ["obligation"],
        unique=True,
        postgresql_where=sa.text("status NOT IN ('returned', 'reversed', 'cancelled')"),
    )
    op.create_table(
        "payout_alarm",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("payout_id", sa.UUID(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_by_id", sa.UUID(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closing_note", sa.Text(), nullable=True),
        sa.CheckConstraint("num_nulls(closed_by_id, closed_at, closing_note) IN (0, 3)", name=op.f("ck_payout_alarm_closed")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["person.id"], name=op.f("fk_payout_alarm_closed_by_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_alarm_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_alarm")),
    )
    op.create_index(
        "ix_payout_alarm_open", "payout_alarm", ["raised_at"], unique=False, postgresql_where=sa.text("closed_at IS NULL")
    )
    op.create_index(op.f("ix_payout_alarm_payout_id"), "payout_alarm", ["payout_id"], unique=False)
    op.create_table(
        "payout_attempt",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("payout_id", sa.UUID(), nullable=False),
        sa.Column("no", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.String(length=250), nullable=False),
        sa.Column("idem_key", sa.String(length=250), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "sending",
                "unknown",
                "human",
                "accepted",
                "failed",
                name="attemptstate",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("sends", sa.BigInteger(), nullable=False),
        sa.Column("declined", sa.BigInteger(), nullable=False),
        sa.Column("lookups", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.UUID(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column(
            "failure",
            sa.Enum(
                "refused",
                "absent",
                "ruled",
                "withdrawn",
                name="attemptfailure",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("bank_file_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "(state = 'accepted') = (remote_id IS NOT NULL)", name=op.f("ck_payout_attempt_accepted_has_remote_id")
        ),
        sa.CheckConstraint("(state = 'failed') = (failure IS NOT NULL)", name=op.f("ck_payout_attempt_failed_has_reason")),
        sa.CheckConstraint("(lease_token IS NULL) = (lease_until IS NULL)", name=op.f("ck_payout_attempt_lease")),
        sa.CheckConstraint("no > 0 AND sends >= declined AND declined >= 0", name=op.f("ck_payout_attempt_counters")),
        sa.ForeignKeyConstraint(["bank_file_id"], ["bank_file.id"], name=op.f("fk_payout_attempt_bank_file_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_payout_attempt_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_attempt")),
        sa.UniqueConstraint("idem_key", name=op.f("uq_payout_attempt_idem_key")),
        sa.UniqueConstraint("payout_id", "no", name=op.f("uq_payout_attempt_payout_id_no")),
        sa.UniqueConstraint("rail", "remote_id", name=op.f("uq_payout_attempt_rail_remote_id")),
    )
    op.create_index(op.f("ix_payout_attempt_bank_file_id"), "payout_attempt", ["bank_file_id"], unique=False)
    op.create_index(
        "ix_payout_attempt_human",
        "payout_attempt",
        ["changed_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('unknown', 'human')"),
    )
    op.create_index(
        "ix_payout_attempt_open",
        "payout_attempt",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state IN ('sending', 'unknown')"),
    )
    op.create_index(
        "uq_payout_attempt_one_live", "payout_attempt", ["payout_id"], unique=True, postgresql_where=sa.text("state <> 'failed'")
    )
    op.create_table(
        "payout_resolution",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("attempt_id", sa.UUID(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "accepted", "failed", "returned", "reversed", name="outcome", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("evidence_id", sa.UUID(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("proposed_by_id", sa.UUID(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "(outcome = 'accepted') = (remote_id IS NOT NULL)", name=op.f("ck_payout_resolution_accepted_has_remote_id")
        ),
        sa.CheckConstraint(
            "confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name=op.f("ck_payout_resolution_two_people")
        ),
        sa.CheckConstraint(
            "num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name=op.f("ck_payout_resolution_decided")
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["payout_attempt.id"], name=op.f("fk_payout_resolution_attempt_id")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_payout_resolution_decided_by_id")),
        sa.ForeignKeyConstraint(["evidence_id"], ["stored_file.id"], name=op.f("fk_payout_resolution_evidence_id")),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=op.f("fk_payout_resolution_proposed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_resolution")),
    )
    op.create_index(op.f("ix_payout_resolution_attempt_id"), "payout_resolution", ["attempt_id"], unique=False)
    op.create_index(
        "uq_payout_resolution_open",
        "payout_resolution",
        ["attempt_id"],
        unique=True,
        postgresql_where=sa.text("decided_at IS NULL"),
    )
    for guard in GUARDS:
        op.execute(guard)
    op.execute(FIRST_RULES)
    op.execute(FIRST_SWITCHES)


def downgrade() -> None:
    op.drop_index("uq_payout_resolution_open", table_name="payout_resolution", postgresql_where=sa.text("decided_at IS NULL"))
    op.drop_index(op.f("ix_payout_resolution_attempt_id"), table_name="payout_resolution")
    op.drop_table("payout_resolution")
    op.drop_index("uq_payout_attempt_one_live", table_name="payout_attempt", postgresql_where=sa.text("state <> 'failed'"))
    op.drop_index(
        "ix_payout_attempt_open", table_name="payout_attempt", postgresql_where=sa.text("state IN ('sending', 'unknown')")
    )
    op.drop_index(
        "ix_payout_attempt_human", table_name="payout_attempt", postgresql_where=sa.text("state IN ('unknown', 'human')")
    )
    op.drop_index(op.f("ix_payout_attempt_bank_file_id"), table_name="payout_attempt")
    op.drop_table("payout_attempt")
    op.drop_index(op.f("ix_payout_alarm_payout_id"), table_name="payout_alarm")
    op.drop_index("ix_payout_alarm_open", table_name="payout_alarm", postgresql_where=sa.text("closed_at IS NULL"))
    op.drop_table("payout_alarm")
    op.drop_index(
        "uq_payout_open_obligation",
        table_name="payout",
        postgresql_where=sa.text("status NOT IN ('returned', 'reversed', 'cancelled')"),
    )
    op.drop_index("uq_payout_canary", table_name="payout", postgresql_where=sa.text("is_canary"))
    op.drop_index("ix_payout_status", table_name="payout")
    op.drop_index(op.f("ix_payout_run_id"), table_name="payout")
    op.drop_index("ix_payout_reserved", table_name="payout")
    op.drop_index(op.f("ix_payout_recipient_id"), table_name="payout")
    op.drop_index("ix_payout_due", table_name="payout", postgresql_where=sa.text("status = 'draft'"))
    op.drop_table("payout")
    op.drop_index(
        "uq_payout_run_approval_current", table_name="payout_run_approval", postgresql_where=sa.text("voided_at IS NULL")
    )
    op.drop_table("payout_run_approval")
    op.drop_index(op.f("ix_payout_notice_recipient_id"), table_name="payout_notice")
    op.drop_table("payout_notice")
    op.drop_index("uq_destination_current", table_name="destination", postgresql_where=sa.text("retired_at IS NULL"))
    op.drop_table("destination")
    op.drop_index(op.f("ix_recipient_person_id"), table_name="recipient")
    op.drop_index(op.f("ix_recipient_organisation_id"), table_name="recipient")
    op.drop_index("ix_recipient_name", table_name="recipient")
    op.drop_table("recipient")
    op.drop_table("rail_switch")
    op.drop_index("ix_payout_run_prepared_at", table_name="payout_run")
    op.drop_table("payout_run")
    op.drop_index("ix_payout_rule_kind", table_name="payout_rule")
    op.drop_table("payout_rule")
    op.drop_table("bank_import")
    op.drop_table("bank_file")
    for function in GUARD_FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}()")
