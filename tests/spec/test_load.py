import glob
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maquette.errors import SpecError
from maquette.spec.load import (
    load_spec,
    parse_spec,
    preset_names,
    preset_text,
    read_spec_text,
)
from maquette.spec.parts import AdamW, Muon
from maquette.spec.schema import (
    BPETokenizer,
    FilesSource,
    Spec,
    StoriesSource,
)
from maquette.spec.task import AnySpec, language, validate


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse_spec(text, origin="specs/notes.yaml", overrides=overrides)
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: a\nmodel:\n  width: 256\n  heads: 6\n",
            "4: model.heads=6 does not divide model.width=256; try 4 or 8",
        ),
        (
            "name: a\nmodel:\n  width: 250\n",
            "3: model.heads=4 does not divide model.width=250; try 1 or 5",
        ),
        (
            "model: {width: 250, position: learned, heads: 4}",
            "1: model.heads=4 does not divide model.width=250; try 2 or 5",
        ),
        (
            "model: {width: 251}",
            "1: model.heads=4 does not divide model.width=251; make width even",
        ),
        (
            "model: {width: 36, heads: 4}",
            "1: model.heads=4 gives heads of 9 channels, an odd number, which position: rope "
            "can't rotate in pairs; try heads 3 or 6",
        ),
        (
            "model:\n  heads: 4\n  kv_heads: 3",
            "3: model.kv_heads=3 does not divide model.heads=4; try 2 or 4",
        ),
        (
            "train:\n  steps: 4\n  epochs: 2",
            "2: train.steps=4 and train.epochs=2 are both given; keep one "
            "(--set train.steps=null drops it)",
        ),
        (
            "train: {accumulation: 5}",
            "1: train.accumulation=5 does not divide train.batch_size=32; try 4 or 8",
        ),
        (
            "train:\n  steps: 40\n  schedule:\n    warmup_steps: 50",
            "4: train.schedule.warmup_steps=50 is more than train.steps=40; try 2",
        ),
    ],
)
def test_impossible_combinations(text: str, message: str) -> None:
    assert refusal(text) == f"specs/notes.yaml:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model:\n  postion: rope",
            "2: model.postion=rope is not a known key; did you mean position?",
        ),
        ("name: a\nmodle: {}", "2: modle={} is not a known key; did you mean model?"),
        (
            "tokenizer:\n  vocabulary: 512",
            "2: tokenizer.vocabulary=512 is not a known key; kind: bpe has it, kind: bytes has not",
        ),
        ("tokenizer: {kind: bpee}", "1: tokenizer.kind=bpee is unknown; did you mean bpe?"),
        ("tokenizer: {kind: 3}", "1: tokenizer.kind=3 is unknown; it can be bytes, bpe"),
        ("tokenizer: bpe", "1: tokenizer=bpe must be {kind: bytes | bpe, ...}; write {kind: bpe}"),
        ("model: [1]", "1: model=[...] must be a mapping of keys"),
        ("model:\nname: a", "1: model=null must be a mapping of keys"),
        (
            "model: {depth: '6'}",
            '1: model.depth="6" must be a whole number; write 6 without quotes',
        ),
        ("model: {depth: 6.0}", "1: model.depth=6.0 must be a whole number; write 6"),
        ("model: {depth: 2e1}", "1: model.depth=2e1 must be a whole number; write 20"),
        ("model: {width: 1_024}", "1: model.width=1_024 must be a whole number; write 1024"),
        ("train: {steps: 20k}", "1: train.steps=20k must be a whole number or null; write 20000"),
        ("model: {bias: no}", "1: model.bias=no must be true or false; write false"),
        ("model: {bias: 1}", "1: model.bias=1 must be true or false"),
        ("model: {depth: true}", "1: model.depth=true must be a whole number"),
        ("train: {compile: maybe}", "1: train.compile=maybe must be true, false or auto"),
        (
            "model: {mlp: geglu}",
            "1: model.mlp=geglu must be gelu, swiglu or relu2; did you mean gelu?",
        ),
        ("train:\n  batch_size: 0", "2: train.batch_size=0 must be from 1 to 1048576"),
        ("model: {dropout: 1}", "1: model.dropout=1 must be at least 0, below 1"),
        (
            "train: {learning_rate: .nan}",
            "1: train.learning_rate=.nan must be a finite number, above 0, at most 10",
        ),
        (
            "train: {learning_rate: 1e999}",
            "1: train.learning_rate=1e999 must be a finite number, above 0, at most 10",
        ),
        ("seed: -1", "1: seed=-1 must be at least 0, below 2^63"),
        (
            "name: My Model",
            "1: name=My Model must be lower case letters, digits and hyphens (at most 64) "
            "and begin with a letter; try my-model",
        ),
        (
            "data:\n  sources:\n    A b: {kind: stories}",
            "3: the name data.sources.A b must be lower case letters, digits and hyphens "
            "(at most 64) and begin with a letter; try a-b",
        ),
        (
            "data: {sources: {}}",
            "1: data.sources={} is empty; give it at least one, or leave the key out",
        ),
        (
            "data:\n  sources:\n    a: {}\n",
            "3: data.sources.a.kind is missing; add kind: stories or files or wikitext or hub "
            "or notes or dialogues",
        ),
        (
            "data:\n  sources:\n    files:\n      kind: files\n",
            "3: data.sources.files.path is missing; add it: A file, a glob such as "
            "`texts/**/*.txt`, or a list of them; relative to the spec.",
        ),
        (
            "data:\n  sources:\n    a:\n      kind: files\n      path:\n        - b\n        - 4\n",
            '7: data.sources.a.path.1=4 must be text; put it in quotes: "4"',
        ),
        (
            "data: {sources: {a: {kind: files, path: 3}}}",
            '1: data.sources.a.path=3 must be text or a list of text; put it in quotes: "3"',
        ),
        (
            "data: {sources: {a: {kind: hub, dataset: ../x}}}",
            "1: data.sources.a.dataset=../x must look like owner/name, of letters, digits, "
            "'_', '-' and '.'",
        ),
    ],
)
def test_one_wrong_value(text: str, message: str) -> None:
    assert refusal(text) == f"specs/notes.yaml:{message}"


def test_all_errors_are_shown_in_the_order_of_the_file() -> None:
    lines = refusal("train: {steps: x}\nmodel: {depth: 0}\nname: A\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "2", "3"]
    many = refusal("\n".join(f"key{i}: {i}" for i in range(50))).splitlines()
    assert len(many) == 21
    assert many[-1] == "... and 30 more"


def test_hostile_values_are_cut_and_escaped() -> None:
    message = refusal('name: "\\e[31m' + "x" * 5000 + '"')
    assert message.isprintable()
    assert len(message) < 300
    assert refusal(f'"{"k" * 5000}\\n": 1').isprintable()


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null", "---\n...\n"])
def test_an_empty_spec_is_refused(text: str) -> None:
    assert "the spec is empty" in refusal(text)


@pytest.mark.parametrize("text", ["- a", "5", "just words"])
def test_a_spec_is_a_mapping(text: str) -> None:
    assert "a spec is a mapping of keys" in refusal(text)


def test_numbers_and_words_of_yaml_1_2() -> None:
    spec = parse_spec("name: no\ntrain: {learning_rate: 1e-4, gradient_clip: null}", origin="x")
    assert spec.name == "no"
    assert spec.train.learning_rate == 1e-4
    assert spec.train.gradient_clip is None


class TestOverrides:
    TEXT = (
        "name: a\ntokenizer: {kind: bpe, vocabulary: 512}\n"
        "data: {sources: {stories: {kind: stories}}}\ntrain: {steps: 10}\n"
    )

    def load(self, *overrides: str) -> Spec:
        return language(parse_spec(self.TEXT, origin="x.yaml", overrides=overrides))

    def test_values_of_every_kind(self) -> None:
        spec = self.load(
            "train.steps=20",
            "train.learning_rate=1e-4",
            "name=no",
            "data.sources.stories.stories=500",
            "train.sample.prompt=Once upon a time",
            "model.kv_heads=",
            "train.compile=false",
        )
        assert spec.train.steps == 20
        assert spec.train.learning_rate == 1e-4
        assert spec.name == "no"
        assert spec.data.sources["stories"] == StoriesSource(kind="stories", stories=500)
        assert spec.train.sample.prompt == "Once upon a time"
        assert spec.train.compile is False

    def test_a_later_one_wins(self) -> None:
        assert self.load("train.steps=20", "train.steps=30").train.steps == 30

    def test_a_whole_mapping(self) -> None:
        spec = self.load("tokenizer={kind: bpe, vocabulary: 300}")
        assert spec.tokenizer == BPETokenizer(kind="bpe", vocabulary=300)
        spec = self.load("data.sources={t: {kind: files, path: /t.txt}}")
        assert spec.data.sources == {"t": FilesSource(kind="files", path="/t.txt")}

    def test_a_new_source_key_by_key(self) -> None:
        spec = self.load("data.sources.t.kind=files", "data.sources.t.path=/t.txt")
        assert set(spec.data.sources) == {"stories", "t"}

    def test_another_kind_leaves_the_former_kinds_keys_behind(self) -> None:
        assert self.load("tokenizer.kind=bytes").tokenizer.kind == "bytes"
        spec = self.load("data.sources.stories.stories=500", "data.sources.stories.kind=hub",
                         "data.sources.stories.dataset=a/b")  # fmt: skip
        assert spec.data.sources["stories"].kind == "hub"
        text = "train: {optimizer: {kind: muon, momentum: 0.9, weight_decay: 0.3}}"
        spec = language(parse_spec(text, origin="x", overrides=["train.optimizer.kind=adamw"]))
        assert spec.train.optimizer == AdamW(weight_decay=0.3)

    def test_a_default_kind_stays(self) -> None:
        assert self.load("train.optimizer.weight_decay=0").train.optimizer == AdamW(weight_decay=0)
        spec = self.load("train.optimizer.kind=muon", "train.optimizer.momentum=0.9")
        assert spec.train.optimizer == Muon(kind="muon", momentum=0.9)

    @pytest.mark.parametrize(
        ("override", "words"),
        [
            ("train.steps=abc", "train.steps=abc must be a whole number"),
            ("train.stpes=3", "train.stpes=3 is not a known key; did you mean steps?"),
            ("tokenizer={kind: bpe, vocabulary: 12}", "tokenizer.vocabulary=12 must be from 261"),
            ("tokenizer={kind: bpe, kind: bytes}", "the key kind is given twice; keep one of them"),
            ("train.epochs=3", ""),
            ("model.heads=6", "does not divide"),
            ("name.first=1", "name has no keys of its own"),
            ("name", "write it as key=value"),
            ("=3", "write it as key=value"),
            ("a..b=3", "write it as key=value"),
            ("a.b.c.d.e.f.g.h.i.j=3", "at most 4 names"),
            ("name=[", "not valid YAML"),
            ("name=" + "[" * 1000, "nested more than 32 deep"),
            ("name=a\n---\nb", "second document"),
        ],
    )
    def test_errors_name_the_option(self, override: str, words: str) -> None:
        with pytest.raises(SpecError) as caught:
            self.load(override)
        message = caught.value.message
        assert words in message
        if words:
            assert message.startswith(f"--set {override[:30].splitlines()[0]}")
        else:
            assert message.startswith("x.yaml:4: train.steps=10 and train.epochs=3 are both given")


class TestFiles:
    def test_paths_start_at_the_spec(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "specs").mkdir()
        (tmp_path / "here").mkdir()
        spec_file = tmp_path / "specs" / "a.yaml"
        spec_file.write_text(
            "data:\n  sources:\n"
            "    a: {kind: files, path: [t.txt, ../u/*.txt, /v.txt], test_path: ~/w.txt}\n"
            "    b: {kind: wikitext, path: wiki}\n"
            "    c: {kind: files, path: x.txt}\n"
        )
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        spec = load_spec("../specs/a.yaml", ["data.sources.c.path=y.txt"])
        a, b, c = (spec.data.sources[name] for name in "abc")
        assert isinstance(a, FilesSource)
        folder = tmp_path / "here" / ".." / "specs"
        assert a.path == [f"{folder}/t.txt", f"{folder}/../u/*.txt", "/v.txt"]
        assert a.test_path == str(tmp_path / "home" / "w.txt")
        assert a.validation_path is None
        assert getattr(b, "path", None) == f"{folder}/wiki"
        assert getattr(c, "path", None) == str(tmp_path / "here" / "y.txt")

    def test_paths_of_notes_and_dialogues_start_there_too(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_text(
            "data:\n  sources:\n    a: {kind: notes, path: vault}\n"
            "    b: {kind: dialogues, path: c/*.jsonl, test_path: [t.txt]}\n"
            "    c: {kind: dialogues}\n"
        )
        found = [source.model_dump() for source in load_spec(file).data.sources.values()]
        assert found[0]["path"] == str(tmp_path / "vault")
        assert found[1]["path"] == str(tmp_path / "c/*.jsonl")
        assert found[1]["test_path"] == [str(tmp_path / "t.txt")]
        assert found[2]["path"] is None

    def test_a_folder_with_glob_characters(self, tmp_path: Path) -> None:
        folder = tmp_path / "a[1]"
        folder.mkdir()
        (folder / "t.txt").write_text("text")
        (folder / "s.yaml").write_text("data: {sources: {a: {kind: files, path: '*.txt'}}}")
        source = load_spec(folder / "s.yaml").data.sources["a"]
        assert isinstance(source, FilesSource)
        assert isinstance(source.path, str)
        assert glob.glob(source.path) == [str(folder / "t.txt")]  # noqa: PTH207

    def test_a_byte_order_mark_and_windows_lines(self, tmp_path: Path) -> None:
        file = tmp_path / "a.yaml"
        file.write_bytes(b"\xef\xbb\xbfname: a\r\nseed: 3\r\n")
        assert load_spec(file).seed == 3

    def test_files_that_are_no_spec(self, tmp_path: Path) -> None:
        binary = tmp_path / "binary.yaml"
        binary.write_bytes(b"name: a\n\x80\xff\x00")
        empty = tmp_path / "empty.yaml"
        empty.write_text("")
        large = tmp_path / "large.yaml"
        large.write_bytes(b"#" * (2**20 + 1))
        for path, words in {
            tmp_path / "missing.yaml": "there is no such file",
            tmp_path: "this is a folder",
            binary: "binary.yaml:2: not UTF-8 text (byte 0x80)",
            empty: "the spec is empty",
            large: "larger than 1 MiB",
            tmp_path / "a\0b": "can't be read",
            tmp_path / ("x" * 5000): "can't be read",
            empty / "below": "can't be read",
        }.items():
            with pytest.raises(SpecError) as caught:
                load_spec(path)
            assert words in caught.value.message
            assert len(caught.value.message) < 400

    def test_a_missing_file_suggests_presets(self) -> None:
        with pytest.raises(SpecError) as caught:
            load_spec("lama")
        assert caught.value.hint is not None
        assert f"did you mean llama? presets: {', '.join(preset_names())}" in caught.value.hint
        with pytest.raises(SpecError, match="no preset is called lama"):
            preset_text("lama")

    def test_a_file_wins_over_a_preset_but_a_folder_does_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "llama").write_text("name: mine\n")
        (tmp_path / "stories").mkdir()
        assert load_spec("llama").name == "mine"
        assert read_spec_text("llama") == "name: mine\n"
        assert load_spec("stories").name == "stories"
        assert read_spec_text("stories") == preset_text("stories")

    def test_errors_in_a_file_name_it_as_it_was_typed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "a.yaml").write_text("seed: x\n")
        with pytest.raises(SpecError, match=re.escape("a.yaml:1: seed=x must be")):
            load_spec("a.yaml")


def test_presets_are_sound_and_carry_their_names() -> None:
    promised = {"fast", "gpt2", "llama", "stories", "tinyshakespeare", "wikitext2"}
    assert promised <= set(preset_names())
    for name in preset_names():
        assert load_spec(name).name == name


def test_a_spec_survives_json() -> None:
    for name in preset_names():
        spec = load_spec(name)
        assert validate(spec.model_dump(mode="json")) == spec


_KEYS = (
    *("name", "seed", "model", "depth", "width", "heads", "tokenizer", "kind", "data", "sources"),
    *("path", "files", "hub", "dataset", "train", "steps", "optimizer", "schedule", "[key]"),
)
_VALUES: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["bpe", "files", "stories", "muon", "auto", "rope", "[key]", "str"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_OVERRIDES = st.builds(
    "{}={}".format,
    st.sampled_from(["model", "data.sources.a", "train.optimizer.kind", "tokenizer.kind", "x.y"]),
    st.text(max_size=12),
)


def _refusal(load: Callable[[], AnySpec]) -> str:
    """The message, or '' where the spec is sound."""
    try:
        load()
    except SpecError as error:
        return error.message
    return ""


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["model", "tokenizer", "data", "train", "x"]), _VALUES),
    st.lists(_OVERRIDES, max_size=2),
)
def test_any_tree_is_a_spec_or_is_refused(tree: dict[str, object], overrides: list[str]) -> None:
    text = json.dumps(tree).replace("NaN", ".nan").replace("Infinity", ".inf")
    message = _refusal(lambda: parse_spec(text, origin="junk", overrides=overrides))
    assert all(line.isprintable() for line in message.split("\n"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_file_is_a_spec_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "junk.yaml"
    file.write_bytes(raw)
    message = _refusal(lambda: load_spec(file))
    assert not message or "junk.yaml" in message
