"""Offers, pools, rates, compute grants, jobs and usage."""
