"""Dialogues of system, user and assistant: <dialogue> blocks, or JSONL of messages."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from maquette.data.text.holdout import ContentHash, Survey
from maquette.data.text.piece import Piece
from maquette.data.text.reading import Found, find_files, read_blocks, unreadable
from maquette.data.turns import TurnEncoder
from maquette.errors import DataError
from maquette.tokenizers.special import ROLES

PRIMER = "primer.txt"
_ROLE_TAG = re.compile(rf"({'|'.join(ROLES)}):[ \t]?(.*)", re.DOTALL)
_LOOKALIKE = re.compile(
    rf"({'|'.join(ROLES)}|human|bot|ai|gpt|model|developer|tool|function)[ \t]*:", re.IGNORECASE
)
_ROLES_ARE = "the roles are system:, user: and assistant:"


class Turn(NamedTuple):
    """A message of a dialogue."""

    role: str
    content: str


class Dialogues:
    """Dialogues of files; without a `path` those of the built-in primer.

    Without `validation_path`, about `validation_fraction` of the text is held out: whole dialogues,
    chosen by a seeded hash of what they say. A file that is held out by name is never trained on.
    Messages of one role in a row become one. Raises DataError, which names file and line.
    """

    count_words = False
    encoder = TurnEncoder

    def __init__(
        self,
        path: str | Sequence[str] | None = None,
        *,
        validation_path: str | Sequence[str] | None = None,
        test_path: str | Sequence[str] | None = None,
        validation_fraction: float = 0.1,
        seed: int = 0,
    ) -> None:
        self._fraction = validation_fraction
        self._seed = seed
        self._files: dict[str, list[Found]] = {}  # without train: the primer
        for split, paths in (("validation", validation_path), ("test", test_path)):
            if paths is not None:
                self._files[split] = find_files(paths)
        held = {file.path.resolve() for found in self._files.values() for file in found}
        if path is not None:
            found = find_files(path)
            self._files["train"] = [file for file in found if file.path.resolve() not in held]
            if not self._files["train"]:
                raise DataError(
                    f"{found[0].path}: every file is held out for validation or test",
                    hint="give files in path that are not in validation_path or test_path",
                )
        self._flags: bytearray | None = None
        self._joined: dict[str, int] = {}  # split -> dialogues in which messages were joined

    def fingerprint(self) -> dict[str, Any]:
        """Paths, sizes and times of the files, or the primer's hash, and what decides the split."""
        here = "validation" not in self._files
        primer = "train" not in self._files
        return {
            "kind": "dialogues",
            "primer": hashlib.sha256(primer_text().encode()).hexdigest() if primer else None,
            "files": {s: [_identity(f) for f in found] for s, found in self._files.items()},
            "fraction": self._fraction if here else None,
            "seed": self._seed if here else None,
        }

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test if files are given for it."""
        return ("train", "validation", "test") if "test" in self._files else ("train", "validation")

    def expected_bytes(self, split: str) -> int:
        """Bytes of text to expect in a split, to show progress by."""
        if split != "train" and split in self._files:
            return _bytes(self._files[split])
        whole = _bytes(self._files["train"]) if "train" in self._files else len(primer_text())
        if "validation" in self._files:
            return whole
        return round(whole * (self._fraction if split == "validation" else 1 - self._fraction))

    def pieces(self, split: str) -> Iterator[Piece]:
        """The dialogues of a split, each turn a piece with its role."""
        self._joined[split] = 0
        for turns in self._split(split):
            turns, joined = _joined(turns)
            self._joined[split] += joined
            for number, turn in enumerate(turns, 1):
                yield Piece(turn.content, last=number == len(turns), role=turn.role)

    def remarks(self) -> list[str]:
        """What was changed while reading, in lines for people."""
        count = sum(self._joined.values())
        return [f"joined messages of one role in a row in {count:,} dialogues"] if count else []

    def _split(self, split: str) -> Iterator[list[Turn]]:
        if split == "test" or "validation" in self._files:
            yield from self._dialogues(split)
            return
        if self._flags is None:
            self._flags = self._survey()
        held_out = split == "validation"
        for flag, turns in zip(self._flags, self._dialogues("train"), strict=True):
            if flag == held_out:
                yield turns

    def _survey(self) -> bytearray:
        survey = Survey(self._fraction)
        for turns in self._dialogues("train"):
            content = ContentHash(self._seed)
            content.update(json.dumps(turns))
            survey.add(content.place(), sum(len(turn.content) for turn in turns))
        where = str(self._files["train"][0].path) if "train" in self._files else PRIMER
        if len(survey.held_out) == 1:
            raise DataError(
                f"{where}: holds one dialogue, and a dialogue is never split",
                hint="add dialogues, or give validation_path",
            )
        return survey.flags(where)

    def _dialogues(self, split: str) -> Iterator[list[Turn]]:
        if split not in self._files:
            yield from read_text(primer_text().splitlines(), PRIMER)
            return
        for file in self._files[split]:
            yield from read_dialogues(file.path)


def primer_text() -> str:
    """The built-in dialogues, as text."""
    return Path(__file__).with_name(PRIMER).read_text(encoding="utf-8")


def read_dialogues(path: Path) -> Iterator[list[Turn]]:
    """The dialogues of a file, JSONL when its first character that isn't blank is `{`.

    Raises DataError that names the file and the line.
    """
    lines = _lines(path)
    count = 0
    skipped = 0
    for first in lines:
        if first.strip():
            break
        skipped += 1
    else:
        raise DataError(f"{path}: holds no dialogue, only whitespace")
    numbered = _chain(first, lines)
    if first.lstrip()[0] == "[":
        _wrong(path, skipped + 1, "begins a JSON array", "write one dialogue a line (JSONL)")
    read = read_jsonl if first.lstrip()[0] == "{" else read_text
    for turns in read(numbered, str(path), skipped):
        count += 1
        yield turns
    if not count:
        raise DataError(f"{path}: holds no <dialogue>")


def _chain(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _lines(path: Path) -> Iterator[str]:
    held = ""
    for block in read_blocks(path):
        *whole, held = (held + block).split("\n")
        for line in whole:
            yield line.removesuffix("\r")
    if held:
        yield held


def read_text(lines: Iterable[str], where: str, skipped: int = 0) -> Iterator[list[Turn]]:
    """Dialogues between <dialogue> and </dialogue>; lines of `#` and blanks may stand between.

    A message runs up to the next line that begins with a role. Raises DataError.
    """
    turns: list[tuple[str, list[str], int]] | None = None
    opened = 0
    for number, line in enumerate(lines, skipped + 1):
        mark = line.strip()
        if turns is None:
            if mark == "<dialogue>":
                turns, opened = [], number
            elif mark and not mark.startswith("#"):
                hint = "text stands between <dialogue> and </dialogue>, or JSONL begins with {"
                _wrong(where, number, f"expected <dialogue>, found {mark[:40]!r}", hint)
        elif mark == "</dialogue>":
            said = [(role, "\n".join(text).strip(), at) for role, text, at in turns]
            yield _checked(said, where, opened)
            turns = None
        elif mark == "<dialogue>":
            hint = "close it with </dialogue>"
            _wrong(where, number, f"the dialogue of line {opened} is still open", hint)
        elif tag := _ROLE_TAG.match(line):
            turns.append((tag[1], [tag[2]], number))
        elif found := _LOOKALIKE.match(line):
            hint = f"{_ROLES_ARE}; a space before it makes it part of the message"
            _wrong(where, number, f"unknown role {found[1]!r}", hint)
        elif turns:
            turns[-1][1].append(line)
        elif mark:
            name = re.match(r"\s*([\w ]{1,30}):", line)
            what = f"unknown role {name[1]!r}" if name else f"no role before {mark[:40]!r}"
            _wrong(where, number, what, _ROLES_ARE)
    if turns is not None:
        _wrong(where, opened, "the dialogue is never closed", "close it with </dialogue>")


def read_jsonl(lines: Iterable[str], where: str, skipped: int = 0) -> Iterator[list[Turn]]:
    """Dialogues from lines of `{"messages": [{"role": ..., "content": ...}, ...]}`.

    Other keys are passed over. Raises DataError.
    """
    for number, line in enumerate(lines, skipped + 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error)
            if isinstance(error, json.JSONDecodeError):
                reason = f"{error.msg} at column {error.colno}"
            _wrong(where, number, f"broken JSON: {reason}", "a line is one JSON object")
        messages = row.get("messages") if isinstance(row, dict) else None
        if not isinstance(messages, list):
            hint = 'a line is {"messages": [{"role": "user", "content": "..."}, ...]}'
            _wrong(where, number, "has no list of messages", hint)
        yield _checked([_message(m, where, number) for m in messages], where, number)


def _message(message: object, where: str, line: int) -> tuple[str, str, int]:
    fields = message if isinstance(message, dict) else {}
    role, content = fields.get("role"), fields.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        hint = 'a message is {"role": "user", "content": "..."}, both text'
        _wrong(where, line, "a message without text in role and content", hint)
    if role not in ROLES:
        _wrong(where, line, f"unknown role {role[:40]!r}", _ROLES_ARE)
    return role, content.strip(), line


def _checked(said: list[tuple[str, str, int]], where: str, line: int) -> list[Turn]:
    """The turns of a dialogue that begins at a line, if they are a sensible one."""
    if not said:
        _wrong(where, line, "an empty dialogue", "take it out")
    for place, (role, content, at) in enumerate(said):
        if role == "system" and "system" in (earlier for earlier, _, _ in said[:place]):
            _wrong(where, at, "a second system message", "keep one, at the beginning")
        if role == "system" and place > 0:
            _wrong(where, at, "a system message after others", "put it at the beginning")
        if not content:
            _wrong(where, at, f"an empty message of the {role}", "write something, or take it out")
    if all(role != "assistant" for role, _, _ in said):
        hint = "there has to be an answer to learn from"
        _wrong(where, line, "a dialogue without an assistant's turn", hint)
    return [Turn(role, content) for role, content, _ in said]


def _joined(turns: list[Turn]) -> tuple[list[Turn], bool]:
    """The turns, those of one role in a row as one; and whether there were such."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].role == turn.role:
            found[-1] = Turn(turn.role, f"{found[-1].content}\n{turn.content}")
        else:
            found.append(turn)
    return found, len(found) < len(turns)


def _wrong(where: object, line: int, what: str, hint: str) -> NoReturn:
    raise DataError(f"{where}:{line}: {what}", hint=hint)


def _identity(file: Found) -> list[Any]:
    try:
        found = file.path.stat()
    except OSError as error:
        raise unreadable(file.path, error) from error
    return [str(file.path.resolve()), found.st_size, found.st_mtime_ns]


def _bytes(files: list[Found]) -> int:
    return sum(int(_identity(file)[1]) for file in files)
