"""Where a decided batch is committed: on the engine's own thread, or on another one beside it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from campus_node.ledger.process import share_interpreter
from campus_node.ledger.writer import Started, Writer


class NotTried(Exception):
    """The batch before was not committed, and this one was decided on top of it."""


class Committer:
    """Commits one batch at a time.

    Args:
        writer: whose batches they are.
        wake: called on the other thread when a commit there is done.
    """

    def __init__(self, writer: Writer, wake: Callable[[], None]) -> None:
        self._writer = writer
        self._wake = wake
        self._threads = ThreadPoolExecutor(
            2, thread_name_prefix="ledger-committer"
        )  # one stages, one commits

    def here(self, started: Started) -> Future[None]:
        """Commit on this thread; where nothing waits, handing it over would cost more than it gains."""
        share_interpreter(often=False)
        commit: Future[None] = Future()
        try:
            self._writer.commit(started)
        except BaseException as error:
            commit.set_exception(error)
        else:
            commit.set_result(None)
        return commit

    def beside(self, started: Started, after: Future[None] | None) -> Future[None]:
        """Commit on another thread, while this one decides the next batch.

        Args:
            after: the commit that must have succeeded before; if it fails this one ends with NotTried.
        """
        share_interpreter(often=True)
        commit = self._threads.submit(self._commit_after, started, after)
        commit.add_done_callback(lambda _: self._wake())
        return commit

    def _commit_after(self, started: Started, after: Future[None] | None) -> None:
        if after is not None:
            self._writer.stage(started)
            if after.exception() is not None:
                self._writer.unstage(started)
                raise NotTried
        self._writer.commit(started)

    def close(self) -> None:
        """Let the other threads end."""
        self._threads.shutdown()
