"""A core kept between turns: what is told to it, and what a restart must not forget."""
