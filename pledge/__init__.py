"""Companies, pledges, payments, annual reports, membership."""
