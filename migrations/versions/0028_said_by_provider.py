"""findings that are a provider's own word

Revision: 0028_said_by_provider
Follows: 0027_several
"""

from alembic import op

revision = "0028_said_by_provider"
down_revision = "0027_several"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Whoever reads the column is this program; findings that providers made have no person.
    op.execute("-- squawk-ignore ban-drop-not-null\nALTER TABLE payout_resolution ALTER COLUMN proposed_by_id DROP NOT NULL")
    op.create_check_constraint(
        "proposed_by", "payout_resolution", "proposed_by_id IS NOT NULL OR outcome IN ('returned', 'reversed')"
    )


def downgrade() -> None:
    op.drop_constraint("proposed_by", "payout_resolution", type_="check")
    op.execute(
        "-- squawk-ignore adding-not-nullable-field\nALTER TABLE payout_resolution ALTER COLUMN proposed_by_id SET NOT NULL"
    )
