"""Which host a job goes to, where the hosts of a lane are known."""
