"""Which rank of a run this process is: what torchrun and ``--nproc`` say in the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ltcore.errors import SurroundingsError

RENDEZVOUS = "LTCORE_RENDEZVOUS"


@dataclass(frozen=True)
class Rank:
    """One of the processes that train one model together.

    Attributes:
        number: from 0; number 0 writes, prints and tells the listeners, for all.
        of: how many ranks there are.
        local: its number on this machine, from 0: which GPU is its own.
        rendezvous: the file at which ranks that ``--nproc`` started meet; empty for torchrun's,
            who meet where its environment says.
    """

    number: int = 0
    of: int = 1
    local: int = 0
    rendezvous: str = ""

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and prints."""
        return self.number == 0

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.of == 1

    @property
    def launched(self) -> bool:
        """Whether ``--nproc`` started it, which says for its ranks that they were stopped."""
        return bool(self.rendezvous)

    def environment(self) -> dict[str, str]:
        """The variables by which :func:`this_rank` knows the rank."""
        return {
            "RANK": str(self.number),
            "WORLD_SIZE": str(self.of),
            "LOCAL_RANK": str(self.local),
            RENDEZVOUS: self.rendezvous,
        }


def this_rank() -> Rank:
    """The rank that this process is; one that is alone where nothing says otherwise.

    Raises:
        SurroundingsError: RANK, WORLD_SIZE or LOCAL_RANK make no sense.
    """
    known = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    if not known["RANK"] or known["WORLD_SIZE"] in ("", "1"):
        return Rank()
    try:
        number, of = int(known["RANK"]), int(known["WORLD_SIZE"])
        local = int(known["LOCAL_RANK"] or number)
    except ValueError:
        number, of, local = -1, 0, 0
    if not (0 <= number < of and local >= 0):
        said = ", ".join(f"{name}={value!r}" for name, value in known.items())
        raise SurroundingsError(
            f"the environment has {said}, which names no rank. Start the ranks with --nproc or "
            "torchrun, or unset these variables."
        )
    return Rank(number, of, local, os.environ.get(RENDEZVOUS, ""))
