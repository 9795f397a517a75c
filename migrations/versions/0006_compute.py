"""offers, pools, compute grants, jobs, usage

Revision: 0006_compute
Follows: 0005_payouts
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_compute"
down_revision = "0005_payouts"
branch_labels = None
depends_on = None


# What was measured and what an hour was worth are history: a correction is a new row.
APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""


def upgrade() -> None:
    op.create_table(
        "flavor",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("slug", sa.String(length=250), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("vendor", sa.String(length=250), nullable=False),
        sa.Column("slices_per_gpu", sa.BigInteger(), nullable=False),
        sa.Column("memory_gb", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 20 AND slug <> 'ref'", name=op.f("ck_flavor_slug")
        ),
        sa.CheckConstraint("slices_per_gpu BETWEEN 1 AND 8", name=op.f("ck_flavor_slices")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flavor")),
        sa.UniqueConstraint("slug", name=op.f("uq_flavor_slug")),
    )
    op.create_table(
        "exchange_rate",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("numerator", sa.BigInteger(), nullable=False),
        sa.Column("denominator", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author_id", sa.UUID(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("numerator > 0 AND denominator > 0", name=op.f("ck_exchange_rate_positive")),
        sa.ForeignKeyConstraint(["author_id"], ["person.id"], name=op.f("fk_exchange_rate_author_id")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_exchange_rate_flavor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_rate")),
    )
    op.create_index("uq_exchange_rate_flavor_valid_from", "exchange_rate", ["flavor_id", "valid_from"], unique=True)
    op.create_table(
        "pool",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("slug", sa.String(length=250), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("executor", sa.String(length=250), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("region", sa.String(length=250), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("wall_seconds_max", sa.BigInteger(), nullable=False),
        sa.Column("memory_bytes_max", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("open", "draining", "closed", name="poolstatus", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_pool_slug")),
        sa.CheckConstraint("devices > 0 AND wall_seconds_max > 0 AND memory_bytes_max > 0", name=op.f("ck_pool_sizes")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_pool_flavor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool")),
        sa.UniqueConstraint("slug", name=op.f("uq_pool_slug")),
    )
    op.create_table(
        "compute_grant",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("title", sa.String(length=250), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("requested_ticks", sa.BigInteger(), nullable=False),
        sa.Column("granted_ticks", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("low_below_percent", sa.Integer(), nullable=False),
        sa.Column("remind_days", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("grant_reference", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "requested",
                "reviewed",
                "approved",
                "active",
                "low",
                "exhausted",
                "expired",
                "declined",
                "closed",
                name="grantstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by_id", sa.UUID(), nullable=True),
        sa.Column("reviewed_by_id", sa.UUID(), nullable=True),
        sa.Column("review_note", sa.Text(), nullable=True),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("decision_note", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('requested', 'reviewed', 'declined') OR (granted_ticks IS NOT NULL AND decided_at IS NOT NULL)",
            name=op.f("ck_compute_grant_decided"),
        ),
        sa.CheckConstraint("decided_by_id <> requested_by_id", name=op.f("ck_compute_grant_four_eyes")),
        sa.CheckConstraint("expires_at > starts_at", name=op.f("ck_compute_grant_window")),
        sa.CheckConstraint("low_below_percent BETWEEN 0 AND 100", name=op.f("ck_compute_grant_low_mark")),
        sa.CheckConstraint(
            "requested_ticks > 0 AND (granted_ticks IS NULL OR granted_ticks > 0)", name=op.f("ck_compute_grant_amounts")
        ),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_compute_grant_decided_by_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_compute_grant_project_id")),
        sa.ForeignKeyConstraint(["requested_by_id"], ["person.id"], name=op.f("fk_compute_grant_requested_by_id")),
        sa.ForeignKeyConstraint(["reviewed_by_id"], ["person.id"], name=op.f("fk_compute_grant_reviewed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_grant")),
    )
    op.create_index("ix_compute_grant_project_expires", "compute_grant", ["project_id", "expires_at"], unique=False)
    op.create_table(
        "compute_offer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("donor_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("credits", "capacity", "machine", name="offerkind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("pool_id", sa.UUID(), nullable=True),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.Column("given_ticks", sa.BigInteger(), nullable=False),
        sa.Column("region", sa.String(length=250), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("declared_closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policy", postgresql.JSONB(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("price_note", sa.Text(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "proposed",
                "accepted",
                "active",
                "draining",
                "expired",
                "withdrawn",
                "declined",
                "closed",
                name="offerstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by_id", sa.UUID(), nullable=True),
        sa.Column("decided_by_id", sa.UUID(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("remind_days", sa.ARRAY(sa.Integer()), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status NOT IN ('accepted', 'active', 'draining') OR pool_id IS NOT NULL",
            name=op.f("ck_compute_offer_pool_when_accepted"),
        ),
        sa.CheckConstraint("closes_at > opens_at AND closes_at <= declared_closes_at", name=op.f("ck_compute_offer_window")),
        sa.CheckConstraint("devices > 0", name=op.f("ck_compute_offer_devices")),
        sa.CheckConstraint("given_ticks > 0", name=op.f("ck_compute_offer_given")),
        sa.ForeignKeyConstraint(["decided_by_id"], ["person.id"], name=op.f("fk_compute_offer_decided_by_id")),
        sa.ForeignKeyConstraint(["donor_id"], ["organisation.id"], name=op.f("fk_compute_offer_donor_id")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_compute_offer_flavor_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_compute_offer_pool_id")),
        sa.ForeignKeyConstraint(["proposed_by_id"], ["person.id"], name=op.f("fk_compute_offer_proposed_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_offer")),
    )
    op.create_index(op.f("ix_compute_offer_donor_id"), "compute_offer", ["donor_id"], unique=False)
    op.create_index(
        "ix_compute_offer_drawable",
        "compute_offer",
        ["pool_id", "closes_at"],
        unique=False,
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "expiry_reminder",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=True),
        sa.Column("offer_id", sa.UUID(), nullable=True),
        sa.Column("days_before", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("num_nonnulls(grant_id, offer_id) = 1", name=op.f("ck_expiry_reminder_one_subject")),
        sa.ForeignKeyConstraint(["grant_id"], ["compute_grant.id"], name=op.f("fk_expiry_reminder_grant_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["compute_offer.id"], name=op.f("fk_expiry_reminder_offer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expiry_reminder")),
    )
    op.create_index(
        "uq_expiry_reminder_mark",
        "expiry_reminder",
        ["grant_id", "offer_id", "days_before"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "job",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("submitted_by_id", sa.UUID(), nullable=True),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("ci", "benchmark", name="jobkind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column(
            "source",
            sa.Enum("command", "repository", "image", name="sourcekind", native_enum=False, create_constraint=True, length=40),
            nullable=False,
        ),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=True),
        sa.Column("repository", sa.Text(), nullable=True),
        sa.Column("commit_sha", sa.Text(), nullable=True),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("environment", postgresql.JSONB(), nullable=False),
        sa.Column("artefact_globs", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("flavor_id", sa.UUID(), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("wall_seconds", sa.BigInteger(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "submitted",
                "queued",
                "held",
                "starting",
                "running",
                "succeeded",
                "failed",
                "timed_out",
                "cancelled",
                "evicted",
                "lost",
                name="jobstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("status_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("waiting_code", sa.Text(), nullable=True),
        sa.Column("waiting_reason", sa.Text(), nullable=True),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retries_left", sa.Integer(), nullable=False),
        sa.Column("is_demo", sa.Boolean(), nullable=False),
        sa.CheckConstraint("(source = 'image') = (image IS NOT NULL)", name=op.f("ck_job_image")),
        sa.CheckConstraint(
            "(source = 'repository') = (commit_sha IS NOT NULL AND repository IS NOT NULL)", name=op.f("ck_job_repository")
        ),
        sa.CheckConstraint("commit_sha ~ '^[0-9a-f]{40}$'", name=op.f("ck_job_exact_commit")),
        sa.CheckConstraint(
            "status <> 'queued' OR (waiting_code IS NOT NULL AND coalesce(waiting_reason, '') <> '' AND waiting_since IS NOT NULL)",
            name=op.f("ck_job_reason_while_queued"),
        ),
        sa.CheckConstraint("gpus > 0 AND wall_seconds > 0 AND memory_bytes > 0", name=op.f("ck_job_sizes")),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name=op.f("fk_job_flavor_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["compute_grant.id"], name=op.f("fk_job_grant_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_job_project_id")),
        sa.ForeignKeyConstraint(["submitted_by_id"], ["person.id"], name=op.f("fk_job_submitted_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_grant_id"), "job", ["grant_id"], unique=False)
    op.create_index(
        "ix_job_open",
        "job",
        ["status"],
        unique=False,
        postgresql_where=sa.text("status IN ('queued', 'held', 'starting', 'running')"),
    )
    op.create_index("ix_job_project_submitted", "job", ["project_id", "submitted_at"], unique=False)
    op.create_index("ix_job_submitted", "job", ["submitted_at"], unique=False)
    op.create_table(
        "job_attempt",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("job_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("pool_id", sa.UUID(), nullable=False),
        sa.Column("gpus", sa.BigInteger(), nullable=False),
        sa.Column("wall_seconds", sa.BigInteger(), nullable=False),
        sa.Column("rate_numerator", sa.BigInteger(), nullable=False),
        sa.Column("rate_denominator", sa.BigInteger(), nullable=False),
        sa.Column("held_ticks", sa.BigInteger(), nullable=False),
        sa.Column("held_reference_ticks", sa.BigInteger(), nullable=False),
        sa.Column("grant_hold_id", sa.UUID(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "held",
                "starting",
                "running",
                "succeeded",
                "failed",
                "timed_out",
                "cancelled",
                "evicted",
                "lost",
                name="attemptstatus",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("launched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("collected_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_code", sa.BigInteger(), nullable=True),
        sa.Column(
            "cause",
            sa.Enum(
                "test",
                "limit",
                "person",
                "infrastructure",
                name="failurecause",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("output_bytes", sa.BigInteger(), nullable=False),
        sa.Column(
            "stop",
            sa.Enum("cancelled", "evicted", name="stop", native_enum=False, create_constraint=True, length=40),
            nullable=True,
        ),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("test_summary", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "(status IN ('held', 'starting', 'running')) = (settled_at IS NULL)", name=op.f("ck_job_attempt_settled_when_ended")
        ),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("ck_job_attempt_times")),
        sa.CheckConstraint("held_ticks > 0 AND held_reference_ticks > 0", name=op.f("ck_job_attempt_held")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_attempt_job_id")),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_job_attempt_pool_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_attempt")),
    )
    op.create_index(
        "ix_job_attempt_pool_open", "job_attempt", ["pool_id"], unique=False, postgresql_where=sa.text("settled_at IS NULL")
    )
    op.create_index("uq_job_attempt_number", "job_attempt", ["job_id", "number"], unique=True)
    op.create_index("uq_job_attempt_open", "job_attempt", ["job_id"], unique=True, postgresql_where=sa.text("settled_at IS NULL"))
    op.create_table(
        "attempt_draw",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("attempt_id", sa.UUID(), nullable=False),
        sa.Column("offer_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("held_ticks", sa.BigInteger(), nullable=False),
        sa.Column("hold_id", sa.UUID(), nullable=False),
        sa.Column("used_ticks", sa.BigInteger(), nullable=False),
        sa.Column("lost_ticks", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("held_ticks > 0", name=op.f("ck_attempt_draw_held")),
        sa.CheckConstraint(
            "used_ticks >= 0 AND lost_ticks >= 0 AND used_ticks + lost_ticks <= held_ticks",
            name=op.f("ck_attempt_draw_within_hold"),
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["job_attempt.id"], name=op.f("fk_attempt_draw_attempt_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["compute_offer.id"], name=op.f("fk_attempt_draw_offer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt_draw")),
    )
    op.create_index(op.f("ix_attempt_draw_offer_id"), "attempt_draw", ["offer_id"], unique=False)
    op.create_index("uq_attempt_draw_offer", "attempt_draw", ["attempt_id", "offer_id"], unique=True)
    op.create_index("uq_attempt_draw_position", "attempt_draw", ["attempt_id", "position"], unique=True)
    op.create_table(
        "job_artefact",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("attempt_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["job_attempt.id"], name=op.f("fk_job_artefact_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_artefact")),
    )
    op.create_index("uq_job_artefact_name", "job_artefact", ["attempt_id", "name"], unique=True)
    op.create_table(
        "usage_record",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("attempt_id", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.UUID(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("ticks", sa.BigInteger(), nullable=False),
        sa.Column("reference_ticks", sa.BigInteger(), nullable=False),
        sa.Column(
            "cause",
            sa.Enum(
                "test",
                "limit",
                "person",
                "infrastructure",
                name="failurecause",
                native_enum=False,
                create_constraint=True,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("seconds >= 0 AND ticks >= 0 AND reference_ticks >= 0", name=op.f("ck_usage_record_sizes")),
        sa.ForeignKeyConstraint(["attempt_id"], ["job_attempt.id"], name=op.f("fk_usage_record_attempt_id")),
        sa.ForeignKeyConstraint(["grant_id"], ["compute_grant.id"], name=op.f("fk_usage_record_grant_id")),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=op.f("fk_usage_record_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_record")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_usage_record_attempt_id")),
    )
    op.create_index("ix_usage_record_at", "usage_record", ["at"], unique=False)
    op.create_index("ix_usage_record_project_at", "usage_record", ["project_id", "at"], unique=False)
    for table in ("exchange_rate", "usage_record"):
        op.execute(APPEND_ONLY.format(table=table))


def downgrade() -> None:
    op.drop_index("ix_usage_record_project_at", table_name="usage_record")
    op.drop_index("ix_usage_record_at", table_name="usage_record")
    op.drop_table("usage_record")
    op.drop_index("uq_job_artefact_name", table_name="job_artefact")
    op.drop_table("job_artefact")
    op.drop_index("uq_attempt_draw_position", table_name="attempt_draw")
    op.drop_index("uq_attempt_draw_offer", table_name="attempt_draw")
    op.drop_index(op.f("ix_attempt_draw_offer_id"), table_name="attempt_draw")
    op.drop_table("attempt_draw")
    op.drop_index("uq_job_attempt_open", table_name="job_attempt", postgresql_where=sa.text("settled_at IS NULL"))
    op.drop_index("uq_job_attempt_number", table_name="job_attempt")
    op.drop_index("ix_job_attempt_pool_open", table_name="job_attempt", postgresql_where=sa.text("settled_at IS NULL"))
    op.drop_table("job_attempt")
    op.drop_index("ix_job_submitted", table_name="job")
    op.drop_index("ix_job_project_submitted", table_name="job")
    op.drop_index(
        "ix_job_open", table_name="job", postgresql_where=sa.text("status IN ('queued', 'held', 'starting', 'running')")
    )
    op.drop_index(op.f("ix_job_grant_id"), table_name="job")
    op.drop_table("job")
    op.drop_index("uq_expiry_reminder_mark", table_name="expiry_reminder", postgresql_nulls_not_distinct=True)
    op.drop_table("expiry_reminder")
    op.drop_index("ix_compute_offer_drawable", table_name="compute_offer", postgresql_where=sa.text("status = 'active'"))
    op.drop_index(op.f("ix_compute_offer_donor_id"), table_name="compute_offer")
    op.drop_table("compute_offer")
    op.drop_index("ix_compute_grant_project_expires", table_name="compute_grant")
    op.drop_table("compute_grant")
    op.drop_table("pool")
    op.drop_index("uq_exchange_rate_flavor_valid_from", table_name="exchange_rate")
    op.drop_table("exchange_rate")
    op.drop_table("flavor")
