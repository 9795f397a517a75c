"""What can be done with pledges: one module per noun, every verb in the caller's transaction."""
