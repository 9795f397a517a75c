"""The pure rules of the pledge: plain values in, plain values out; no database, no clock."""
