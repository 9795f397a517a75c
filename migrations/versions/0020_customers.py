"""a company has an id at the provider for each key or account it was known under

Revision: 0020_customers
Follows: 0019_fees_alone
"""

from alembic import op

revision = "0020_customers"
down_revision = "0019_fees_alone"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _key("customer_id")
    _drop("uq_stripe_customer_customer_id")
    op.create_index(op.f("ix_stripe_customer_organisation_id"), "stripe_customer", ["organisation_id"], unique=False)


def downgrade() -> None:
    """Only the newest id of each company stays."""
    op.drop_index(op.f("ix_stripe_customer_organisation_id"), table_name="stripe_customer")
    op.create_unique_constraint(op.f("uq_stripe_customer_customer_id"), "stripe_customer", ["customer_id"])
    op.execute(
        "DELETE FROM stripe_customer AS older USING stripe_customer AS newer"
        " WHERE newer.organisation_id = older.organisation_id"
        " AND (newer.created_at, newer.customer_id) > (older.created_at, older.customer_id)"
    )
    _key("organisation_id")


def _key(column: str) -> None:
    _drop("pk_stripe_customer")
    op.create_primary_key(op.f("pk_stripe_customer"), "stripe_customer", [column])


def _drop(constraint: str) -> None:
    """Only the platform writes this table, and it has a row or two per company."""
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE stripe_customer DROP CONSTRAINT {constraint}")
