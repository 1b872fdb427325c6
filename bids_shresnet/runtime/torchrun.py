"""Which of the processes that share one training this is, as torchrun says in the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process among others.

    Attributes
    ----------
    rank, world
        Number among all processes, from 0, and how many they are.
    local, beside
        The same among those on this machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    beside: int = 1

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> Place:
        """As torchrun says; where it was not asked, the only one."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        if "TORCHELASTIC_RUN_ID" not in environment or not all(
            name in environment for name in names
        ):
            return cls()
        return cls(*(int(environment[name]) for name in names))

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and talks."""
        return self.rank == 0

    @property
    def shared(self) -> bool:
        """Whether there are others."""
        return self.world > 1
