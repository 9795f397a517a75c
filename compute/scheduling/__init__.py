"""Which job starts where and why the others wait: plain data in, decisions with reasons out; no clock, no I/O."""
