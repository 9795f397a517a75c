"""How money leaves: one module per rail behind one Protocol."""
