"""companies' pledges, payments, reports, membership

Revision: 0004_pledge
Follows: 0003_ledger
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_pledge"
down_revision = "0003_ledger"
branch_labels = None
depends_on = None

# A correction is a new row: the old one may only be marked as superseded, once, with its reason.
ONLY_SUPERSEDE = """
CREATE FUNCTION only_supersede() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    marks text[] := ARRAY['superseded_at', 'superseded_by_id', 'superseded_reason'];
BEGIN
    IF OLD.superseded_at IS NOT NULL OR NEW.superseded_at IS NULL OR to_jsonb(OLD) - marks <> to_jsonb(NEW) - marks THEN
        RAISE EXCEPTION '% rows are corrected by new rows: % refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$
"""
SUPERSEDED = ("pledge_payment", "pledge_in_kind", "pledge_report")
APPEND_ONLY = ("pledge_minimum", "pledge_renewal_rule", "pledge_exception")
# The rules every installation starts with. Further rows come with `pledgeworks pledge minimum add`.
FIRST_MINIMUM = """
INSERT INTO pledge_minimum (id, currency, valid_from, amount_minor, source, author, rules_version, created_at)
VALUES (gen_random_uuid(), 'USD', '2021-01-01', 200000,
        'https://opensourcepledge.com/join/: $2,000 per full-time-equivalent developer on staff and year',
        'Open Source Pledge', '2024-10', now())
"""
FIRST_RENEWAL_RULE = """
INSERT INTO pledge_renewal_rule (id, valid_from, due_after_months, due_soon_months, grace_months, reminder_days,
                                 source, author, rules_version, created_at)
VALUES (gen_random_uuid(), '2021-01-01', 12, 2, 1, '{-60,-30,-7,0,14}',
        'Open Source Pledge, CONTRIBUTING.md: a report a year, removed one month after the due date; reminder days are ours',
        'Open Source Pledge', '2024-10', now())
"""


def upgrade() -> None:
    op.create_table(
        "pledge_minimum",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=250), nullable=False),
        sa.Column("author", sa.String(length=250), nullable=False),
        sa.Column("rules_version", sa.String(length=250), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_pledge_minimum_amount_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_minimum")),
        sa.UniqueConstraint("currency", "valid_from", name=op.f("uq_pledge_minimum_currency_valid_from")),
    )
    op.create_table(
        "pledge_renewal_rule",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("due_after_months", sa.BigInteger(), nullable=False),
        sa.Column("due_soon_months", sa.BigInteger(), nullable=False),
        sa.Column("grace_months", sa.BigInteger(), nullable=False),
        sa.Column("reminder_days", sa.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("source", sa.String(length=250), nullable=False),
        sa.Column("author", sa.String(length=250), nullable=False),
        sa.Column("rules_version", sa.String(length=250), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "due_after_months > 0 AND due_soon_months >= 0 AND grace_months >= 0", name=op.f("ck_pledge_renewal_rule_months")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_renewal_rule")),
        sa.UniqueConstraint("valid_from", name=op.f("uq_pledge_renewal_rule_valid_from")),
    )
    op.create_table(
        "pledge_member",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organisation_id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.String(length=250), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "Innovator",
                "Member",
                "Former Innovator",
                "Former Member",
                name="memberrole",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "origin",
            sa.Enum("here", "file", name="memberorigin", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "applied",
                "checked",
                "active",
                "due_soon",
                "overdue",
                "lapsed",
                "withdrawn",
                name="membershipstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("status_since", sa.Date(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("joined_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("figures_on", sa.Date(), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("short_description", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("jobs_url", sa.Text(), nullable=True),
        sa.Column("blog_profile_slug", sa.Text(), nullable=True),
        sa.Column("document", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("member_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'", name=op.f("ck_pledge_member_member_id")),
        sa.CheckConstraint(
            "status NOT IN ('due_soon', 'overdue', 'lapsed') OR due_on IS NOT NULL",
            name=op.f("ck_pledge_member_due_when_renewing"),
        ),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_pledge_member_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_member")),
        sa.UniqueConstraint("member_id", name=op.f("uq_pledge_member_member_id")),
        sa.UniqueConstraint("organisation_id", name=op.f("uq_pledge_member_organisation_id")),
    )
    op.create_table(
        "pledge",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("label", sa.String(length=250), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=False),
        sa.Column("developers", sa.Numeric(precision=15, scale=6), nullable=False),
        sa.Column("minimum_id", sa.UUID(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("minimum_minor", sa.BigInteger(), nullable=False),
        sa.Column("rules_version", sa.String(length=250), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("developers >= 0", name=op.f("ck_pledge_developers")),
        sa.CheckConstraint("ends_on >= starts_on", name=op.f("ck_pledge_dates_in_order")),
        sa.ForeignKeyConstraint(["member_id"], ["pledge_member.id"], name=op.f("fk_pledge_member_id")),
        sa.ForeignKeyConstraint(["minimum_id"], ["pledge_minimum.id"], name=op.f("fk_pledge_minimum_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge")),
        sa.UniqueConstraint("member_id", "label", name=op.f("uq_pledge_member_id_label")),
    )
    op.create_table(
        "pledge_exception",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by_id", sa.UUID(), nullable=False),
        sa.Column("granted_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_pledge_exception_reason")),
        sa.ForeignKeyConstraint(["granted_by_id"], ["person.id"], name=op.f("fk_pledge_exception_granted_by_id")),
        sa.ForeignKeyConstraint(["member_id"], ["pledge_member.id"], name=op.f("fk_pledge_exception_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_exception")),
    )
    op.create_index(op.f("ix_pledge_exception_member_id"), "pledge_exception", ["member_id"], unique=False)
    op.create_table(
        "pledge_in_kind",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("year", sa.String(length=250), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "time", "materials", "credits", "compute", name="inkindkind", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("value_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("entered_by_id", sa.UUID(), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(superseded_at IS NULL) = (superseded_reason IS NULL)", name=op.f("ck_pledge_in_kind_superseded_with_reason")
        ),
        sa.CheckConstraint("value_minor IS NULL OR value_minor >= 0", name=op.f("ck_pledge_in_kind_value")),
        sa.ForeignKeyConstraint(["entered_by_id"], ["person.id"], name=op.f("fk_pledge_in_kind_entered_by_id")),
        sa.ForeignKeyConstraint(["member_id"], ["pledge_member.id"], name=op.f("fk_pledge_in_kind_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_in_kind")),
    )
    op.create_index(
        "ix_pledge_in_kind_member",
        "pledge_in_kind",
        ["member_id", "year"],
        unique=False,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "pledge_reminder",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("offset_days", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dismissed_by_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(["dismissed_by_id"], ["person.id"], name=op.f("fk_pledge_reminder_dismissed_by_id")),
        sa.ForeignKeyConstraint(["member_id"], ["pledge_member.id"], name=op.f("fk_pledge_reminder_member_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_reminder")),
        sa.UniqueConstraint("member_id", "due_on", "offset_days", name=op.f("uq_pledge_reminder_member_id_due_on_offset_days")),
    )
    op.create_index(
        "ix_pledge_reminder_open",
        "pledge_reminder",
        ["member_id"],
        unique=False,
        postgresql_where=sa.text("dismissed_at IS NULL"),
    )
    op.create_table(
        "pledge_instalment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("pledge_id", sa.UUID(), nullable=False),
        sa.Column("fund", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "awaiting_payment",
                "processing",
                "paid",
                "settled",
                "failed",
                "refunded_part",
                "refunded_full",
                "disputed",
                "lost",
                name="instalmentstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("reference", sa.String(length=250), nullable=False),
        sa.Column("sent_on", sa.Date(), nullable=True),
        sa.Column("evidence_url", sa.Text(), nullable=True),
        sa.Column("evidence_file_id", sa.UUID(), nullable=True),
        sa.Column("entered_by_id", sa.UUID(), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=True),
        sa.Column("bank_reference", sa.Text(), nullable=True),
        sa.Column("confirmed_by_id", sa.UUID(), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("fund ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_pledge_instalment_fund")),
        sa.CheckConstraint(
            "status <> 'failed' OR length(trim(failure_reason)) > 0", name=op.f("ck_pledge_instalment_failed_with_reason")
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'awaiting_payment', 'failed')"
            " OR (sent_on IS NOT NULL AND num_nonnulls(evidence_url, evidence_file_id) > 0)",
            name=op.f("ck_pledge_instalment_evidence"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('paid', 'settled', 'refunded_part', 'refunded_full', 'disputed', 'lost')"
            " OR (confirmed_by_id IS NOT NULL AND confirmed_at IS NOT NULL)",
            name=op.f("ck_pledge_instalment_confirmed_by_somebody"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_pledge_instalment_amount_positive")),
        sa.CheckConstraint("confirmed_by_id <> entered_by_id", name=op.f("ck_pledge_instalment_four_eyes")),
        sa.ForeignKeyConstraint(["confirmed_by_id"], ["person.id"], name=op.f("fk_pledge_instalment_confirmed_by_id")),
        sa.ForeignKeyConstraint(["entered_by_id"], ["person.id"], name=op.f("fk_pledge_instalment_entered_by_id")),
        sa.ForeignKeyConstraint(["evidence_file_id"], ["stored_file.id"], name=op.f("fk_pledge_instalment_evidence_file_id")),
        sa.ForeignKeyConstraint(["pledge_id"], ["pledge.id"], name=op.f("fk_pledge_instalment_pledge_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_instalment")),
        sa.UniqueConstraint("reference", name=op.f("uq_pledge_instalment_reference")),
    )
    op.create_index(op.f("ix_pledge_instalment_pledge_id"), "pledge_instalment", ["pledge_id"], unique=False)
    op.create_index("ix_pledge_instalment_status", "pledge_instalment", ["status", "entered_at"], unique=False)
    op.create_table(
        "pledge_report",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("member_id", sa.UUID(), nullable=False),
        sa.Column("pledge_id", sa.UUID(), nullable=True),
        sa.Column("year", sa.String(length=250), nullable=False),
        sa.Column("report_on", sa.Date(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("developers", sa.Numeric(precision=15, scale=6), nullable=False),
        sa.Column("declared_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("itemised_minor", sa.BigInteger(), nullable=True),
        sa.Column("minimum_minor", sa.BigInteger(), nullable=False),
        sa.Column("rules_version", sa.String(length=250), nullable=False),
        sa.Column("published_by_id", sa.UUID(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(pledge_id IS NULL) = (itemised_minor IS NULL)", name=op.f("ck_pledge_report_itemised_here_only")),
        sa.CheckConstraint(
            "(superseded_at IS NULL) = (superseded_reason IS NULL)", name=op.f("ck_pledge_report_superseded_with_reason")
        ),
        sa.CheckConstraint("declared_minor >= 0", name=op.f("ck_pledge_report_declared")),
        sa.CheckConstraint("developers >= 0", name=op.f("ck_pledge_report_developers")),
        sa.ForeignKeyConstraint(["member_id"], ["pledge_member.id"], name=op.f("fk_pledge_report_member_id")),
        sa.ForeignKeyConstraint(["pledge_id"], ["pledge.id"], name=op.f("fk_pledge_report_pledge_id")),
        sa.ForeignKeyConstraint(["published_by_id"], ["person.id"], name=op.f("fk_pledge_report_published_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_report")),
    )
    op.create_index(op.f("ix_pledge_report_member_id"), "pledge_report", ["member_id"], unique=False)
    op.create_index(
        "uq_pledge_report_current",
        "pledge_report",
        ["member_id", "year", "report_on"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_index(
        "uq_pledge_report_period", "pledge_report", ["pledge_id"], unique=True, postgresql_where=sa.text("superseded_at IS NULL")
    )
    op.create_table(
        "pledge_payment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("pledge_id", sa.UUID(), nullable=False),
        sa.Column("payee", sa.String(length=250), nullable=False),
        sa.Column("project", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column(
            "channel",
            sa.Enum(
                "direct",
                "github_sponsors",
                "open_collective",
                "thanks_dev",
                "ecosystems",
                "foundation",
                "pledgeworks",
                "other",
                name="paymentchannel",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("evidence_url", sa.Text(), nullable=True),
        sa.Column("evidence_file_id", sa.UUID(), nullable=True),
        sa.Column(
            "rule",
            sa.Enum(
                "open_source_project",
                "maintainer",
                "foundation",
                "not_open_source",
                "own_project",
                "own_ecosystem",
                "own_employee",
                "benefit_in_return",
                name="pledgerule",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("eligible", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rate", sa.Numeric(precision=20, scale=10), nullable=True),
        sa.Column("rate_source", sa.Text(), nullable=True),
        sa.Column("counted_minor", sa.BigInteger(), nullable=False),
        sa.Column("instalment_id", sa.UUID(), nullable=True),
        sa.Column("entered_by_id", sa.UUID(), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("superseded_by_id", sa.UUID(), nullable=True),
        sa.Column("superseded_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(rate IS NULL) = (rate_source IS NULL)", name=op.f("ck_pledge_payment_rate_with_source")),
        sa.CheckConstraint(
            "(superseded_at IS NULL) = (superseded_reason IS NULL)", name=op.f("ck_pledge_payment_superseded_with_reason")
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_pledge_payment_amount_positive")),
        sa.CheckConstraint("counted_minor >= 0", name=op.f("ck_pledge_payment_counted")),
        sa.CheckConstraint("length(trim(reason)) > 0", name=op.f("ck_pledge_payment_reason")),
        sa.CheckConstraint("num_nonnulls(evidence_url, evidence_file_id) > 0", name=op.f("ck_pledge_payment_evidence")),
        sa.CheckConstraint("rate IS NULL OR rate > 0", name=op.f("ck_pledge_payment_rate_positive")),
        sa.ForeignKeyConstraint(["entered_by_id"], ["person.id"], name=op.f("fk_pledge_payment_entered_by_id")),
        sa.ForeignKeyConstraint(["evidence_file_id"], ["stored_file.id"], name=op.f("fk_pledge_payment_evidence_file_id")),
        sa.ForeignKeyConstraint(["instalment_id"], ["pledge_instalment.id"], name=op.f("fk_pledge_payment_instalment_id")),
        sa.ForeignKeyConstraint(["pledge_id"], ["pledge.id"], name=op.f("fk_pledge_payment_pledge_id")),
        sa.ForeignKeyConstraint(["superseded_by_id"], ["pledge_payment.id"], name=op.f("fk_pledge_payment_superseded_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pledge_payment")),
    )
    op.create_index(
        "ix_pledge_payment_pledge",
        "pledge_payment",
        ["pledge_id", "paid_on", "id"],
        unique=False,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_index(
        "uq_pledge_payment_instalment",
        "pledge_payment",
        ["instalment_id"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.execute(ONLY_SUPERSEDE)
    for table in SUPERSEDED:
        op.execute(
            f"CREATE TRIGGER {table}_only_supersede BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION only_supersede()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(FIRST_MINIMUM)
    op.execute(FIRST_RENEWAL_RULE)


def downgrade() -> None:
    op.drop_index("uq_pledge_payment_instalment", table_name="pledge_payment", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_index("ix_pledge_payment_pledge", table_name="pledge_payment", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_table("pledge_payment")
    op.drop_index("uq_pledge_report_period", table_name="pledge_report", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_index("uq_pledge_report_current", table_name="pledge_report", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_index(op.f("ix_pledge_report_member_id"), table_name="pledge_report")
    op.drop_table("pledge_report")
    op.drop_index("ix_pledge_instalment_status", table_name="pledge_instalment")
    op.drop_index(op.f("ix_pledge_instalment_pledge_id"), table_name="pledge_instalment")
    op.drop_table("pledge_instalment")
    op.drop_index("ix_pledge_reminder_open", table_name="pledge_reminder", postgresql_where=sa.text("dismissed_at IS NULL"))
    op.drop_table("pledge_reminder")
    op.drop_index("ix_pledge_in_kind_member", table_name="pledge_in_kind", postgresql_where=sa.text("superseded_at IS NULL"))
    op.drop_table("pledge_in_kind")
    op.drop_index(op.f("ix_pledge_exception_member_id"), table_name="pledge_exception")
    op.drop_table("pledge_exception")
    op.drop_table("pledge")
    op.drop_table("pledge_member")
    op.drop_table("pledge_renewal_rule")
    op.drop_table("pledge_minimum")
    op.execute("DROP FUNCTION only_supersede()")
