"""When a waiting job probably starts."""
