r"""Dialogues as tokens: one format for training, terminal and server.

Models of bytes read a transcript, which is plain text:

    system: Be brief.
    user: Hello!
    assistant: Hi, how are you?

A turn is its role, `: `, what was said, and a line end. A prompt ends in `assistant: `, and an
answer ends where a line end is followed by a role's tag. So that nobody can forge a turn, a line
inside of what was said that begins with a tag, in whatever case, gets a space before it.

BPE models have a token for each role and one for the end of a turn, which no text encodes to:

    <|system|>Be brief.<|end|><|user|>Hello!<|end|><|assistant|>Hi, how are you?<|end|>
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maquette.errors import UsageError
from maquette.tokenizers.special import END_OF_TURN, ROLES

if TYPE_CHECKING:
    from maquette.tokenizers.base import Tokenizer

STOPS = tuple(f"\n{role}:" for role in ROLES)
"""What ends an answer in a transcript."""

Message = Mapping[str, str]
"""`role`, one of ROLES, and `content`."""

_TAG = re.compile(rf"^({'|'.join(ROLES)}):", re.IGNORECASE | re.MULTILINE)
_STOP = re.compile(rf"\n(?:{'|'.join(ROLES)}):")


def format_chat(messages: Sequence[Message]) -> str:
    """The transcript of a chat up to where the assistant's answer begins: `... assistant: `.

    Raises UsageError for a role that isn't in ROLES.
    """
    turns = [_turn(message["role"], message["content"]) for message in messages]
    return "".join(turns) + "assistant: "


def extract_assistant_reply(text: str) -> str:
    """The answer in what a model of bytes wrote after a prompt, without blanks around it.

    It ends before the first line end that a role's tag follows, and nowhere else.
    """
    return _STOP.split(text, maxsplit=1)[0].strip()


def plain(content: str) -> str:
    """What was said as it enters a prompt: `\\n` for every line end, none at its edges.

    Also without byte 0, which would end the document.
    """
    return "\n".join(content.replace("\0", "\N{REPLACEMENT CHARACTER}").splitlines()).strip()


def escape(content: str) -> str:
    """A space before every line that begins with a role's tag, as only a turn may."""
    return _TAG.sub(r" \1:", content)


def encode_turn(tokenizer: "Tokenizer", role: str, content: str) -> list[int]:
    """The ids of a whole turn, its end included. Raises UsageError as `check_chat` does."""
    return encode_turns(tokenizer, [(role, content)])[0]


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


def encode_chat(tokenizer: "Tokenizer", messages: Sequence[Message]) -> list[int]:
    """The ids of a prompt, which ends where the assistant's answer begins."""
    turns = [(message["role"], message["content"]) for message in messages]
    ids = [i for turn in encode_turns(tokenizer, turns) for i in turn]
    return ids + _opening(tokenizer, "assistant")


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


def stop_tokens(tokenizer: "Tokenizer") -> tuple[int, ...]:
    """The ids that end an answer."""
    special = tokenizer.chat_tokens
    ends = () if special is None else (special[END_OF_TURN],)
    return (tokenizer.end_of_text, *ends)


def stop_strings(tokenizer: "Tokenizer") -> tuple[str, ...]:
    """The strings that end an answer; none where a token does."""
    return STOPS if tokenizer.chat_tokens is None else ()


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
