"""accounts, transfers, holds, seals

Revision: 0003_ledger
Follows: 0002_tasks_audit_files
"""

revision = "0003_ledger"
down_revision = "0002_tasks_audit_files"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
