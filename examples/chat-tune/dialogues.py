"""Dialogues as text and tokens.

Made by `maquette eject` (maquette 0.1.0) from the spec chat-tune; blueprint 65b02f2d53489c13.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from errors import DataError, UsageError
from text import (
    END_OF_TURN,
    ROLES,
    ContentHash,
    Found,
    Piece,
    Survey,
    Tokenizer,
    find_files,
    read_blocks,
)

_TAG = re.compile(rf"^({'|'.join(ROLES)}):", re.IGNORECASE | re.MULTILINE)


def plain(content: str) -> str:
    """What was said as it enters a prompt: `\\n` for every line end, none at its edges.

    Also without byte 0, which would end the document.
    """
    return "\n".join(content.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines()).strip()


def escape(content: str) -> str:
    """A space before every line that begins with a role's tag, as only a turn may."""
    return _TAG.sub(r" \1:", content)


def encode_turns(tokenizer: "Tokenizer", turns: Sequence[tuple[str, str]]) -> list[list[int]]:
    """The ids of several turns (role, content), encoded together, which is faster."""
    check_chat(tokenizer)
    special = tokenizer.chat_tokens
    if special is None:
        texts = [_turn(role, content) for role, content in turns]
        return [ids.tolist() for ids in tokenizer.encode_batch(texts)]
    encoded = tokenizer.encode_batch([plain(content) for _, content in turns])
    return [
        [special[_known(role)], *ids.tolist(), special[END_OF_TURN]]
        for (role, _), ids in zip(turns, encoded, strict=True)
    ]


def turn_mask(tokenizer: "Tokenizer", role: str, length: int, *, after: str | None) -> bytes:
    """One byte for each of a turn's `length` ids: 1 for what the assistant has to learn to write.

    That is its answer and what ends it: `<|end|>`, or in bytes the line end and the tag of the
    role that speaks next, so the tag of a turn `after` the assistant's counts as well. The end of
    text that follows a last turn counts if that turn was the assistant's.
    """
    opening = len(_opening(tokenizer, role))
    if role == "assistant":
        return bytes(opening) + b"\1" * (length - opening)
    if after == "assistant" and tokenizer.chat_tokens is None:
        tag = len(role) + 1  # without the space, which is the user's
        return b"\1" * tag + bytes(length - tag)
    return bytes(length)


def check_chat(tokenizer: "Tokenizer") -> None:
    """Raise UsageError unless this tokenizer can encode turns."""
    if tokenizer.kind != "bytes" and tokenizer.chat_tokens is None:
        raise UsageError(
            "this tokenizer has no chat tokens: it was trained before there were any",
            hint="train a new run; its tokenizer will have them",
        )


def _turn(role: str, content: str) -> str:
    said = escape(plain(content))
    return f"{_known(role)}: {said}\n"


def _opening(tokenizer: "Tokenizer", role: str) -> list[int]:
    special = tokenizer.chat_tokens
    return list(f"{role}: ".encode()) if special is None else [special[role]]


def _known(role: str) -> str:
    if role not in ROLES:
        raise UsageError(
            f"unknown role {role!r}", hint="a message's role is system, user or assistant"
        )
    return role


# Turns of dialogues to token ids, and which of them the assistant says.


class TurnEncoder:
    """Dialogues to ids, each with the end of text behind it, and a mask of what is learned."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._speaker: str | None = None  # of the turn before, in the same dialogue

    def encode(self, batch: list[Piece]) -> tuple[NDArray[np.uint32], bytes]:
        """The ids of a batch, shape (N,), and a byte for each: 1 for what the assistant says."""
        turns = [(piece.role, piece.text) for piece in batch if piece.role is not None]
        assert len(turns) == len(batch), "a source holds either dialogues or text"
        end = self._tokenizer.end_of_text
        ids: list[int] = []
        mask: list[bytes] = []
        for piece, (role, _), encoded in zip(
            batch, turns, encode_turns(self._tokenizer, turns), strict=True
        ):
            ids += [*encoded, end] if piece.last else encoded
            mask.append(self._mask(role, len(encoded), last=piece.last))
        return np.array(ids, dtype=np.uint32), b"".join(mask)

    def _mask(self, role: str, length: int, *, last: bool) -> bytes:
        mask = turn_mask(self._tokenizer, role, length, after=self._speaker)
        self._speaker = None if last else role
        return mask + bytes([role == "assistant"]) if last else mask


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

    def splits(self) -> tuple[str, ...]:
        """Train and validation, and test if files are given for it."""
        return ("train", "validation", "test") if "test" in self._files else ("train", "validation")

    def pieces(self, split: str) -> Iterator[Piece]:
        """The dialogues of a split, each turn a piece with its role."""
        self._joined[split] = 0
        for turns in self._split(split):
            turns, joined = _joined(turns)
            self._joined[split] += joined
            for number, turn in enumerate(turns, 1):
                yield Piece(turn.content, last=number == len(turns), role=turn.role)

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
