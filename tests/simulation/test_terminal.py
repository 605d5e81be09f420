"""What is shown and when, without a terminal; and the options of a page's address."""

import itertools
import time

import pytest

from maquette.cli import main
from maquette.errors import UsageError
from maquette.simulation.paint import plain
from maquette.simulation.terminal import (
    AGAIN,
    Options,
    Piece,
    from_address,
    perform,
    play,
    stories,
    to_address,
)

ONE = Options(modules=("chat_tuning",), exit_after_modules=1, seed=3)


def pieces(options: Options, *, width: int = 80, live: bool = False) -> list[Piece]:
    told = stories(options)
    return list(play(told, options, width=lambda: width, coloured=live, live=live))


def test_the_speed_divides_every_pause() -> None:
    slow = pieces(ONE)
    fast = pieces(Options(modules=("chat_tuning",), exit_after_modules=1, seed=3, speed_factor=4))
    assert [piece.text for piece in fast] == [piece.text for piece in slow]
    assert [4 * piece.seconds for piece in fast] == [piece.seconds for piece in slow]


def test_so_many_lines_are_there_at_once() -> None:
    options = Options(
        modules=("chat_tuning",), exit_after_modules=1, seed=3, instant_print_lines=40
    )
    for live in (False, True):
        shown, lines = pieces(options, live=live), 0
        for text, seconds in shown:
            if lines < 40:
                assert seconds == 0
            lines += text.endswith("\n")
        assert any(piece.seconds for piece in shown)


def test_a_width_counts_from_the_next_story_on() -> None:
    widths = iter((60, 100))
    options = Options(modules=("chat_tuning",), exit_after_modules=2, seed=3)
    told = play(stories(options), options, width=lambda: next(widths), coloured=False, live=False)
    titles = [text for text, _ in told if text.endswith("─\n")]
    assert [len(title) - 1 for title in titles] == [60] * (len(titles) // 2) + [100] * (
        len(titles) // 2
    )


def test_time_ends_it_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    options = Options(seed=1, exit_after_seconds=30)
    told = play(stories(options), options, width=lambda: 80, coloured=False, live=True)
    last = Piece("", 0.0)
    for last in told:
        now[0] += 1.5 * last.seconds  # a slow terminal
    assert 30 <= now[0] <= 45
    assert last == ("\n", 0.0)


def test_without_an_end_there_is_none() -> None:
    told = play(
        stories(Options(seed=1)), Options(seed=1), width=lambda: 60, coloured=False, live=False
    )
    text = "".join(text for text, _ in itertools.islice(told, 5000))
    assert text.count("\nsummary ") >= 2


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(modules=("llm_training",), speed_factor=5),
        Options(
            modules=("chat_tuning", "image_training"),
            speed_factor=0.125,
            instant_print_lines=100,
            exit_after_seconds=7800.5,
            exit_after_modules=3,
            seed=-4,
        ),
    ],
)
def test_an_address_says_what_options_do(options: Options) -> None:
    assert from_address(to_address(options)) == options


def test_an_address_is_read_as_people_write_it() -> None:
    assert to_address(Options(modules=("llm_training",), speed_factor=5)) == (
        "?module=llm_training&speed-factor=5"
    )
    given = "module=llm_training&module=chat_tuning&exit-after-time=2h10min&seed=&fbclid=x&ref=y"
    assert from_address(given) == Options(
        modules=("llm_training", "chat_tuning"), exit_after_seconds=7800
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("module", "image"),
        ("module", "quantum"),
        ("speed-factor", "0"),
        ("speed-factor", "nan"),
        ("seed", "x"),
        ("instant-print-lines", "-1"),
        ("exit-after-modules", "0"),
        ("exit-after-modules", "1.5"),
        ("exit-after-time", "soon"),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        from_address(f"?{name}={value}")
    assert main(["simulate", f"--{name}={value}"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {caught.value.message}\n")
    assert caught.value.hint is None or caught.value.hint in told


@pytest.mark.parametrize("name", ["speed_factor", "speed", "modules", "exit-after-tim"])
def test_a_name_that_is_nearly_one_of_ours_is_told(name: str) -> None:
    with pytest.raises(UsageError, match=f"No such option: --{name}") as caught:
        from_address(f"{name}=5")
    assert "did you mean --" in str(caught.value.hint)


def test_a_page_shows_it_and_how_to_begin_again() -> None:
    query = "module=chat_tuning&seed=3&exit-after-modules=1"
    shown = list(perform(query, lambda: 70))
    assert shown[:-1] == pieces(ONE, width=70, live=True)
    assert plain(shown[-1].text) == f"{AGAIN}\n"


def test_a_page_shows_what_is_wrong() -> None:
    (shown,) = perform("module=image", lambda: 70)
    assert plain(shown.text).splitlines() == [
        "error: --module image: there is no such module",
        "  did you mean image_training? there are llm_training, image_training, chat_tuning",
    ]
