"""The way to a cluster: a Dask scheduler at an address, or processes that are started here."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from terralink.errors import InputError

if TYPE_CHECKING:
    from distributed import Client


@contextmanager
def connected(address: str) -> "Iterator[Client]":
    """A client of the cluster at ``tcp://...``, or of one of ``local:N`` processes made for it.

    Raises ``InputError`` when there is no such cluster.
    """
    count = local_count(address) if address.startswith("local:") else None
    import dask
    from distributed import Client, LocalCluster

    if count is not None:
        # A process that was killed comes back, on a busy machine not within Dask's 15 seconds.
        with (
            dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # any port: another run may have the usual one
                preload="terralink.pipeline.cluster",  # imported before there is work
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(
            f"no cluster answers at {address!r}: {error}; give tcp://HOST:8786 of a Dask "
            "scheduler, or local:N for N processes here"
        ) from error
    with client:
        yield client


def local_count(address: str) -> int:
    """
    >>> local_count("local:2")
    2
    """
    count = address.removeprefix("local:")
    if not count.isdecimal() or int(count) < 1:
        raise InputError(f"local:N with N from 1, such as local:2, was wanted; {address!r} came")
    return int(count)


def threads_at(address: str) -> int | None:
    """How many cores each worker takes: its share of this machine, or all of its own (None)."""
    if not address.startswith("local:"):
        return None
    return max(1, (os.cpu_count() or 1) // local_count(address))
