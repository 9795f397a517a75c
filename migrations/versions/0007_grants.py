"""programmes, applications, reviews, grants, instalments

Revision: 0007_grants
Follows: 0006_compute
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_grants"
down_revision = "0006_compute"
branch_labels = None
depends_on = None

WITHIN_PROGRAMME = """
CREATE FUNCTION grant_within_programme() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    rules programme%ROWTYPE;
    committed bigint;
    places bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.programme_id = OLD.programme_id AND NEW.year = OLD.year
       AND NEW.amount_minor - NEW.returned_minor <= OLD.amount_minor - OLD.returned_minor THEN
        RETURN NEW;
    END IF;
    -- The programme's row is the lock: whoever awards next waits here, and then sees what was awarded before.
    SELECT * INTO rules FROM programme WHERE id = NEW.programme_id FOR UPDATE;
    IF NEW.currency <> rules.currency THEN
        RAISE EXCEPTION 'a grant of programme % is in %', rules.slug, rules.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_currency';
    END IF;
    SELECT coalesce(sum(amount_minor - returned_minor), 0), count(*) FILTER (WHERE amount_minor > returned_minor)
        INTO committed, places
        FROM "grant" WHERE programme_id = NEW.programme_id AND year = NEW.year AND id <> NEW.id;
    IF NEW.amount_minor > rules.award_cap_minor THEN
        RAISE EXCEPTION 'programme %: a grant is at most %', rules.slug, rules.award_cap_minor
            USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_award_cap';
    END IF;
    IF committed + NEW.amount_minor - NEW.returned_minor > rules.annual_cap_minor THEN
        RAISE EXCEPTION 'programme %: % of % are committed in %', rules.slug, committed, rules.annual_cap_minor, NEW.year
            USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_annual_cap';
    END IF;
    IF NEW.amount_minor > NEW.returned_minor AND places + 1 > rules.places_per_year THEN
        RAISE EXCEPTION 'programme %: all % places of % are taken', rules.slug, rules.places_per_year, NEW.year
            USING ERRCODE = 'check_violation', CONSTRAINT = 'grant_places';
    END IF;
    RETURN NEW;
END
$$
"""
INSTALMENTS_SUM = """
CREATE FUNCTION grant_instalments_sum() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole bigint;
    parts bigint;
    of_grant uuid;
BEGIN
    IF TG_TABLE_NAME = 'grant' THEN
        of_grant := NEW.id;
    ELSIF TG_OP = 'DELETE' THEN
        of_grant := OLD.grant_id;
    ELSE
        of_grant := NEW.grant_id;
    END IF;
    SELECT amount_minor INTO whole FROM "grant" WHERE id = of_grant;
    SELECT coalesce(sum(amount_minor), 0) INTO parts FROM instalment WHERE grant_id = of_grant;
    IF whole <> parts THEN
        RAISE EXCEPTION 'the instalments of grant % sum to %, not to %', of_grant, parts, whole
            USING ERRCODE = 'check_violation', CONSTRAINT = 'instalments_sum';
    END IF;
    RETURN NULL;
END
$$
"""
RECUSED_DON_T_VOTE = """
CREATE FUNCTION recused_do_not_vote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.vote <> 'recused' AND EXISTS (
        SELECT FROM decision JOIN conflict_declaration USING (application_id)
        WHERE decision.id = NEW.decision_id AND conflict_declaration.person_id = NEW.person_id
          AND conflict_declaration.outcome = 'recuse'
    ) THEN
        RAISE EXCEPTION 'a recused member does not vote'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'recused_do_not_vote';
    END IF;
    RETURN NEW;
END
$$
"""
FUNCTIONS = {
    "grant_within_programme": WITHIN_PROGRAMME,
    "grant_instalments_sum": INSTALMENTS_SUM,
    "recused_do_not_vote": RECUSED_DON_T_VOTE,
}
TRIGGERS = (
    """CREATE TRIGGER grant_within_programme BEFORE INSERT OR UPDATE ON "grant"
    FOR EACH ROW EXECUTE FUNCTION grant_within_programme()""",
    # Deferred: a plan is written or changed line by line, and must add up when the transaction ends.
    """CREATE CONSTRAINT TRIGGER instalments_sum AFTER INSERT OR UPDATE OR DELETE ON instalment
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION grant_instalments_sum()""",
    """CREATE CONSTRAINT TRIGGER instalments_sum AFTER INSERT OR UPDATE OF amount_minor ON "grant"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION grant_instalments_sum()""",
    """CREATE TRIGGER recused_do_not_vote BEFORE INSERT ON decision_vote
    FOR EACH ROW EXECUTE FUNCTION recused_do_not_vote()""",
)
APPEND_ONLY = ("decision", "decision_vote", "conflict_declaration", "manifest_reading")


def upgrade() -> None:
    op.create_table(
        "fiscal_host",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("organisation_id", sa.UUID(), nullable=False),
        sa.Column("fee_percent", sa.Numeric(precision=9, scale=6), nullable=False),
        sa.Column("platform_share_percent", sa.Numeric(precision=9, scale=6), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("fee_percent >= 0 AND fee_percent < 100", name=op.f("ck_fiscal_host_fee_percent")),
        sa.CheckConstraint("platform_share_percent BETWEEN 0 AND 100", name=op.f("ck_fiscal_host_platform_share_percent")),
        sa.CheckConstraint("until_on > from_on", name=op.f("ck_fiscal_host_dates_in_order")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_fiscal_host_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fiscal_host")),
    )
    op.create_index(op.f("ix_fiscal_host_organisation_id"), "fiscal_host", ["organisation_id"], unique=False)
    op.create_table(
        "programme",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("slug", sa.String(length=250), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "fellowship",
                "open_call",
                "voting_fund",
                "distribution",
                "consortium",
                "compute",
                name="programmekind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum("draft", "running", "closed", name="programmestatus", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("organisation_id", sa.UUID(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("annual_cap_minor", sa.BigInteger(), nullable=True),
        sa.Column("award_cap_minor", sa.BigInteger(), nullable=True),
        sa.Column("places_per_year", sa.BigInteger(), nullable=True),
        sa.Column("year_first_month", sa.BigInteger(), nullable=False),
        sa.Column("request_min_minor", sa.BigInteger(), nullable=True),
        sa.Column("request_step_minor", sa.BigInteger(), nullable=True),
        sa.Column("request_max_minor", sa.BigInteger(), nullable=True),
        sa.Column("reviews_min", sa.BigInteger(), nullable=False),
        sa.Column("quorum", sa.BigInteger(), nullable=False),
        sa.Column("overlap_depth", sa.BigInteger(), nullable=False),
        sa.Column("offer_days", sa.BigInteger(), nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_programme_slug")),
        sa.CheckConstraint("annual_cap_minor > 0", name=op.f("ck_programme_annual_cap_positive")),
        sa.CheckConstraint("award_cap_minor > 0", name=op.f("ck_programme_award_cap_positive")),
        sa.CheckConstraint("offer_days > 0", name=op.f("ck_programme_offer_days_positive")),
        sa.CheckConstraint("overlap_depth BETWEEN 0 AND 5", name=op.f("ck_programme_overlap_depth")),
        sa.CheckConstraint("places_per_year > 0", name=op.f("ck_programme_places_positive")),
        sa.CheckConstraint("quorum >= 1", name=op.f("ck_programme_quorum_positive")),
        sa.CheckConstraint("request_max_minor >= request_min_minor", name=op.f("ck_programme_request_range")),
        sa.CheckConstraint(
            "request_min_minor > 0 AND request_step_minor > 0 AND request_max_minor > 0",
            name=op.f("ck_programme_request_positive"),
        ),
        sa.CheckConstraint("reviews_min >= 2", name=op.f("ck_programme_reviews_at_least_two")),
        sa.CheckConstraint("year_first_month BETWEEN 1 AND 12", name=op.f("ck_programme_year_first_month")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_programme_organisation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_programme")),
        sa.UniqueConstraint("slug", name=op.f("uq_programme_slug")),
    )
    op.create_index(op.f("ix_programme_organisation_id"), "programme", ["organisation_id"], unique=False)
    op.create_table(
        "application_question",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("label", sa.String(length=250), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.Column("characters_max", sa.BigInteger(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.CheckConstraint("key ~ '^[a-z][a-z0-9_]*$'", name=op.f("ck_application_question_key")),
        sa.CheckConstraint("characters_max BETWEEN 1 AND 20000", name=op.f("ck_application_question_characters_max")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_application_question_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application_question")),
        sa.UniqueConstraint("programme_id", "key", name=op.f("uq_application_question_programme_id_key")),
    )
    op.create_table(
        "criterion",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.Column("weight", sa.BigInteger(), nullable=False),
        sa.Column("points_max", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points_max BETWEEN 1 AND 100", name=op.f("ck_criterion_points_max")),
        sa.CheckConstraint("weight > 0", name=op.f("ck_criterion_weight_positive")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_criterion_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_criterion")),
        sa.UniqueConstraint("id", "points_max", name=op.f("uq_criterion_id_points_max")),
    )
    op.create_index(op.f("ix_criterion_programme_id"), "criterion", ["programme_id"], unique=False)
    op.create_table(
        "interest",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("holder_person_id", sa.UUID(), nullable=True),
        sa.Column("holder_organisation_id", sa.UUID(), nullable=True),
        sa.Column(
            "kind",
            sa.Enum(
                "holding",
                "employment",
                "board",
                "family",
                name="interestkind",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("organisation_id", sa.UUID(), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(holder_person_id, holder_organisation_id) = 1", name=op.f("ck_interest_one_holder")),
        sa.CheckConstraint("num_nonnulls(organisation_id, project_id) = 1", name=op.f("ck_interest_one_subject")),
        sa.CheckConstraint("until_on > from_on", name=op.f("ck_interest_dates_in_order")),
        sa.ForeignKeyConstraint(["holder_organisation_id"], ["organisation.id"], name=op.f("fk_interest_holder_organisation_id")),
        sa.ForeignKeyConstraint(["holder_person_id"], ["person.id"], name=op.f("fk_interest_holder_person_id")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_interest_organisation_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_interest_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interest")),
    )
    op.create_index(op.f("ix_interest_holder_organisation_id"), "interest", ["holder_organisation_id"], unique=False)
    op.create_index(op.f("ix_interest_holder_person_id"), "interest", ["holder_person_id"], unique=False)
    op.create_table(
        "paperwork_template",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.Column("days_expected", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("days_expected > 0", name=op.f("ck_paperwork_template_days_expected_positive")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_paperwork_template_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paperwork_template")),
    )
    op.create_index(op.f("ix_paperwork_template_programme_id"), "paperwork_template", ["programme_id"], unique=False)
    op.create_table(
        "project_link",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("used_by", "depends_on", "owned_by", name="linkkind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("organisation_id", sa.UUID(), nullable=True),
        sa.Column("other_project_id", sa.UUID(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("until_on", sa.Date(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(kind = 'depends_on') = (other_project_id IS NOT NULL) AND num_nonnulls(organisation_id, other_project_id) = 1",
            name=op.f("ck_project_link_subject_fits_kind"),
        ),
        sa.CheckConstraint("other_project_id <> project_id", name=op.f("ck_project_link_not_itself")),
        sa.CheckConstraint("until_on > from_on", name=op.f("ck_project_link_dates_in_order")),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisation.id"], name=op.f("fk_project_link_organisation_id")),
        sa.ForeignKeyConstraint(["other_project_id"], ["project.id"], name=op.f("fk_project_link_other_project_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_project_link_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project_link")),
    )
    op.create_index(op.f("ix_project_link_organisation_id"), "project_link", ["organisation_id"], unique=False)
    op.create_index(op.f("ix_project_link_other_project_id"), "project_link", ["other_project_id"], unique=False)
    op.create_index(op.f("ix_project_link_project_id"), "project_link", ["project_id"], unique=False)
    op.create_table(
        "round",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("theme", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "planned",
                "open",
                "closed",
                "decided",
                "cancelled",
                name="roundstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("opens_on", sa.Date(), nullable=False),
        sa.Column("closes_on", sa.Date(), nullable=True),
        sa.Column("decides_on", sa.Date(), nullable=True),
        sa.Column("grants_max", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("closes_on >= opens_on", name=op.f("ck_round_closes_after_opening")),
        sa.CheckConstraint("decides_on >= coalesce(closes_on, opens_on)", name=op.f("ck_round_decides_after_closing")),
        sa.CheckConstraint("grants_max > 0", name=op.f("ck_round_grants_max_positive")),
        sa.CheckConstraint("number > 0", name=op.f("ck_round_number_positive")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_round_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_round")),
        sa.UniqueConstraint("id", "programme_id", name=op.f("uq_round_id_programme_id")),
        sa.UniqueConstraint("programme_id", "number", name=op.f("uq_round_programme_id_number")),
    )
    op.create_index(op.f("ix_round_programme_id"), "round", ["programme_id"], unique=False)
    op.create_table(
        "screening_check",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("label", sa.String(length=250), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_screening_check_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening_check")),
    )
    op.create_index(op.f("ix_screening_check_programme_id"), "screening_check", ["programme_id"], unique=False)
    op.create_table(
        "application",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("round_id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("applicant_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "draft",
                "submitted",
                "screened",
                "in_review",
                "shortlisted",
                "decided",
                "withdrawn",
                name="applicationstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "outcome",
            sa.Enum(
                "awarded",
                "declined",
                "screened_out",
                name="applicationoutcome",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("project_name", sa.String(length=250), nullable=False),
        sa.Column("project_url", sa.Text(), nullable=False),
        sa.Column("repository_url", sa.Text(), nullable=False),
        sa.Column("licences", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("use_of_funds", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column(
            "payee",
            sa.Enum("person", "team", "fiscal_host", name="payeewish", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("payee_name", sa.String(length=250), nullable=False),
        sa.Column("conflicts", sa.Text(), nullable=False),
        sa.Column("months", sa.BigInteger(), nullable=True),
        sa.Column("requested_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("answers", postgresql.JSONB(), nullable=False),
        sa.Column("exception_reason", sa.Text(), nullable=True),
        sa.Column("exception_by_id", sa.UUID(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("saved_from", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name=op.f("ck_application_decided_with_outcome")),
        sa.CheckConstraint(
            "status IN ('draft', 'withdrawn') OR (project_id IS NOT NULL AND requested_minor IS NOT NULL)",
            name=op.f("ck_application_complete_when_submitted"),
        ),
        sa.CheckConstraint(
            "status IN ('draft', 'withdrawn') OR submitted_at IS NOT NULL", name=op.f("ck_application_submitted_with_time")
        ),
        sa.CheckConstraint(
            "(exception_reason IS NULL) = (exception_by_id IS NULL)", name=op.f("ck_application_exception_with_author")
        ),
        sa.CheckConstraint("months BETWEEN 1 AND 60", name=op.f("ck_application_months")),
        sa.CheckConstraint("requested_minor > 0", name=op.f("ck_application_requested_positive")),
        sa.ForeignKeyConstraint(["applicant_id"], ["person.id"], name=op.f("fk_application_applicant_id")),
        sa.ForeignKeyConstraint(["exception_by_id"], ["person.id"], name=op.f("fk_application_exception_by_id")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_application_programme_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_application_project_id")),
        sa.ForeignKeyConstraint(
            ["round_id", "programme_id"], ["round.id", "round.programme_id"], name=op.f("fk_application_round_id_programme_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application")),
        sa.UniqueConstraint("id", "programme_id", name=op.f("uq_application_id_programme_id")),
    )
    op.create_index(op.f("ix_application_applicant_id"), "application", ["applicant_id"], unique=False)
    op.create_index(op.f("ix_application_programme_id"), "application", ["programme_id"], unique=False)
    op.create_index(op.f("ix_application_project_id"), "application", ["project_id"], unique=False)
    op.create_index("ix_application_round_status", "application", ["round_id", "status"], unique=False)
    op.create_index(
        "uq_application_undecided",
        "application",
        ["round_id", "project_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('submitted', 'screened', 'in_review', 'shortlisted')"),
    )
    op.create_table(
        "application_attachment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=False),
        sa.Column("file_id", sa.UUID(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_application_attachment_application_id")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_application_attachment_file_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_application_attachment")),
        sa.UniqueConstraint("application_id", "file_id", name=op.f("uq_application_attachment_application_id_file_id")),
    )
    op.create_table(
        "conflict_declaration",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("person_id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=True),
        sa.Column("year", sa.BigInteger(), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum("none", "disclose", "recuse", name="conflictoutcome", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("declared_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "outcome = 'none' OR length(trim(reason)) > 0", name=op.f("ck_conflict_declaration_interest_with_reason")
        ),
        sa.CheckConstraint(
            "year IS NULL OR outcome <> 'recuse'", name=op.f("ck_conflict_declaration_recusal_names_an_application")
        ),
        sa.CheckConstraint(
            "(application_id IS NULL) = (year IS NOT NULL)", name=op.f("ck_conflict_declaration_application_or_year")
        ),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_conflict_declaration_application_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_conflict_declaration_person_id")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_conflict_declaration_programme_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict_declaration")),
    )
    op.create_index(op.f("ix_conflict_declaration_application_id"), "conflict_declaration", ["application_id"], unique=False)
    op.create_index("ix_conflict_declaration_person", "conflict_declaration", ["person_id", "programme_id", "year"], unique=False)
    op.create_table(
        "decision",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("awarded", sa.Boolean(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("override_reason", sa.Text(), nullable=True),
        sa.Column("minute", sa.Text(), nullable=False),
        sa.Column("quorum", sa.BigInteger(), nullable=False),
        sa.Column("decided_on", sa.Date(), nullable=False),
        sa.Column("recorded_by_id", sa.UUID(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_decision_amount_positive")),
        sa.CheckConstraint("awarded = (amount_minor IS NOT NULL)", name=op.f("ck_decision_award_with_amount")),
        sa.CheckConstraint("length(trim(minute)) > 0", name=op.f("ck_decision_with_minute")),
        sa.ForeignKeyConstraint(
            ["application_id", "programme_id"],
            ["application.id", "application.programme_id"],
            name=op.f("fk_decision_application_id_programme_id"),
        ),
        sa.ForeignKeyConstraint(["recorded_by_id"], ["person.id"], name=op.f("fk_decision_recorded_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
        sa.UniqueConstraint("application_id", name=op.f("uq_decision_application_id")),
    )
    op.create_table(
        "manifest_reading",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_by_id", sa.UUID(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum("address", "paste", "upload", name="manifestorigin", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("report", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_manifest_reading_application_id")),
        sa.ForeignKeyConstraint(["read_by_id"], ["person.id"], name=op.f("fk_manifest_reading_read_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manifest_reading")),
    )
    op.create_index(
        op.f("ix_manifest_reading_application_id_read_at"), "manifest_reading", ["application_id", "read_at"], unique=False
    )
    op.create_table(
        "review",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=False),
        sa.Column("reviewer_id", sa.UUID(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "assigned",
                "declared",
                "submitted",
                "recused",
                "removed",
                name="reviewstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "recommendation",
            sa.Enum("fund", "fund_less", "decline", name="recommendation", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("assigned_by_id", sa.UUID(), nullable=False),
        sa.Column("assigned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status <> 'submitted' OR (submitted_at IS NOT NULL AND recommendation IS NOT NULL)", name=op.f("ck_review_submitted")
        ),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_review_application_id")),
        sa.ForeignKeyConstraint(["assigned_by_id"], ["person.id"], name=op.f("fk_review_assigned_by_id")),
        sa.ForeignKeyConstraint(["reviewer_id"], ["person.id"], name=op.f("fk_review_reviewer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
        sa.UniqueConstraint("application_id", "reviewer_id", name=op.f("uq_review_application_id_reviewer_id")),
    )
    op.create_index(op.f("ix_review_reviewer_id"), "review", ["reviewer_id"], unique=False)
    op.create_table(
        "screening_answer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=False),
        sa.Column("check_id", sa.UUID(), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("answered_by_id", sa.UUID(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("passed OR length(trim(reason)) > 0", name=op.f("ck_screening_answer_failed_with_reason")),
        sa.ForeignKeyConstraint(["answered_by_id"], ["person.id"], name=op.f("fk_screening_answer_answered_by_id")),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_screening_answer_application_id")),
        sa.ForeignKeyConstraint(["check_id"], ["screening_check.id"], name=op.f("fk_screening_answer_check_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening_answer")),
        sa.UniqueConstraint("application_id", "check_id", name=op.f("uq_screening_answer_application_id_check_id")),
    )
    op.create_table(
        "decision_vote",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("decision_id", sa.UUID(), nullable=False),
        sa.Column("person_id", sa.UUID(), nullable=False),
        sa.Column(
            "vote",
            sa.Enum("for", "against", "abstained", "recused", name="vote", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_decision_vote_decision_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_decision_vote_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision_vote")),
        sa.UniqueConstraint("decision_id", "person_id", name=op.f("uq_decision_vote_decision_id_person_id")),
    )
    op.create_table(
        "grant",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("programme_id", sa.UUID(), nullable=False),
        sa.Column("round_id", sa.UUID(), nullable=True),
        sa.Column("application_id", sa.UUID(), nullable=True),
        sa.Column("decision_id", sa.UUID(), nullable=True),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "offered",
                "accepted",
                "paperwork",
                "active",
                "suspended",
                "completed",
                "terminated",
                name="grantstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("recipient_name", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("returned_minor", sa.BigInteger(), nullable=False),
        sa.Column("amount_undisclosed", sa.Boolean(), nullable=False),
        sa.Column("awarded_on", sa.Date(), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("override_reason", sa.Text(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column(
            "payee",
            sa.Enum("direct", "fiscal_host", name="payee", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("fiscal_host_id", sa.UUID(), nullable=True),
        sa.Column("host_fee_percent", sa.Numeric(precision=9, scale=6), nullable=True),
        sa.Column("recipient_id", sa.UUID(), nullable=True),
        sa.Column(
            "schedule",
            sa.Enum(
                "upfront",
                "monthly",
                "quarterly",
                "milestones",
                name="schedule",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("report_gate", sa.Boolean(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("offered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("offer_expires_on", sa.Date(), nullable=True),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accepted_by_id", sa.UUID(), nullable=True),
        sa.Column("active_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_reason", sa.Text(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("source_title", sa.Text(), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(payee = 'fiscal_host') = (fiscal_host_id IS NOT NULL)", name=op.f("ck_grant_host_if_hosted")),
        sa.CheckConstraint(
            "status <> 'terminated' OR length(trim(ended_reason)) > 0", name=op.f("ck_grant_terminated_with_reason")
        ),
        sa.CheckConstraint(
            "status NOT IN ('accepted', 'paperwork', 'active', 'suspended', 'completed') OR accepted_at IS NOT NULL",
            name=op.f("ck_grant_accepted_with_time"),
        ),
        sa.CheckConstraint("(decision_id IS NULL) = (application_id IS NULL)", name=op.f("ck_grant_decision_with_application")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_grant_amount_positive")),
        sa.CheckConstraint("decision_id IS NOT NULL OR source_url IS NOT NULL", name=op.f("ck_grant_decision_or_source")),
        sa.CheckConstraint("ends_on >= starts_on", name=op.f("ck_grant_dates_in_order")),
        sa.CheckConstraint("host_fee_percent >= 0 AND host_fee_percent < 100", name=op.f("ck_grant_host_fee_percent")),
        sa.CheckConstraint("returned_minor BETWEEN 0 AND amount_minor", name=op.f("ck_grant_returned_within_amount")),
        sa.ForeignKeyConstraint(["accepted_by_id"], ["person.id"], name=op.f("fk_grant_accepted_by_id")),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_grant_application_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decision.id"], name=op.f("fk_grant_decision_id")),
        sa.ForeignKeyConstraint(["fiscal_host_id"], ["fiscal_host.id"], name=op.f("fk_grant_fiscal_host_id")),
        sa.ForeignKeyConstraint(["programme_id"], ["programme.id"], name=op.f("fk_grant_programme_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_grant_project_id")),
        sa.ForeignKeyConstraint(["recipient_id"], ["recipient.id"], name=op.f("fk_grant_recipient_id")),
        sa.ForeignKeyConstraint(
            ["round_id", "programme_id"], ["round.id", "round.programme_id"], name=op.f("fk_grant_round_id_programme_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grant")),
        sa.UniqueConstraint("application_id", name=op.f("uq_grant_application_id")),
        sa.UniqueConstraint("decision_id", name=op.f("uq_grant_decision_id")),
    )
    op.create_index("ix_grant_programme_year", "grant", ["programme_id", "year"], unique=False)
    op.create_index(op.f("ix_grant_project_id"), "grant", ["project_id"], unique=False)
    op.create_index("ix_grant_register", "grant", ["awarded_on", "id"], unique=False)
    op.create_index(op.f("ix_grant_round_id"), "grant", ["round_id"], unique=False)
    op.create_table(
        "review_score",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("review_id", sa.UUID(), nullable=False),
        sa.Column("criterion_id", sa.UUID(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("points_max", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points BETWEEN 0 AND points_max", name=op.f("ck_review_score_points_in_bounds")),
        sa.ForeignKeyConstraint(
            ["criterion_id", "points_max"],
            ["criterion.id", "criterion.points_max"],
            name=op.f("fk_review_score_criterion_id_points_max"),
        ),
        sa.ForeignKeyConstraint(["review_id"], ["review.id"], name=op.f("fk_review_score_review_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_score")),
        sa.UniqueConstraint("review_id", "criterion_id", name=op.f("uq_review_score_review_id_criterion_id")),
    )
    op.create_table(
        "conflict_flag",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("application_id", sa.UUID(), nullable=True),
        sa.Column("grant_id", sa.UUID(), nullable=True),
        sa.Column("interest_id", sa.UUID(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(application_id, grant_id) = 1", name=op.f("ck_conflict_flag_application_or_grant")),
        sa.ForeignKeyConstraint(["application_id"], ["application.id"], name=op.f("fk_conflict_flag_application_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["grant.id"], name=op.f("fk_conflict_flag_grant_id")),
        sa.ForeignKeyConstraint(["interest_id"], ["interest.id"], name=op.f("fk_conflict_flag_interest_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict_flag")),
        sa.UniqueConstraint("application_id", "interest_id", name=op.f("uq_conflict_flag_application_id_interest_id")),
        sa.UniqueConstraint("grant_id", "interest_id", name=op.f("uq_conflict_flag_grant_id_interest_id")),
    )
    op.create_table(
        "instalment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("gated", sa.Boolean(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "planned",
                "due",
                "released",
                "approved",
                "in_payout",
                "paid",
                "returned",
                "cancelled",
                name="instalmentstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("payout_id", sa.UUID(), nullable=True),
        sa.Column("approved_by_id", sa.UUID(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status <> 'in_payout' OR payout_id IS NOT NULL", name=op.f("ck_instalment_in_payout_with_payout")),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_instalment_amount_positive")),
        sa.ForeignKeyConstraint(["approved_by_id"], ["person.id"], name=op.f("fk_instalment_approved_by_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["grant.id"], name=op.f("fk_instalment_grant_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payout.id"], name=op.f("fk_instalment_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instalment")),
        sa.UniqueConstraint("grant_id", "number", name=op.f("uq_instalment_grant_id_number")),
    )
    op.create_index("ix_instalment_due", "instalment", ["due_on"], unique=False, postgresql_where=sa.text("status = 'planned'"))
    op.create_index(op.f("ix_instalment_payout_id"), "instalment", ["payout_id"], unique=False)
    op.create_table(
        "paperwork_item",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("guidance", sa.Text(), nullable=False),
        sa.Column("days_expected", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "open", "received", "done", "waived", name="paperworkstatus", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("file_id", sa.UUID(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status <> 'waived' OR length(trim(note)) > 0", name=op.f("ck_paperwork_item_waived_with_note")),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_paperwork_item_file_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["grant.id"], name=op.f("fk_paperwork_item_grant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paperwork_item")),
    )
    op.create_index(op.f("ix_paperwork_item_grant_id"), "paperwork_item", ["grant_id"], unique=False)
    op.create_table(
        "report",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("instalment_id", sa.UUID(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "submitted", "accepted", "sent_back", name="reportstatus", native_enum=False, create_constraint=True, length=40
            ),
            nullable=False,
        ),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("submitted_by_id", sa.UUID(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("length(trim(body)) > 0", name=op.f("ck_report_with_body")),
        sa.ForeignKeyConstraint(["grant_id"], ["grant.id"], name=op.f("fk_report_grant_id")),
        sa.ForeignKeyConstraint(["instalment_id"], ["instalment.id"], name=op.f("fk_report_instalment_id")),
        sa.ForeignKeyConstraint(["submitted_by_id"], ["person.id"], name=op.f("fk_report_submitted_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report")),
    )
    op.create_index(op.f("ix_report_grant_id"), "report", ["grant_id"], unique=False)
    op.create_index(
        "uq_report_instalment_current",
        "report",
        ["instalment_id"],
        unique=True,
        postgresql_where=sa.text("status IN ('submitted', 'accepted') AND instalment_id IS NOT NULL"),
    )
    op.create_table(
        "report_attachment",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("report_id", sa.UUID(), nullable=False),
        sa.Column("file_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["stored_file.id"], name=op.f("fk_report_attachment_file_id")),
        sa.ForeignKeyConstraint(["report_id"], ["report.id"], name=op.f("fk_report_attachment_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_attachment")),
        sa.UniqueConstraint("report_id", "file_id", name=op.f("uq_report_attachment_report_id_file_id")),
    )
    for function in FUNCTIONS.values():
        op.execute(function)
    for trigger in TRIGGERS:
        op.execute(trigger)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def downgrade() -> None:
    op.drop_table("report_attachment")
    op.drop_index(
        "uq_report_instalment_current",
        table_name="report",
        postgresql_where=sa.text("status IN ('submitted', 'accepted') AND instalment_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_report_grant_id"), table_name="report")
    op.drop_table("report")
    op.drop_index(op.f("ix_paperwork_item_grant_id"), table_name="paperwork_item")
    op.drop_table("paperwork_item")
    op.drop_index(op.f("ix_instalment_payout_id"), table_name="instalment")
    op.drop_index("ix_instalment_due", table_name="instalment", postgresql_where=sa.text("status = 'planned'"))
    op.drop_table("instalment")
    op.drop_table("conflict_flag")
    op.drop_table("review_score")
    op.drop_index(op.f("ix_grant_round_id"), table_name="grant")
    op.drop_index("ix_grant_register", table_name="grant")
    op.drop_index(op.f("ix_grant_project_id"), table_name="grant")
    op.drop_index("ix_grant_programme_year", table_name="grant")
    op.drop_table("grant")
    op.drop_table("decision_vote")
    op.drop_table("screening_answer")
    op.drop_index(op.f("ix_review_reviewer_id"), table_name="review")
    op.drop_table("review")
    op.drop_index(op.f("ix_manifest_reading_application_id_read_at"), table_name="manifest_reading")
    op.drop_table("manifest_reading")
    op.drop_table("decision")
    op.drop_index("ix_conflict_declaration_person", table_name="conflict_declaration")
    op.drop_index(op.f("ix_conflict_declaration_application_id"), table_name="conflict_declaration")
    op.drop_table("conflict_declaration")
    op.drop_table("application_attachment")
    op.drop_index(
        "uq_application_undecided",
        table_name="application",
        postgresql_where=sa.text("status IN ('submitted', 'screened', 'in_review', 'shortlisted')"),
    )
    op.drop_index("ix_application_round_status", table_name="application")
    op.drop_index(op.f("ix_application_project_id"), table_name="application")
    op.drop_index(op.f("ix_application_programme_id"), table_name="application")
    op.drop_index(op.f("ix_application_applicant_id"), table_name="application")
    op.drop_table("application")
    op.drop_index(op.f("ix_screening_check_programme_id"), table_name="screening_check")
    op.drop_table("screening_check")
    op.drop_index(op.f("ix_round_programme_id"), table_name="round")
    op.drop_table("round")
    op.drop_index(op.f("ix_project_link_project_id"), table_name="project_link")
    op.drop_index(op.f("ix_project_link_other_project_id"), table_name="project_link")
    op.drop_index(op.f("ix_project_link_organisation_id"), table_name="project_link")
    op.drop_table("project_link")
    op.drop_index(op.f("ix_paperwork_template_programme_id"), table_name="paperwork_template")
    op.drop_table("paperwork_template")
    op.drop_index(op.f("ix_interest_holder_person_id"), table_name="interest")
    op.drop_index(op.f("ix_interest_holder_organisation_id"), table_name="interest")
    op.drop_table("interest")
    op.drop_index(op.f("ix_criterion_programme_id"), table_name="criterion")
    op.drop_table("criterion")
    op.drop_table("application_question")
    op.drop_index(op.f("ix_programme_organisation_id"), table_name="programme")
    op.drop_table("programme")
    op.drop_index(op.f("ix_fiscal_host_organisation_id"), table_name="fiscal_host")
    op.drop_table("fiscal_host")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}()")
