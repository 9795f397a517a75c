"""People, organisations, projects, roles, sign-in, sessions and API tokens."""
