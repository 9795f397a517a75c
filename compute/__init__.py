"""Offers, pools, rates, compute grants, jobs and usage."""

from compute import compiled

compiled.prefer()  # before anything of the scheduler is imported
