"""The ranks of a run as a group: they meet, take turns, agree, and end together.

A rank that fails says so before it ends, and the others, whose exchanges break then, know that they
are not the cause. Tensors on the CPU go through gloo, those on CUDA through NCCL.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import itertools
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store

from ltcore.errors import (
    AnotherRankError,
    LostRankError,
    SpecError,
    SurroundingsError,
    exit_code_of,
    one_line,
)
from ltcore.ranks import Rank
from ltcore.running.devices import choose_device
from ltcore.stopping import StopRequest

_FAILED = "ltcore/failed"
_GLOO = ("gloo", "pair closure")  # how a RuntimeError shows that it is gloo's
_STORES: dict[Rank, Store] = {}
_MEETINGS = itertools.count()  # each run of a process has keys of its own in the ranks' store


class Group:
    """The ranks that train one model; of one rank alone, nothing is exchanged.

    Args:
        rank: which of them this process is.
        device: where it computes.
    """

    def __init__(self, rank: Rank, device: torch.device) -> None:
        self.rank = rank
        self.device = device
        self._asked: tuple[Any, Tensor] | None = None

    def wait(self) -> None:
        """Return when every rank is here."""
        if not self.rank.alone:
            dist.all_reduce(torch.zeros(1))

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first rank of each machine, and then the others: so that one alone downloads."""
        if self.rank.local:
            self.wait()
        yield
        if not self.rank.local:
            self.wait()

    def refuse_unlike(self, what: bytes) -> None:
        """See that every one of several ranks was given the same.

        Args:
            what: all that must be equal.

        Raises:
            SpecError: a rank has something else than the first.
        """
        digest = torch.frombuffer(bytearray(hashlib.sha256(what).digest()), dtype=torch.uint8)
        digests = [torch.empty_like(digest) for _ in range(self.rank.of)]
        dist.all_gather(digests, digest)
        unlike = [number for number, one in enumerate(digests) if not torch.equal(one, digests[0])]
        if unlike:
            raise SpecError(
                f"rank {unlike[0]} has another spec or other images than rank 0. Give all ranks "
                "the same spec, the same data and the same ltcore."
            )

    def share_file(self, path: Path) -> Path | io.BytesIO | None:
        """A file that the first rank reads, for all ranks; None where it is not there."""
        if self.rank.alone:
            return path if path.exists() else None
        content = bytearray()
        if self.rank.first and path.exists():
            try:
                content += path.read_bytes()
            except OSError as error:
                raise SurroundingsError(f"{path}: cannot be read: {error.strerror}") from None
        size = torch.tensor(len(content))
        dist.broadcast(size, 0)
        if not size:
            return None
        if not self.rank.first:
            content = bytearray(int(size))
        dist.broadcast(torch.frombuffer(content, dtype=torch.uint8), 0)
        return io.BytesIO(content)

    def share_buffers(self, model: nn.Module) -> None:
        """Give every rank the first one's buffers: the running statistics of batch norm."""
        if not self.rank.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def agrees_to_stop(self, stop: StopRequest) -> bool:
        """Whether some rank was asked to stop: known to all at the same call, one call late.

        Nobody waits: what a call asks of the others arrives while the next step is computed.
        """
        if self.rank.alone:
            return stop.asked
        before = self.settled_to_stop(stop)
        asked = torch.tensor(int(stop.asked))
        self._asked = dist.all_reduce(asked, dist.ReduceOp.MAX, async_op=True), asked
        return before

    def settled_to_stop(self, stop: StopRequest) -> bool:
        """The same of the last call, without a new one."""
        if self._asked is None:
            return stop.asked if self.rank.alone else False
        work, asked = self._asked
        self._asked = None
        work.wait()
        if asked and not stop.asked:
            stop.reason = "a signal to another rank"
        return bool(asked)

    def break_off(self, error: BaseException) -> None:
        """Destroy gloo's group, so that whoever waits for this rank waits no longer.

        Its connections end with the last reference to what exchanges. The frames of an exception
        have some, as long as a program keeps it: they lose their local variables.

        Args:
            error: why.
        """
        dist.destroy_process_group()
        self._asked = None
        for one in _chain(error, handled=True):
            traceback.clear_frames(one.__traceback__)
        gc.collect()


@contextlib.contextmanager
def joined(
    rank: Rank,
    device: str,
    seconds: float,
    failed: Callable[[BaseException], None] | None = None,
) -> Iterator[Group]:
    """Meet the other ranks; at the end wait for them, so that what one wrote is there for all.

    A group that the program around has made already is used, and left as it is.

    Args:
        rank: which one this process is.
        device: where the ranks compute, as a spec says it; see :func:`choose_device`.
        seconds: how long a rank waits for another.
        failed: called with what this rank raises where, of ranks that have met, it fails first.

    Raises:
        SurroundingsError: the others could not be met, or this machine has no such device.
        SpecError: several ranks are to share one GPU.
        LostRankError: another rank died, or did not answer in time.
        AnotherRankError: another rank failed first.
    """
    if rank.alone:
        yield Group(rank, choose_device(device, rank))
        return
    own = not dist.is_initialized()
    timeout = timedelta(seconds=seconds)
    store = PrefixStore(f"ltcore/{next(_MEETINGS)}", _meet(rank, timeout)) if own else None
    met = not own
    try:
        group = Group(rank, choose_device(device, rank))
        if store is not None:
            _connect(group, store, timeout)
        met = True
        yield group
        group.wait()
    except BaseException as error:
        explained = _explained(error, rank, store)
        if failed and met and not isinstance(explained, AnotherRankError):
            failed(explained)
        if own and dist.is_initialized() and dist.get_backend() == "gloo":
            group.break_off(error)
        if explained is error:
            raise
        raise explained from error
    if own:
        dist.destroy_process_group()


def _meet(rank: Rank, timeout: timedelta) -> Store:
    """The ranks' store: one for all runs of this process, as its first rank may serve it."""
    from torch.distributed.rendezvous import rendezvous

    if rank not in _STORES:
        try:
            if rank.launched:
                _STORES[rank] = dist.FileStore(rank.rendezvous, rank.of)  # type: ignore[attr-defined]
            else:
                met = rendezvous("env://", rank.number, rank.of, timeout=timeout)
                _STORES[rank] = next(met)[0]
        except (RuntimeError, ValueError) as error:
            raise _unmet(rank, error) from error
    return _STORES[rank]


def _connect(group: Group, store: Store, timeout: timedelta) -> None:
    rank, cuda = group.rank, group.device.type == "cuda"
    if cuda:
        torch.cuda.set_device(group.device)
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cuda else "gloo",
            store=store,
            rank=rank.number,
            world_size=rank.of,
            timeout=timeout,
        )
    except (RuntimeError, ValueError) as error:
        raise _unmet(rank, error) from error


def _unmet(rank: Rank, error: Exception) -> SurroundingsError:
    return SurroundingsError(
        f"rank {rank.number} of {rank.of} could not meet the others ({one_line(error)}). Start "
        "the ranks with --nproc or torchrun, and see that they reach each other."
    )


def _explained(error: BaseException, rank: Rank, store: Store | None) -> BaseException:
    """What a rank is to raise for an exception: its own, or that another one failed first.

    The ranks' store remembers the first failure. Ctrl-C is nobody's failure, and stays.
    """
    if _is_lost_contact(error):
        error = LostRankError(
            "lost contact with another rank: it has died, or has not answered for "
            f"training.timeout_seconds ({one_line(error)}). The same command goes on from the "
            "last checkpoint."
        )
    if store is None:
        return error
    own = f"{rank.number} {exit_code_of(error)}"
    try:
        first = store.compare_set(_FAILED, "", own).decode()
    except RuntimeError:  # the store went with its rank
        return error
    if first == own or not isinstance(error, Exception):
        return error
    number, code = map(int, first.split())
    return AnotherRankError(number, code)


def _is_lost_contact(error: BaseException) -> bool:
    """Whether an exchange with another rank broke, in torch.distributed or in gloo beneath it."""
    return any(
        isinstance(one, dist.DistError)
        or (isinstance(one, RuntimeError) and any(sign in str(one) for sign in _GLOO))
        for one in _chain(error, handled=False)
    )


def _chain(error: BaseException, *, handled: bool) -> list[BaseException]:
    """An exception, what it was raised from (or while that was handled), and so on, each once."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or (following.__context__ if handled else None)
    return chain
