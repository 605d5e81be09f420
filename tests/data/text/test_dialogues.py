import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maquette.data.text.dialogues import (
    Dialogues,
    Turn,
    primer_text,
    read_dialogues,
    read_text,
)
from maquette.errors import DataError

SHARED = Path(__file__).parents[3] / "../shared/data/chat"


def block(*turns: str) -> str:
    return "\n".join(["<dialogue>", *turns, "</dialogue>", ""])


def row(*turns: tuple[str, str], **more: Any) -> str:
    messages = [{"role": role, "content": content} for role, content in turns]
    return json.dumps({"messages": messages} | more) + "\n"


def numbered(count: int) -> str:
    return "\n".join(block(f"user: What is {i}?", f"assistant: It is {i}.") for i in range(count))


def dialogues(source: Dialogues, split: str) -> list[list[Turn]]:
    found: list[list[Turn]] = [[]]
    for piece in source.pieces(split):
        assert piece.role is not None
        found[-1].append(Turn(piece.role, piece.text))
        if piece.last:
            found.append([])
    assert found.pop() == []
    return found


def test_blocks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(
        "\ufeff# A note to oneself\n\n"
        "<dialogue>\r\nsystem: Be brief.\r\nuser: Hello\r\n\r\n  there: user: x\r\n"
        "assistant:\r\n Hi!\r\n</dialogue>\r\n  <dialogue>\nassistant: Größe?\n</dialogue>".encode()
    )
    assert list(read_dialogues(path)) == [
        [
            Turn("system", "Be brief."),
            Turn("user", "Hello\n\n  there: user: x"),
            Turn("assistant", "Hi!"),
        ],
        [Turn("assistant", "Größe?")],
    ]


def test_jsonl_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    said = [("user", " a\u2028b\nuser: c "), ("assistant", "\ud83d\ude00")]
    path.write_text("\n  \n" + row(*said, id=3) + "\n" + row(("assistant", "x")))
    assert list(read_dialogues(path)) == [
        [Turn("user", "a\u2028b\nuser: c"), Turn("assistant", "\N{GRINNING FACE}")],
        [Turn("assistant", "x")],
    ]


USER, ASSISTANT = ("user", "a"), ("assistant", "b")
WRONG: dict[str, tuple[str, int, str]] = {
    "unknown role": (block("bot: hi"), 2, "unknown role 'bot'"),
    "unknown role later": (block("user: a", "Human : hi"), 3, "unknown role 'Human'"),
    "capital": (block("user: a", "Assistant: hi"), 3, "unknown role 'Assistant'"),
    "unknown word": (block("Peter Pan: hi"), 2, "unknown role 'Peter Pan'"),
    "no role": (block("hello"), 2, "no role before 'hello'"),
    "empty": (block("user: a", "assistant: b") + block(""), 5, "an empty dialogue"),
    "no assistant": (block("user: a"), 1, "a dialogue without an assistant's turn"),
    "two systems": (block("system: a", "system: b", "assistant: c"), 3, "a second system message"),
    "late system": (block("user: a", "system: b", "assistant: c"), 3, "system message after"),
    "empty message": (block("user:", "assistant: b"), 2, "an empty message of the user"),
    "not closed": ("\n<dialogue>\nuser: a\n", 2, "never closed"),
    "opened twice": ("<dialogue>\nuser: a\n<dialogue>\n", 3, "of line 1 is still open"),
    "text outside": (block("assistant: b") + "text\n", 4, "expected <dialogue>, found 'text'"),
    "closed twice": (block("assistant: b") + "</dialogue>", 4, "expected <dialogue>"),
    "broken JSON": (row(ASSISTANT) + "\n{]\n", 3, "broken JSON: Expecting"),
    "cut JSON": ('{"messages": [', 1, "broken JSON"),
    "deep JSON": ('{"messages": ' + "[" * 100_000, 1, "broken JSON"),
    "an array": ("[\n" + row(ASSISTANT) + "]", 1, "begins a JSON array"),
    "no messages": ('{"text": "x"}', 1, "has no list of messages"),
    "not an object": (row(ASSISTANT) + "3\n", 2, "has no list of messages"),
    "JSON role": (row(("tool", "x")), 1, "unknown role 'tool'"),
    "JSON empty": (row(), 1, "an empty dialogue"),
    "JSON no assistant": (row(USER), 1, "without an assistant's turn"),
    "JSON two systems": (row(("system", "a"), ("system", "b")), 1, "a second system message"),
    "JSON blank": (row(USER, ("assistant", " \n")), 1, "an empty message of the assistant"),
    "JSON parts": ('{"messages": [{"role": "user", "content": ["x"]}]}', 1, "without text in"),
    "JSON null": ('{"messages": [null]}', 1, "without text in role and content"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, name: str) -> None:
    text, line, message = WRONG[name]
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        list(read_dialogues(path))
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert message in caught.value.message
    assert caught.value.hint


def test_files_without_a_dialogue_are_named(tmp_path: Path) -> None:
    for name, text in (("blank", " \n\n"), ("comment", "# nothing yet\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"{name}: holds no"):
            list(read_dialogues(tmp_path / name))
    (tmp_path / "latin").write_bytes(b"<dialogue>\nuser: \xff")
    with pytest.raises(DataError, match=r"latin: is not UTF-8: .* line 2"):
        list(read_dialogues(tmp_path / "latin"))


def test_the_split_is_by_dialogue_and_follows_content_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(numbered(200))
    source = Dialogues(str(path))
    train, validation = dialogues(source, "train"), dialogues(source, "validation")
    assert sorted(train + validation) == sorted(read_dialogues(path))
    assert 8 < len(validation) < 40
    assert dialogues(Dialogues(str(path), seed=1), "validation") != validation
    path.write_text(block("user: new", "assistant: one") + numbered(200))
    again = dialogues(Dialogues(str(path)), "validation")
    assert [d for d in again if d[0].content != "new"] == validation
    assert source.remarks() == []


def test_copies_stay_together_and_one_dialogue_cannot_be_split(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(numbered(30) + numbered(30))
    source = Dialogues(str(path), validation_fraction=0.3)
    train, validation = dialogues(source, "train"), dialogues(source, "validation")
    assert validation
    assert not [dialogue for dialogue in validation if dialogue in train]
    path.write_text(numbered(1))
    with pytest.raises(DataError, match=r"a\.txt: holds one dialogue"):
        list(Dialogues(str(path)).pieces("train"))


def test_held_out_files_are_not_trained_on(tmp_path: Path) -> None:
    for i, name in enumerate(("train", "valid", "test")):
        (tmp_path / f"{name}.jsonl").write_text(row(("user", str(i)), ASSISTANT))
    named: dict[str, Any] = {
        f"{n}_path": str(tmp_path / f"{n[:5]}.jsonl") for n in ("validation", "test")
    }
    source = Dialogues(f"{tmp_path}/*.jsonl", **named)
    assert source.splits() == ("train", "validation", "test")
    firsts = [dialogues(source, split)[0][0].content for split in source.splits()]
    assert firsts == ["0", "1", "2"]
    assert source.expected_bytes("train") == (tmp_path / "train.jsonl").stat().st_size
    with pytest.raises(DataError, match="every file is held out"):
        Dialogues(named["test_path"], **named)


def test_messages_of_one_role_in_a_row_become_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(
        block("user: a", "user: b", "assistant: c", "assistant: d", "user: e") + numbered(9)
    )
    source = Dialogues(str(path))
    found = [d for split in source.splits() for d in dialogues(source, split)]
    assert [Turn("user", "a\nb"), Turn("assistant", "c\nd"), Turn("user", "e")] in found
    assert source.remarks() == ["joined messages of one role in a row in 1 dialogues"]


def test_the_fingerprint_follows_what_matters(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(numbered(3))
    makers: list[Callable[[], Dialogues]] = [
        Dialogues,
        lambda: Dialogues(str(path)),
        lambda: Dialogues(str(path), seed=1),
        lambda: Dialogues(str(path), validation_fraction=0.2),
        lambda: Dialogues(validation_path=str(path)),
    ]
    prints = [str(make().fingerprint()) for make in makers]
    assert len(set(prints)) == len(prints)
    assert prints == [str(make().fingerprint()) for make in makers]
    path.write_text(numbered(4))
    assert str(Dialogues(str(path)).fingerprint()) != prints[1]
    held = [Dialogues(validation_path=str(path), seed=s).fingerprint() for s in (0, 1)]
    assert held[0] == held[1]


def test_the_primer_is_sound() -> None:
    text = primer_text()
    assert text.isascii()
    found = list(read_text(text.splitlines(), "primer"))
    assert len(found) >= 150
    firsts = set()
    for turns in found:
        roles = [turn.role for turn in turns if turn.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert 2 <= len(roles) <= 6
        said = [turn.content for turn in turns if turn.role != "system"]
        assert all(line and "\n" not in line and line == line.strip() for line in said)
        firsts.add((turns[0].content, turns[1].content))
        assert all(len(turn.content) <= 160 for turn in turns)
    assert len(firsts) == len(found)
    asked = [next(t.content for t in turns if t.role == "user").lower() for turns in found]
    assert len(set(asked)) == len(asked)
    whole = text.lower()
    for topic in ("trained on this computer", "look things up", "earlier chats", "be sure"):
        assert topic in whole
    assert {turn.role for turns in found for turn in turns} == {"system", "user", "assistant"}


def test_the_primer_is_the_default() -> None:
    source = Dialogues()
    splits = [dialogues(source, split) for split in source.splits()]
    assert sum(map(len, splits)) == primer_text().count("<dialogue>")
    assert len(splits) == 2
    assert 0.05 < len(splits[1]) / sum(map(len, splits)) < 0.2
    assert source.expected_bytes("train") > source.expected_bytes("validation") > 1000


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_real_dialogues_are_counted_as_published() -> None:
    source = Dialogues(
        str(SHARED / "train.jsonl"),
        validation_path=str(SHARED / "valid.jsonl"),
        test_path=str(SHARED / "test.jsonl"),
    )
    counts = [len(dialogues(source, split)) for split in source.splits()]
    assert counts == [3000, 200, 200]
    assert source.remarks() == []
