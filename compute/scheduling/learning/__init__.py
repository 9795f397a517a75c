"""What is learnt from the past: how long jobs run, and how projects fare."""
