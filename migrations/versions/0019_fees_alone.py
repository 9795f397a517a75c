"""movements on the provider's balance that are nothing but a fee

Revision: 0019_fees_alone
Follows: 0018_payee_documents
"""

from alembic import op

revision = "0019_fees_alone"
down_revision = "0018_payee_documents"
branch_labels = None
depends_on = None

KINDS = "'arrival', 'refund', 'refund_failed', 'dispute', 'reinstated'"


def upgrade() -> None:
    _replace_check("movementkind", f"kind IN ({KINDS}, 'fee')")
    _replace_check("something_moved", "gross_minor <> 0 OR fee_minor <> 0")
    op.create_check_constraint("only_fees_move_nothing", "pay_in_movement", "(gross_minor = 0) = (kind = 'fee')")


def downgrade() -> None:
    op.drop_constraint("only_fees_move_nothing", "pay_in_movement", type_="check")
    _replace_check("something_moved", "gross_minor <> 0")
    _replace_check("movementkind", f"kind IN ({KINDS})")


def _replace_check(name: str, rule: str) -> None:
    """Only the platform writes this table."""
    full = f"ck_pay_in_movement_{name}"
    op.execute(f"-- squawk-ignore ban-drop-constraint\nALTER TABLE pay_in_movement DROP CONSTRAINT {full}")
    op.create_check_constraint(name, "pay_in_movement", rule)
