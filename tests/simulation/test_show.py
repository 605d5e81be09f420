"""The show: its invariants for many seeds, the same bytes for the same seed, any width."""

import dataclasses
import hashlib
import itertools
import json
import re

import pytest

from maquette.events import Finished, Note, StepDone
from maquette.simulation.hardware import parse_cluster, read_data
from maquette.simulation.paint import Painter, chunks, clip, plain
from maquette.simulation.rehearsal import Work, rehearse
from maquette.simulation.show import show
from maquette.simulation.simulate import simulate
from maquette.simulation.story import MODULES, Story, retell, tell
from maquette.simulation.workload import gpt_workload
from tests.simulation.invariants import check, check_events, check_lines
from tests.simulation.shapes import llama3_8b

QUICK = 50
MANY = 10_000


@pytest.mark.parametrize("part", range(5))
def test_every_story_agrees_with_itself(part: int) -> None:
    modules = list(MODULES)
    for seed in range(part * QUICK // 5, (part + 1) * QUICK // 5):
        check(modules[seed % len(modules)], seed)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(100))
def test_ten_thousand_stories_agree_with_themselves(part: int) -> None:
    modules = list(MODULES)
    for seed in range(part * MANY // 100, (part + 1) * MANY // 100):
        check(modules[seed % len(modules)], 1000 + seed)


def test_the_checks_can_fail() -> None:
    story = tell("llm_training", 2)
    lines = list(show(story, width=60))
    for wrong in (
        [line._replace(text=line.text.replace("perplexity ", "perplexity 9")) for line in lines],
        [line for line in lines if "model-00001" not in line.text],
        [line._replace(text=line.text + " " * 60) for line in lines],
    ):
        with pytest.raises(AssertionError):
            check_lines(story, wrong)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    digests = {_digest(module, seed) for module in MODULES for seed in (1, 2)}
    assert len(digests) == 6
    assert digests == {_digest(module, seed) for module in MODULES for seed in (1, 2)}


def _digest(module: str, seed: int) -> str:
    lines = show(tell(module, seed), width=72, coloured=True)  # type: ignore[arg-type]
    text = "".join(text for text, _ in chunks(lines, live=True))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 104, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for line in show(tell("llm_training", 5), width=width, coloured=True):
        assert len(plain(line.text)) <= width
        assert line.text.count("\x1b[") % 2 == 0  # every colour ends


def test_without_colours_nothing_but_text_is_written() -> None:
    text = "".join(text for text, _ in chunks(show(tell("chat_tuning", 1)), live=False))
    assert "\x1b" not in text
    assert "\r" not in text
    assert text.count("\n") > 300


def test_colours_change_nothing_else() -> None:
    story = tell("image_training", 4)
    coloured = [plain(line.text) for line in show(story, coloured=True)]
    assert coloured == [line.text for line in show(story)]


def test_passing_lines_give_way_to_the_next() -> None:
    p = Painter(20, coloured=False)
    lines = [p.line("one", 1.0), p.line("half", 0.5, passing=True), p.line("two", 2.0)]
    assert list(chunks(lines, live=True)) == [
        ("one\n", 1.0),
        ("half", 0.5),
        ("\r\x1b[2Ktwo\n", 2.0),
    ]
    assert list(chunks(lines, live=False)) == [("one\n", 1.0), ("", 0.5), ("two\n", 2.0)]


def test_a_line_is_cut_with_its_colours() -> None:
    text = Painter(80, coloured=True).paint("abcdef", "red")
    assert clip(text, 3) == "\x1b[31mabc\x1b[0m"
    assert clip(text, 6) == text


def _with(kind: str) -> Story:
    for seed in range(100):
        story = tell("llm_training", seed)
        if any(incident.kind == kind for incident in story.incidents):
            return story
    raise AssertionError(kind)


def test_a_failure_goes_back_to_the_last_checkpoint() -> None:
    story = _with("failure")
    events = [event for _, event in simulate(story)]
    steps = [event.step for event in events if isinstance(event, StepDone)]
    assert any(later <= earlier for earlier, later in itertools.pairwise(steps))
    assert any(isinstance(event, Note) and "is lost" in event.text for event in events)
    calm = [event.step for _, event in simulate(story.calm()) if isinstance(event, StepDone)]
    assert calm == sorted(set(calm))


def test_a_lost_server_is_not_seen_again() -> None:
    for seed in range(40):
        story = tell("llm_training", seed)
        lost: list[str] = []
        for text in (line.text for line in show(story)):
            if match := re.fullmatch(r"  ! (\S+) is lost: .*", text):
                lost.append(match[1])
            elif not text.startswith("    "):
                assert not any(host in text.split() for host in lost), text
        assert len(lost) == len(set(lost))


def test_nothing_goes_back_to_before_the_first_checkpoint() -> None:
    for module, seed in itertools.product(MODULES, range(200)):
        story = tell(module, seed)
        assert all(incident.step >= story.checkpoint_every for incident in story.incidents)


def test_amd_servers_have_no_troubles_of_nvidia() -> None:
    words = json.dumps(read_data("show")["makers"]["amd"])
    assert "Xid" not in words
    assert "NVLink" not in words
    stories = [tell("image_training", seed) for seed in range(40)]
    assert {"AMD" in s.rehearsal.cluster.device.name for s in stories} == {True, False}
    for story in stories:
        assert ("AMD" in story.rehearsal.cluster.device.name) == story.library.startswith("RCCL")


def test_what_goes_wrong_is_said_to_its_end_in_a_narrow_pipe() -> None:
    story = _with("spike")
    said = " ".join(line.text.strip() for line in show(story, width=60))
    for _, event in simulate(story):
        if isinstance(event, Note):
            assert event.text in said


def _rehearsed(
    cluster: str, steps: int, *, epochs: float = 1.0, final_loss: float | None = None
) -> Story:
    shape = dataclasses.replace(llama3_8b(512), position="learned", norm="layer", mlp="gelu")
    return retell(
        rehearse(Work(gpt_workload(shape), 64, steps), parse_cluster(cluster)),
        name="mine",
        shape=shape,
        epochs=epochs,
        learning_rate=1e-3,
        warmup_steps=10,
        final_loss=final_loss,
        seed=1,
    )


@pytest.mark.parametrize("steps", [*range(1, 12), 30, 199, 201, 5000])
def test_a_rehearsal_of_any_length_comes_to_its_end(steps: int) -> None:
    story = _rehearsed("h100x16", steps, epochs=2.4)
    check_events(story)
    said = [line.text for line in show(story, width=60) if not line.passing]
    assert any(f"of {steps:,} steps" in text for text in said)
    assert any(text.startswith("  epoch 3/3 ") and " 40%" in text for text in said)
    assert any("each seen 2.4 times" in text for text in said)


def test_a_rehearsal_tells_of_the_spec_alone() -> None:
    said = "\n".join(line.text for line in show(_rehearsed("m2-ultra", 10, epochs=0.25)))
    assert "rehearsed on m2-ultra, losses made up" in said
    assert "learned positions, LayerNorm, GELU" in said
    assert "25.0% of them seen" in said
    for word in ("NCCL", "byte-level", "  size ", "large cluster", "is lost"):
        assert word not in said
    told = "\n".join(line.text for line in show(_rehearsed("h100x16", 10, final_loss=2.5)))
    assert "made up" not in told


def test_a_rehearsal_fails_as_often_as_it_expects_to() -> None:
    short, long = _rehearsed("h100x512", 1000), _rehearsed("h100x512", 10**9)
    assert short.rehearsal.failures < 0.1
    assert not short.incidents
    assert long.rehearsal.failures > 5
    assert any(incident.kind == "failure" for incident in long.incidents)


def test_the_loss_falls_as_losses_do() -> None:
    story = dataclasses.replace(tell("llm_training", 2), incidents=())
    losses = [event.loss for _, event in simulate(story) if isinstance(event, StepDone)]
    tenth = len(losses) // 10
    means = [sum(losses[i * tenth : (i + 1) * tenth]) / tenth for i in range(10)]
    assert means[0] - means[1] > means[1] - means[2] > means[5] - means[6]
    assert losses[-1] == pytest.approx(story.final_loss, rel=0.05)


def test_some_tunings_stop_early() -> None:
    ends = []
    for seed in range(20):
        *_, (_, last) = simulate(tell("chat_tuning", seed))
        assert isinstance(last, Finished)
        ends.append(last.reason)
    assert {"early_stop", "completed"} == set(ends)
