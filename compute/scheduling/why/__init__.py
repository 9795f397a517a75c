"""Why a waiting job has not started, in words, and what would have to happen."""
