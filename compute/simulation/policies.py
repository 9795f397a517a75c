"""Every policy a trace can be replayed under, by name."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from compute.scheduling.hosts.placement import Host
from compute.simulation.engine import Policy
from compute.simulation.ours import Ours
from compute.simulation.peers import PEERS


class Start(Protocol):
    """Starts a policy afresh."""

    def __call__(self, gpus: int, weights: Mapping[str, int], hosts: Sequence[Host] = ()) -> Policy:
        """With so many GPUs and the projects' weights; on hosts, if any are named: their GPUs are all there are."""


POLICIES: Mapping[str, Start] = {
    "ours": Ours,
    **{name: peer.start for name, peer in PEERS.items()},
}
