"""Where jobs really run: one module per kind of machine behind one Protocol."""
