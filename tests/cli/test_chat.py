import fcntl
import io
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maquette.blueprint import serial
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.cli import editing, main
from maquette.cli.slash import COMMANDS, visible
from maquette.data.prepare import prepare
from maquette.data.text.dialogues import read_dialogues
from maquette.generation import chat as generation
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec
from tests.trained import trained_run

DIALOGUE = "<dialogue>\nuser: Hello {0}\nassistant: Hi {0}\n</dialogue>\n"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on dialogues, of bytes, whose weights were never trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MAQUETTE_RUNS", raising=False)
    (tmp_path / "talk.txt").write_text("".join(map(DIALOGUE.format, range(60))))
    spec = Spec.model_validate(
        {
            "name": "talk",
            "model": {"depth": 1, "width": 16, "heads": 2, "context": 128},
            "tokenizer": {"kind": "bytes"},
            "data": {
                "sources": {"talk": {"kind": "dialogues", "path": str(tmp_path / "talk.txt")}}
            },
            "train": {"steps": 1, "batch_size": 2, "precision": "float32"},
        }
    )
    data = prepare(spec, cache=tmp_path / "cache")
    blueprint = resolve(spec, data.facts)
    made = Store(tmp_path / "runs").create(
        spec.name,
        spec_text="",
        spec=spec.model_dump(mode="json"),
        blueprint_text=serial.to_json(blueprint),
    )
    data.tokenizer.save(made.tokenizer_path)
    training = Training(blueprint, data, device="cpu")
    training.state.step = 1
    made.commit_checkpoint(1, training.save, best=True)
    return made


class Script:
    """Stands for the decoder: answers in turn, and notes the prompts, seeds and options."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.prompts: list[str] = []
        self.seeds: list[int] = []
        self.options: Any = None

    def __call__(self, _model: object, ids: list[int], **how: Any) -> Iterator[int]:
        self.prompts.append(bytes(ids).decode())
        self.seeds.append(how["seed"])
        self.options = how["options"]
        return iter((self.answers.pop(0) if self.answers else b"Yes.")[: how["max_new_tokens"]])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(generation, "generate", script)
    return script


def call(
    capfd: Captured, monkeypatch: pytest.MonkeyPatch, stdin: bytes, *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    code = main(["chat", *arguments, "--device", "cpu"])
    out, err = capfd.readouterr()
    return code, out, err


def test_once_prints_the_answer_and_nothing_else(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / "system.txt").write_text("Be brief.\n", encoding="utf-8")
    for arguments in (["--system", "Be brief."], ["--system-file", str(run.path / "system.txt")]):
        script.answers = [b"Hi\x1b[2J.\nuser: no more"]
        found = call(capfd, monkeypatch, b"", run.id, "--once", "/help", "--seed", "5", *arguments)
        assert found == (0, "Hi\x1b[2J.\n", "")  # a question, not a command; as it is in a pipe
        assert script.prompts[-1] == "system: Be brief.\nuser: /help\nassistant: "
        assert script.seeds[-1] == 5


def test_once_with_a_real_model_and_every_sampling_option(
    run: Run, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = ("latest", "--once", "Hello", "--seed", "1", "--max-new-tokens", "20")
    code, out, err = call(capfd, monkeypatch, b"", *base)
    assert (code, out.endswith("\n")) == (0, True)
    assert "ends at 20 tokens" in err
    assert call(capfd, monkeypatch, b"", *base)[1] == out
    more = "--temperature 0.5 --top-k 5 --top-p 0.9 --min-p 0.01 --repetition-penalty 1.2"
    code, other, _ = call(capfd, monkeypatch, b"", *base, *more.split(), "--checkpoint", "latest")
    assert code == 0
    assert other != out


def test_the_lines_of_a_pipe_are_answered_one_after_the_other(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers = [b"Hi.", b"Fine."]
    lines = b"Hello\r\n\n/temperature 0.25\n//etc is what?\n/quit\nnever\n"
    code, out, err = call(capfd, monkeypatch, lines, run.id, "--seed", "3")
    assert (code, out, err) == (0, "Hi.\nFine.\n", "temperature: 0.25\n")
    assert script.prompts == [
        "user: Hello\nassistant: ",
        "user: Hello\nassistant: Hi.\nuser: /etc is what?\nassistant: ",
    ]
    assert script.seeds == [3, 4]
    assert script.options.temperature == 0.25


def test_a_line_that_cannot_be_answered_is_told_and_the_others_are_answered(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = b"\xff\n/nope\n" + b"x" * 200 + b"\nHello"
    code, out, err = call(capfd, monkeypatch, lines, run.id)
    assert (code, out) == (1, "Yes.\n")
    assert "line 1 is not UTF-8" in err
    assert "there is no /nope" in err
    assert "the model reads 127 at most" in err
    assert script.prompts == ["user: Hello\nassistant: "]


def test_history_that_does_not_fit_is_said_to_be_left_out(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = b"x" * 30 + b"\n"
    code, out, err = call(capfd, monkeypatch, 4 * line, run.id, "--system", "Be brief.")
    assert (code, out) == (0, "Yes.\n" * 4)
    assert "(the oldest 2 messages left out: the model reads 128 tokens at once)" in err
    assert "(the oldest 4 messages left out" in err
    assert all(prompt.startswith("system: Be brief.\nuser: x") for prompt in script.prompts)
    assert all(len(prompt) <= 96 for prompt in script.prompts)


def test_commands(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script.answers = [b"One.", b"Two.", b"Three."]
    lines = """/system Be brief.
a
/retry
/history
/save chat.json
/save chat.json
b
/save! chat.json
/undo
/reset
/history
/load chat.json
/history
/system -
/undo
/system
/help
/help seed
/
"""
    code, out, err = call(capfd, monkeypatch, lines.encode(), run.id)
    assert (code, out) == (1, "One.\nTwo.\nThree.\n")  # 1: one file was there already
    assert "chat.json is there already\n  /save! chat.json replaces it" in err
    (turns,) = read_dialogues(tmp_path / "chat.json")
    said = [("system", "Be brief."), ("user", "a"), ("assistant", "Two.")]
    said += [("user", "b"), ("assistant", "Three.")]
    assert [tuple(turn) for turn in turns] == said
    history = "".join(f"{role}: {content}\n" for role, content in said)
    assert history.rsplit("user", 1)[0] in err.partition("saved to")[0]
    assert "forgotten; the system message stays\nsystem: Be brief.\nloaded 5 messages\n" in err
    assert f"loaded 5 messages\n{history}no system message\ntaken back: b\nno system" in err
    assert all(err.count(f"/{name}") >= 2 for name in COMMANDS)
    assert script.seeds[1] == script.seeds[0] + 1


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("/tempratur 1", "there is no /tempratur; did you mean /temperature?"),
        ("/save", "/save needs a file"),
        ("/save x.json", "nothing was said yet"),
        ("/load", "/load needs a file"),
        ("/load gone.json", "gone.json: there is no such file"),
        ("/load talk.bad", "talk.bad:1: broken JSON"),
        ("/retry", "no question to ask again"),
        ("/undo", "nothing to take back"),
        ("/reset all", "/reset stands alone; 'all' is too much"),
        ("/temperature hot", "/temperature takes a number, not 'hot'"),
        ("/temperature -1", "/temperature -1.0 must be 0 or more"),
        ("/temperature nan", "/temperature nan must be 0 or more"),
        ("/top-k 0", "/top-k 0 must be 1 or more"),
        ("/top-k 1.5", "/top-k takes a whole number, not '1.5'"),
        ("/top-p 2", "/top-p 2.0 must be above 0, 1 at most"),
        ("/min-p -1", "/min-p -1.0 must be 0 to 1"),
        ("/repetition-penalty 0", "/repetition-penalty 0.0 must be above 0"),
        ("/max-new-tokens 0", "/max-new-tokens 0 must be 1 or more"),
        ("/seed -1", "/seed -1 must be 0 or more"),
        ("/system " + "x" * 130, "too long"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(
    run: Run,
    capfd: Captured,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    part: str,
) -> None:
    (tmp_path / "talk.bad").write_text("{", encoding="utf-8")
    code, out, err = call(capfd, monkeypatch, command.encode() + b"\n", run.id)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert part in err


def test_settings_are_told_and_changed(
    run: Run, script: Script, capfd: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("temperature", "top-k", "top-p", "min-p", "repetition-penalty", "max-new-tokens")
    values = ("0.0", "5", "0.5", "0.1", "1.5", "2")
    lines = "".join(f"/{n} {v}\n/{n}\n" for n, v in zip(names, values, strict=True))
    lines += "/seed 9\na\nb\n/seed 9\nc\n/seed random\n/top-k off\n"
    code, out, err = call(capfd, monkeypatch, lines.encode(), run.id)
    assert (code, out) == (0, "Ye\nYe\nYe\n")
    assert script.seeds == [9, 10, 9]
    options = script.options
    assert (options.temperature, options.top_k, options.top_p, options.min_p) == (0, 5, 0.5, 0.1)
    assert options.repetition_penalty == 1.5
    for name, value in zip(names, values, strict=True):
        assert err.count(f"{name}: {value}\n") == 2
    assert err.endswith("top-k: off\n")


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--system", "a", "--system-file", "b"], 2, "two system messages"),
        (["--system-file", "-"], 2, "can't be stdin"),
        (["--system-file", "gone.txt"], 1, "gone.txt: can't be read"),
        (["--system", "x" * 200], 2, "too long"),
        (["--once", ""], 2, "an empty message"),
        (["--once", "a\udcff"], 2, "--once is not UTF-8"),
        (["--once", "x" * 200], 2, "too long"),
        (["--top-p", "2"], 2, "--top-p 2.0 must be"),
        (["--checkpoint", "77"], 1, "no checkpoint of step 77"),
        (["--device", "warp"], 2, "warp"),
    ],
)
def test_wrong_use(
    run: Run,
    capfd: Captured,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    part: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello\n")))
    found = main(["chat", run.id, *arguments])
    out, err = capfd.readouterr()
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert part in err


def test_a_run_that_never_read_a_dialogue_answers_and_says_so(
    run: Run, capfd: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    story = trained_run(tmp_path / "other")
    store = ("--runs-dir", str(tmp_path / "other" / "runs"))
    code, out, err = call(capfd, monkeypatch, b"", story.id, *store, "--once", "Hello")
    assert (code, out) == (2, "")  # its context is 16 bytes
    assert "the model reads 15 at most" in err
    assert f"note: {story.id} has never read a dialogue" in err
    assert f"maquette train chat-tune --set train.from={story.path}" in err


def test_what_could_steer_a_terminal_is_shown_and_not_obeyed() -> None:
    assert visible("a\x1b[2Jb\r\x00\x7f\x9b\tc\nd é") == "a␛[2Jb␍␀\ufffd\ufffd\tc\nd é"


# On a terminal. The decoder is replaced by one that writes until it is stopped.

CHILD = """
import sys, time
from maquette.generation import chat
def generate(model, ids, **how):
    yield from b"Well, "
    for _ in range(how["max_new_tokens"]):
        time.sleep(0.01)
        yield ord("a")
chat.generate = generate
from maquette.cli import main
sys.exit(main(sys.argv[1:]))
"""


class Terminal:
    """A program on a terminal of 40 columns."""

    def __init__(self, *arguments: str, term: str) -> None:
        self.master, slave = pty.openpty()
        self.name = os.ttyname(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, "chat", *arguments, "--device", "cpu"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": term},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = ""
        self._from = 0
        # The editor begins with bracketed paste.
        self._prompt = "> " if term == "dumb" else "\x1b[?2004h"

    def wait_for(self, text: str) -> None:
        """Read until this text comes, after what was waited for before."""
        assert self._comes(text, 60), f"{text!r} doesn't come after {self.seen[self._from :]!r}"

    def _comes(self, text: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while (at := self.seen.find(text, self._from)) < 0:
            left = max(0, deadline - time.monotonic())
            if not select.select([self.master], [], [], left)[0]:
                return False
            try:
                data = os.read(self.master, 4096)
            except OSError:  # the other side is closed
                data = b""
            assert data, f"it ended: {self.seen!r}"
            self.seen += data.decode(errors="replace")
        self._from = at + len(text)
        return True

    def interrupt_prompt(self, answer: str) -> None:
        """Press Ctrl-C until this is said to it.

        Python's input() shows its prompt before it waits for keys; a signal that comes in between
        is heard only with the next one.
        """
        for _ in range(12):
            self.type("\x03")
            if self._comes(answer, 5):
                return
        pytest.fail(f"Ctrl-C is not heard: {self.seen!r}")

    def wait_for_prompt(self) -> None:
        self.wait_for(self._prompt)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for its end; the exit code."""
        while True:  # a terminal's reader is what lets a program end
            try:
                if not os.read(self.master, 4096):
                    break
            except OSError:
                break
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.master >= 0:
            os.close(self.master)


@pytest.fixture
def pseudo_terminal(run: Run) -> Iterator[Any]:
    opened: list[Terminal] = []

    def begin(*arguments: str, term: str) -> Terminal:
        opened.append(Terminal(run.id, *arguments, term=term))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_a_chat_on_a_terminal(pseudo_terminal: Any, term: str, tmp_path: Path) -> None:
    chat = pseudo_terminal("--max-new-tokens", "100000", term=term)
    chat.wait_for_prompt()
    chat.type("Hello\r")
    chat.wait_for("Well, aaa")
    chat.type("\x03")
    chat.wait_for("(stopped; /retry asks again)")
    chat.wait_for_prompt()
    chat.interrupt_prompt("(Ctrl-D or /quit leaves)")
    chat.wait_for_prompt()
    chat.type("/nope\r")
    chat.wait_for("there is no /nope")
    chat.wait_for_prompt()
    chat.type("/max-new-tokens 3\r")
    chat.wait_for("max-new-tokens: 3")
    chat.wait_for_prompt()
    chat.type("two\\\rlines\r")
    chat.wait_for("Well, aaa")
    chat.wait_for("(ends at")
    chat.wait_for_prompt()
    chat.type("/save chat.json\r")
    chat.wait_for("saved to chat.json")
    chat.wait_for_prompt()
    chat.type("\x04")
    assert chat.end() == 0
    first, second, third, fourth = json.loads((tmp_path / "chat.json").read_text())["messages"]
    assert (first["content"], third["content"]) == ("Hello", "two\nlines")
    assert second["stopped"] is True
    assert second["content"].startswith("Well, aaa")
    assert fourth == {"role": "assistant", "content": "Well, aaa"}
    assert ("\x1b" in chat.seen) == (term != "dumb")
    assert "Traceback" not in chat.seen
    history = tmp_path / "state" / "maquette" / "chat-history"
    if term != "dumb":
        assert "+Hello\n" in history.read_text(encoding="utf-8")
        assert history.stat().st_mode & 0o777 == 0o600


def test_sigterm_at_the_prompt_leaves_the_terminal_as_it_was(pseudo_terminal: Any) -> None:
    chat = pseudo_terminal(term="xterm")
    shell = os.open(chat.name, os.O_RDWR | os.O_NOCTTY)  # as a shell would hold it
    try:
        before = termios.tcgetattr(shell)
        chat.wait_for_prompt()
        while termios.tcgetattr(shell) == before:
            time.sleep(0.01)
        chat.process.terminate()
        chat.wait_for("\x1b[?2004l")
        assert chat.process.wait(60) == 128 + signal.SIGTERM
        assert termios.tcgetattr(shell) == before
    finally:
        os.close(shell)


@pytest.mark.parametrize("answering", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_terminal_that_goes_away_ends_the_chat(pseudo_terminal: Any, answering: bool) -> None:
    chat = pseudo_terminal("--max-new-tokens", "100000", term="xterm")
    chat.wait_for_prompt()
    if answering:
        chat.type("Hello\r")
        chat.wait_for("Well, aaa")
    os.close(chat.master)
    chat.master = -1
    assert chat.process.wait(60) in (0, 1, -signal.SIGHUP)


def test_a_history_stays_small_and_one_that_cannot_be_kept_is_no_reason_not_to_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(editing, "HISTORY_BYTES", 200)
    for number in range(20):
        editing._history().store_string(f"message {number}\nof two lines")
    path = tmp_path / "maquette" / "chat-history"
    assert path.stat().st_size < 300
    kept = list(editing._history().load_history_strings())
    assert kept[0] == "message 19\nof two lines"
    assert kept == [f"message {n}\nof two lines" for n in range(19, 19 - len(kept), -1)]
    path.unlink()
    path.mkdir()  # nothing can be written there
    history = editing._history()
    history.append_string("Hello")
    assert history.get_strings() == ["Hello"]
