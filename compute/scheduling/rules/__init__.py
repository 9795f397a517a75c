"""What can refuse a kind: each a book, as parking.py wants it."""
