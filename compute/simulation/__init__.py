"""Replaying a trace of jobs under a scheduling policy: who would have waited how long.

Read engine.py first; trace.py reads the files, ours.py is our own policy, peers.py are those of others,
outcome.py the figures.
"""

from compute.simulation.engine import Ask, Policy, Schedule, TraceJob, simulate
from compute.simulation.outcome import Figures, figures, write_schedule
from compute.simulation.peers import PEERS, Peer
from compute.simulation.policies import POLICIES
from compute.simulation.trace import Trace, UnreadableTrace, read_trace

__all__ = [
    "PEERS",
    "POLICIES",
    "Ask",
    "Figures",
    "Peer",
    "Policy",
    "Schedule",
    "Trace",
    "TraceJob",
    "UnreadableTrace",
    "figures",
    "read_trace",
    "simulate",
    "write_schedule",
]
