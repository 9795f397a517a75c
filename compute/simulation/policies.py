"""Every policy a trace can be replayed under, by name."""

from collections.abc import Callable, Mapping

from compute.simulation.engine import Policy
from compute.simulation.ours import Ours
from compute.simulation.peers import PEERS

POLICIES: Mapping[str, Callable[[int, Mapping[str, int]], Policy]] = {
    "ours": Ours,
    **{name: peer.start for name, peer in PEERS.items()},
}
"""Each starts afresh with so many GPUs and the projects' weights."""
