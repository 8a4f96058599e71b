"""Work done ahead: what comes next is made in a background thread while what came before is used."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from queue import SimpleQueue
from threading import Event, Semaphore, Thread, current_thread
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2


def ahead(items: Iterable[T], depth: int = DEPTH) -> Generator[T, None, None]:
    """`items` in their order, made by a thread that is at most `depth` of them ahead.

    The thread starts with the first item asked for.  It ends, and `items` is closed, before this iterator does:
    when the items are used up, when making one raises (raised here, after the items before it), and when the
    iterator is closed or left behind.  Code that leaves a loop over it early closes it (`contextlib.closing`).
    """
    if depth < 1:
        raise ValueError(f"depth {depth}: at least one item is made at a time")
    slots, made, stop = Semaphore(depth), SimpleQueue[tuple[list[T], BaseException | None]](), Event()

    def work() -> None:
        source = iter(items)
        try:
            while slots.acquire() and not stop.is_set():
                made.put(([next(source)], None))
        except BaseException as error:  # of any kind: the thread has nobody else to tell
            made.put(([], error))
        finally:
            if hasattr(source, "close"):
                source.close()

    thread = Thread(target=work, name="ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = made.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            slots.release()  # before the item is used, so that the next is made meanwhile
            yield item.pop()
    finally:
        error = None  # its traceback refers to this frame
        stop.set()
        slots.release()
        if thread is not current_thread():  # a collector may close a forgotten iterator from anywhere
            thread.join()
