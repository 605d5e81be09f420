"""Every state that a power cut may leave on a disk: recorded from what a program really did.

`Tape` watches a folder while something works on it; `crash_states` gives every tree that may be
found afterwards, whenever the power went. The model is POSIX, and promises no more than it does:

- A folder's entries (create, rename, unlink) last once that folder was synced. Before, each of them
  has happened or not, whatever became of the others. A rename is one change, never half of one;
  between two folders it lasts once both were synced.
- A file's data lasts once the file was synced. Before, the file may hold what it held at the last
  sync, any later content, or a torn one: part of the new bytes, zeros in their place, or none.
- Syncing a file doesn't sync its name, and syncing a folder not the data of its files.

Bounds: a torn content is one of five; of more than ten unsynced entries, or more than 512
combinations of contents, only those states are made that differ in up to two places from
everything lost and from everything kept. What is inside a `.tmp-`, the log and the lock file is not
varied (they are found empty): no reader goes by it.
"""

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias, TypeVar
from unittest import mock

_CHANGING = (
    "open", "write", "ftruncate", "truncate", "mkdir", "rename", "replace", "unlink", "rmdir",
)  # fmt: skip
_MOST_ENTRIES = 10
_MOST_CONTENTS = 512
_UNREAD = (".tmp-", "worker.log", "worker.lock")
SYNCING = ("sync_folder", "_sync")  # functions whose callers are the ones that sync

T = TypeVar("T")
Tree: TypeAlias = "tuple[tuple[str, bytes | Tree], ...]"
Site: TypeAlias = tuple[str, int]  # file name and line of a call that syncs


@dataclass(frozen=True, slots=True)
class Entries:
    """Changes to folders that happen together: (folder, name, node, or None where it goes)."""

    changes: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds from now on, for those who read it without a power cut."""

    file: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or folder was synced."""

    node: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A promise was made here, such as: the checkpoint is saved."""

    name: str


Operation: TypeAlias = Entries | Content | Sync | Mark


@dataclass(slots=True)
class Nodes:
    """Folders with their entries, and files with their bytes, each known by a number."""

    folders: dict[int, dict[str, int]] = field(default_factory=dict)
    files: dict[int, bytes] = field(default_factory=dict)


class Tape:
    """Records what happens inside a folder, by looking at it around every call that changes it.

    It doesn't matter by which calls files are written: what lies there is what counts. Only
    os.fsync is not carried out but noted; with `skip`, those that this call site makes are left
    out, as if the line weren't there.
    """

    def __init__(self, root: Path, *, skip: Site | None = None) -> None:
        self.root = root
        self.operations: list[Operation] = []
        self.sites: set[Site] = set()
        self._skip = skip
        self._numbers = itertools.count(1)
        self._known: dict[int, int] = {root.stat().st_ino: 0}
        self._now = Nodes({0: {}})
        self.folders: set[int] = set()  # every node that ever was one
        self._look()
        self.start = self._now
        self.operations.clear()

    @contextlib.contextmanager
    def recording(self) -> Iterator[Callable[[str], None]]:
        """Record while inside; gives the function that sets a mark."""

        def watched(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                self._look()
                result = real(*args, **kwargs)
                self._look()
                return result

            return call

        def mark(name: str) -> None:
            self._look()
            self.operations.append(Mark(name))

        with contextlib.ExitStack() as stack:
            for name in _CHANGING:
                stack.enter_context(mock.patch.object(os, name, watched(getattr(os, name))))
            stack.enter_context(mock.patch.object(os, "fsync", self._fsync))
            yield mark
        self._look()

    def _fsync(self, handle: int) -> None:
        self._look()
        site = _site(sys._getframe(1))
        self.sites.add(site)
        node = self._known.get(os.fstat(handle).st_ino)
        if node is not None and site != self._skip:
            self.operations.append(Sync(node))

    def _look(self) -> None:
        """Note what has changed since the last look."""
        inodes: set[int] = set()
        now = Nodes()
        self._walk(self.root, 0, now, inodes)
        self._known = {inode: node for inode, node in self._known.items() if inode in inodes}
        before, self._now = self._now, now
        self.folders |= now.folders.keys()
        self.operations += _differences(before, now)

    def _walk(self, path: Path, node: int, nodes: Nodes, inodes: set[int]) -> None:
        inodes.add(path.stat().st_ino)
        entries = nodes.folders.setdefault(node, {})
        with os.scandir(path) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                inode = entry.inode()
                inodes.add(inode)
                if inode not in self._known:
                    self._known[inode] = next(self._numbers)
                child = entries[entry.name] = self._known[inode]
                if entry.is_dir():
                    self._walk(Path(entry.path), child, nodes, inodes)
                else:
                    nodes.files[child] = Path(entry.path).read_bytes()


def _site(frame: FrameType | None) -> Site:
    if frame is not None and frame.f_code.co_name in SYNCING:
        frame = frame.f_back
    assert frame is not None
    return Path(frame.f_code.co_filename).name, frame.f_lineno


def _differences(before: Nodes, now: Nodes) -> Iterator[Operation]:
    def placed(nodes: Nodes) -> set[tuple[int, str, int]]:
        return {
            (folder, name, node)
            for folder, entries in nodes.folders.items()
            for name, node in entries.items()
        }

    gone = placed(before) - placed(now)
    come = sorted(placed(now) - placed(before))
    for folder, name, node in come:
        moved = [(old, old_name, None) for old, old_name, other in gone if other == node]
        gone = {place for place in gone if place[2] != node}
        yield Entries((*moved, (folder, name, node)))
    for folder, name, _ in sorted(gone):
        replaced = any(place[:2] == (folder, name) for place in come)
        if folder in now.folders and not replaced:
            yield Entries(((folder, name, None),))
    for file, data in now.files.items():
        if data != before.files.get(file, b""):
            yield Content(file, data)


class _Disk:
    """What is certain to be on the disk, and what may be."""

    def __init__(self, tape: Tape) -> None:
        self._start = {node: tape.start.folders.get(node, {}) for node in tape.folders}
        self._files = {file: [data] for file, data in tape.start.files.items()}
        self._entries: list[tuple[Entries, set[int]]] = []  # with the folders not synced since

    def take(self, operation: Operation) -> None:
        match operation:
            case Entries():
                folders = {folder for folder, _, _ in operation.changes}
                self._entries.append((operation, folders))
            case Content():
                self._files.setdefault(operation.file, [b""]).append(operation.data)
            case Sync():
                for _, waiting in self._entries:
                    waiting.discard(operation.node)
                if operation.node in self._files:
                    del self._files[operation.node][:-1]

    def trees(self) -> Iterator[Tree]:
        """Every tree that the disk may hold now."""
        open_entries = [i for i, (_, waiting) in enumerate(self._entries) if waiting]
        choices = [(False, True)] * len(open_entries)
        for kept in _combinations(choices, 2**_MOST_ENTRIES):
            lost = {i for i, keep in zip(open_entries, kept, strict=True) if not keep}
            folders = self._folders_without(lost)
            files = sorted(_files_in(folders))
            contents = [self._contents(file) for file in files]
            for chosen in _combinations(contents, _MOST_CONTENTS):
                yield _tree(folders, dict(zip(files, chosen, strict=True)))

    def _folders_without(self, lost: set[int]) -> dict[int, dict[str, int]]:
        folders = {folder: dict(entries) for folder, entries in self._start.items()}
        for i, (operation, _) in enumerate(self._entries):
            for folder, name, node in operation.changes if i not in lost else ():
                if node is None:
                    folders[folder].pop(name, None)
                else:
                    folders[folder][name] = node
        return folders

    def _contents(self, file: int) -> Sequence[bytes]:
        synced, *later = self._files.get(file, [b""])
        options = {synced: None}
        for data in later:
            options.update(dict.fromkeys(_torn(synced, data)))
        return tuple(options)


def _torn(old: bytes, new: bytes) -> Iterator[bytes]:
    if new.startswith(old):
        tail = new[len(old) :]
        for length in (0, len(tail) // 2, len(tail) - 1):
            yield old + tail[:length]
        yield old + bytes(len(tail))
    elif not old.startswith(new):
        middle = len(new) // 2
        yield new[:middle] + old[middle:]
        yield new[:middle]
    yield new


def _combinations(choices: Sequence[Sequence[T]], limit: int) -> Iterator[tuple[T, ...]]:
    """All of them if they are few; else those that differ in up to two from all first, all last."""
    count = 1
    for options in choices:
        count *= len(options)
    if count <= limit:
        yield from itertools.product(*choices)
        return
    for end in (0, -1):
        base = [options[end] for options in choices]
        yield tuple(base)
        for places in itertools.combinations_with_replacement(range(len(choices)), 2):
            for values in itertools.product(*(choices[place] for place in places)):
                changed = list(base)
                for place, value in zip(places, values, strict=True):
                    changed[place] = value
                yield tuple(changed)


def _unread(name: str) -> bool:
    return name.startswith(_UNREAD)


def _files_in(folders: dict[int, dict[str, int]], folder: int = 0) -> set[int]:
    found: set[int] = set()
    for name, node in folders[folder].items():
        if _unread(name):
            continue
        found |= _files_in(folders, node) if node in folders else {node}
    return found


def _tree(folders: dict[int, dict[str, int]], data: dict[int, bytes], folder: int = 0) -> Tree:
    return tuple(
        (name, () if _unread(name) else _tree(folders, data, node))
        if node in folders
        else (name, b"" if _unread(name) else data[node])
        for name, node in sorted(folders[folder].items())
    )


def crash_states(tape: Tape) -> Iterator[tuple[Tree, frozenset[str]]]:
    """Each tree that a power cut may leave, once, with the marks that were set before it."""
    disk = _Disk(tape)
    marks: frozenset[str] = frozenset()
    seen: set[tuple[Tree, frozenset[str]]] = set()
    for operation in (None, *tape.operations):
        if isinstance(operation, Mark):
            marks |= {operation.name}
        elif operation is not None:
            disk.take(operation)
        if isinstance(operation, Sync):
            continue  # fewer states than before: all of them have been given
        for tree in disk.trees():
            if (tree, marks) not in seen:
                seen.add((tree, marks))
                yield tree, marks


def materialise(tree: Tree, folder: Path) -> None:
    """Write a tree into an empty folder."""
    for name, content in tree:
        path = folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.mkdir()
            materialise(content, path)
