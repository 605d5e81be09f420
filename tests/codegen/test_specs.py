"""Any valid spec gives a project of sound Python, whatever its strings say."""

import ast
import dataclasses
import re
import sys
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maquette.blueprint.resolve import resolve
from maquette.ejecting import project_files
from maquette.facts import DataFacts, SplitFacts
from maquette.spec.schema import Spec
from tests.codegen.test_render import HOSTILE

FACTS = SplitFacts(documents=10, tokens=200_000, bytes=400_000)


def eject(spec: Spec) -> dict[str, str]:
    vocabulary = 256 if spec.tokenizer.kind == "bytes" else spec.tokenizer.vocabulary
    splits = {"train": FACTS, "validation": FACTS}
    facts = DataFacts(vocabulary, dict.fromkeys(spec.data.sources, splits))
    files = project_files(spec, resolve(spec, facts), spec_text="name: any\n")
    return {name: text.decode() for name, text in files.items()}


def compiled(text: str) -> CodeType:
    """Its code; most files differ in nothing but the origin that they name."""
    return _compiled(re.sub(r"^Made by .*$", "", text, flags=re.MULTILINE))


@cache
def _compiled(text: str) -> CodeType:
    return compile(text, "project", "exec", dont_inherit=True)


def run_modules(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Import every module of a project, none of which is on a disk."""
    import importlib.abc
    import importlib.machinery

    names = {name.removesuffix(".py"): text for name, text in files.items() if "/" not in name}
    names = {name: text for name, text in names.items() if f"{name}.py" in files}

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(
            self, fullname: str, path: object, target: object = None
        ) -> importlib.machinery.ModuleSpec | None:
            if fullname not in names:
                return None
            return importlib.machinery.ModuleSpec(fullname, self)

        def exec_module(self, module: Any) -> None:
            module.__file__ = f"/nowhere/{module.__name__}.py"
            exec(compiled(names[module.__name__]), module.__dict__)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
        kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
        try:
            return {name: vars(importlib.import_module(name)) for name in sorted(names)}
        finally:
            for name in names:
                sys.modules.pop(name, None)
            sys.modules.update(kept)


WRITABLE = [text for text in HOSTILE if "\ud800" not in text]  # a spec is UTF-8
hostile = st.sampled_from(WRITABLE) | st.text(min_size=1, max_size=40)
fractions = st.floats(0.001, 0.8)


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    """A source of any kind; its strings are anything."""
    paths = hostile.filter(lambda t: t.strip() != "")
    made: dict[str, Any] = draw(
        st.one_of(
            st.fixed_dictionaries(
                {"kind": st.just("stories"), "stories": st.integers(100, 10**6)},
                optional={"seed": st.integers(0, 2**62)},
            ),
            st.fixed_dictionaries(
                {
                    "kind": st.just("files"),
                    "path": paths | st.lists(paths, min_size=1, max_size=3),
                    "validation_fraction": fractions,
                },
                optional={"separator": hostile, "test_path": paths},
            ),
            st.fixed_dictionaries(
                {"kind": st.just("notes"), "path": paths, "clean": st.booleans()}
            ),
            st.fixed_dictionaries({"kind": st.just("dialogues")}, optional={"path": paths}),
            st.fixed_dictionaries({"kind": st.just("wikitext")}, optional={"path": paths}),
            st.fixed_dictionaries({"kind": st.just("hub"), "dataset": st.just("a/b")}),
        )
    )
    return made


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Any spec that is valid."""
    head_dim, heads = draw(st.sampled_from([8, 16])), draw(st.sampled_from([1, 2, 4]))
    names = draw(
        st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), max_size=3, unique=True)
    )
    weighted = draw(st.booleans())
    found = {name: draw(sources()) for name in names or ["text"]}
    if weighted:
        found = {name: {**part, "weight": draw(fractions)} for name, part in found.items()}
    chat = all(part["kind"] == "dialogues" for part in found.values()) and draw(st.booleans())
    model = {
        "depth": draw(st.integers(1, 3)),
        "width": head_dim * heads,
        "heads": heads,
        "kv_heads": draw(st.sampled_from([None, 1, heads])),
        "context": draw(st.integers(8, 64)),
        "position": draw(st.sampled_from(["learned", "rope"])),
        "norm": draw(st.sampled_from(["layer", "rms"])),
        "mlp": draw(st.sampled_from(["gelu", "swiglu", "relu2"])),
        "qk_norm": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "tie_embeddings": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.1])),
    }
    train = {
        "steps": draw(st.integers(1, 10**6)),
        "batch_size": draw(st.sampled_from([1, 4, 6])),
        "learning_rate": draw(st.floats(1e-6, 1.0)),
        "optimizer": {"kind": draw(st.sampled_from(["adamw", "muon"]))},
        "schedule": {"kind": draw(st.sampled_from(["cosine", "linear", "constant", "wsd"]))},
        "gradient_clip": draw(st.none() | st.floats(0.1, 10)),
        "average": draw(st.sampled_from([0.0, 0.95])),
        "objective": "chat" if chat else "text",
        "evaluate": {"patience": draw(st.none() | st.integers(1, 9))},
        "sample": {
            "prompt": draw(st.just("") | hostile),
            "top_k": draw(st.none() | st.integers(1, 99)),
        },
    }
    bpe = {"kind": "bpe", "vocabulary": draw(st.integers(261, 5000))}
    return Spec.model_validate(
        {
            "name": draw(st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)),
            "seed": draw(st.integers(0, 2**62)),
            "model": model,
            "tokenizer": draw(st.sampled_from([{"kind": "bytes"}, bpe])),
            "data": {"sources": found},
            "train": train,
        }
    )


def check(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    files = eject(spec)
    for name, text in files.items():
        if name.endswith(".py"):
            compiled(text)
            assert all(line == line.rstrip() for line in text.split("\n")), name
    modules = run_modules(files, monkeypatch)
    shape = modules["model"]["SHAPE"]
    assert shape.width == spec.model.width
    assert dataclasses.asdict(shape)["mlp"] == spec.model.mlp
    prompt = spec.train.sample.prompt
    tree = ast.parse(files["train.py"])
    [written] = [
        k.value
        for k in ast.walk(tree)
        if isinstance(k, ast.keyword) and k.arg == "prompt" and isinstance(k.value, ast.Constant)
    ]
    assert isinstance(written, ast.Constant)
    assert written.value == prompt


@given(specs())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_spec_gives_a_project_that_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, spec: Spec
) -> None:
    check(spec, monkeypatch)


@pytest.mark.slow
@given(specs())
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
def test_two_thousand_specs_give_projects(monkeypatch: pytest.MonkeyPatch, spec: Spec) -> None:
    check(spec, monkeypatch)


def worded(word: str) -> Spec:
    source = {"kind": "files", "path": [word, word], "separator": word}
    return Spec.model_validate(
        {"data": {"sources": {"text": source}}, "train": {"sample": {"prompt": word}}}
    )


@pytest.fixture(scope="module")
def plain() -> dict[str, str]:
    return without_words(eject(worded("plain")))


@pytest.mark.parametrize("text", WRITABLE)
def test_a_hostile_string_changes_no_code(text: str, plain: dict[str, str]) -> None:
    found = without_words(eject(worded(text)))
    assert found.keys() == plain.keys()
    assert [name for name in plain if found[name] != plain[name]] == []


def without_words(files: dict[str, str]) -> dict[str, str]:
    """The files less what may differ: strings in code, and the blueprint."""
    said = {name: text for name, text in files.items() if name != "blueprint.json"}
    return {
        name: without_strings(text) if name.endswith(".py") else without_hash(text)
        for name, text in said.items()
    }


def without_strings(code: str) -> str:
    tree = ast.parse(without_hash(code))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def without_hash(text: str) -> str:
    return re.sub(r"blueprint [0-9a-f]{16}", "blueprint", text)


def test_names_are_checked_before_they_stand_in_prose(tmp_path: Path) -> None:
    spec = Spec()
    splits = {"train": FACTS, "validation": FACTS}
    blueprint = resolve(spec, DataFacts(256, {"stories": splits}))
    for name in WRITABLE:
        forged = dataclasses.replace(blueprint, name=name)
        with pytest.raises(ValueError, match="plain word"):
            project_files(spec, forged, spec_text="name: any\n")
