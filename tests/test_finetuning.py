"""A run that begins from another one, and learns what the assistant says."""

import dataclasses
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from maquette.base import inherit, load_spec
from maquette.blueprint.resolve import resolve
from maquette.build import Training
from maquette.cli import main
from maquette.data.prepare import data_key, prepare
from maquette.errors import CheckpointError, SpecError
from maquette.evaluation import evaluate_split, together
from maquette.events import CheckpointSaved, Evaluated, StepDone
from maquette.loading import load_run_model
from maquette.models.gpt import GPT
from maquette.reading import language_blueprint, run_spec
from maquette.runs.control import starting_point
from maquette.runs.store import Run, Store
from maquette.spec.schema import Spec
from maquette.spec.task import language
from maquette.training.checkpoint import MODEL
from maquette.worker import work
from maquette.worker.training import create_run
from tests.training.tiny import tiny_spec

BPE = {"kind": "bpe", "vocabulary": 280}
WORDS = " the dog ran to the dog ran to the dog"
SELDOM = {"evaluate": {"every": 6, "windows": 4}, "sample": {"every": 12, "max_new_tokens": 2}}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


def store(folder: Path) -> Store:
    return Store(folder / "runs")


def base_run(
    folder: Path, *, tokenizer: dict[str, Any] | None = None, model: Any = None, **train: Any
) -> Run:
    """A trained run of a few steps."""
    value = tiny_spec(folder, model=model, **{"steps": 4, **SELDOM, **train}).model_dump()
    value = {**value, "name": "base", "tokenizer": tokenizer or {"kind": "bytes"}}
    spec = Spec.model_validate(value)
    run = create_run(spec, store(folder), spec_text="name: base\n", device="cpu")
    list(work(run))
    return run


def dialogues(folder: Path, count: int = 24) -> Path:
    """Dialogues of which a few tokens are the assistant's."""
    file = folder / "dialogues.txt"
    blocks = [
        f"<dialogue>\nuser: the cat {i} sat on a mat and ran to a hat\nassistant: {i} cats\n"
        f"user: and the dog {i}?\nassistant: no dog {i}\n</dialogue>\n"
        for i in range(count)
    ]
    file.write_text("".join(blocks), encoding="utf-8")
    return file


def chat_spec(folder: Path, *, begin: str | None = "base", model: Any = None, **train: Any) -> Spec:
    keys = {
        "name": "tuned",
        "seed": 5,
        "data": {
            "sources": {
                "talk": {
                    "kind": "dialogues",
                    "path": str(dialogues(folder)),
                    "validation_fraction": 0.3,
                }
            }
        },
        "train": {
            "steps": 12,
            "batch_size": 4,
            "precision": "float32",
            "compile": False,
            "objective": "chat",
            **SELDOM,
            **({"from": begin} if begin else {}),
            **train,
        },
    }
    return Spec.model_validate(keys if model is None else {**keys, "model": model})


def new_run(folder: Path, **keys: Any) -> Run:
    spec = chat_spec(folder, **keys)
    return create_run(spec, store(folder), spec_text="name: tuned\n", device="cpu")


def tensors(run: Run, which: int | str) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoint(which).path / MODEL)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def train_until(run: Run, last: int) -> None:
    events = work(run)
    for event in events:
        if isinstance(event, StepDone) and event.step == last:
            events.close()
            break


def steps(run: Run) -> list[tuple[int, float, float, int]]:
    return [
        (e.step, e.loss, e.gradient_norm, e.batch)
        for _, e in run.events()
        if isinstance(e, StepDone)
    ]


class TestWhatIsTakenOver:
    @pytest.mark.parametrize("average", [0.0, 0.9])
    @pytest.mark.parametrize("tokenizer", [{"kind": "bytes"}, BPE], ids=["bytes", "bpe"])
    def test_it_begins_with_the_weights_in_use_and_its_tokenizer(
        self, tmp_path: Path, tokenizer: dict[str, Any], average: float
    ) -> None:
        base = base_run(tmp_path, tokenizer=tokenizer, average=0.8)
        run = new_run(tmp_path, average=average)
        saved = next(event for event in work(run) if isinstance(event, CheckpointSaved))
        assert saved.step == 0, "before any step"
        assert same(tensors(run, 0), tensors(base, "best"))
        assert run.tokenizer_path.read_bytes() == base.tokenizer_path.read_bytes()
        optimizer = load_file(run.checkpoint(0).path / "optimizer.safetensors")
        assert not [name for name in optimizer if "exp_avg" in name], "a fresh optimizer"
        spec, there = language(run_spec(run)), language(run_spec(base))
        assert spec.train.from_run == str(base.path)
        assert spec.train.from_checkpoint == base.checkpoint("best").step
        assert (spec.model, spec.tokenizer) == (there.model, there.tokenizer)

    def test_any_of_its_checkpoints(self, tmp_path: Path) -> None:
        base = base_run(tmp_path, checkpoint={"every": 1, "keep": 9})
        run = new_run(tmp_path, begin=str(base.path), from_checkpoint=2)
        train_until(run, 1)
        assert same(tensors(run, 0), tensors(base, 2))
        with pytest.raises(SpecError, match=r"has no checkpoint of step 3000; it has checkpoints"):
            inherit(chat_spec(tmp_path, from_checkpoint=3000), store(tmp_path))

    def test_bpe_is_not_trained_again(self, tmp_path: Path) -> None:
        base = base_run(tmp_path, tokenizer=BPE)
        spec = inherit(chat_spec(tmp_path), store(tmp_path))
        data = prepare(spec)
        assert data.facts.vocabulary == 280
        other = prepare(spec, tokenizer=base.tokenizer_path)
        assert (other.folder, other.reused) == (data.folder, True)
        alone = Spec.model_validate({**spec.model_dump(), "train": {"steps": 1}})
        assert data_key(alone) != data.folder.name
        ids = data.tokenizer.encode(WORDS)
        assert len(ids) < len(WORDS) * 0.8  # merges of words that the dialogues don't have
        assert np.array_equal(ids, load_run_model(base, device="cpu")[1].encode(WORDS))

    @pytest.mark.parametrize("position", ["rope", "learned"])
    def test_a_shorter_context(self, tmp_path: Path, position: str) -> None:
        base = base_run(tmp_path, model={"position": position})
        run = new_run(tmp_path, model={"context": 8, "dropout": 0.1})
        train_until(run, 1)
        shape = language_blueprint(run).shape
        assert (shape.context, shape.dropout, shape.width) == (8, 0.1, 16)
        short, _, _ = load_run_model(run, checkpoint=0, device="cpu")
        long, _, _ = load_run_model(base, device="cpu")
        tokens = torch.arange(8)[None] + 97
        assert torch.equal(short(tokens)[0], long(tokens)[0])

    def test_text_can_go_on_too(self, tmp_path: Path) -> None:
        base = base_run(tmp_path)
        value = {**tiny_spec(tmp_path).model_dump(), "model": {}, "tokenizer": {"kind": "bytes"}}
        value["train"] = {**value["train"], "from": "latest", "steps": 2}
        run = create_run(Spec.model_validate(value), store(tmp_path), spec_text="", device="cpu")
        list(work(run))
        assert same(tensors(run, 0), tensors(base, "best"))
        assert run.state().status == "completed"


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("model:\n  width: 32", "a.yaml:2: model.width=32 differs from the 16 of base-"),
            (
                "model:\n  context: 17\n",
                "a.yaml:2: model.context=17 is longer than the 16 of base-",
            ),
            ("model: {qk_norm: true}", "a.yaml:1: model.qk_norm=true differs from the false of"),
            ("tokenizer:\n  kind: bpe", "a.yaml:2: tokenizer.kind=bpe differs from the bytes of"),
            ("model: {width: 16, depth: 2, context: 16}", ""),
            ("tokenizer: {kind: bytes}", ""),
        ],
    )
    def test_what_differs_is_named(
        self, tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        base_run(tmp_path)
        body = "data: {sources: {primer: {kind: dialogues}}}\ntrain: {from: base, objective: chat}"
        Path("a.yaml").write_text(f"{text}\n{body}\n")
        assert main(["check", "a.yaml"]) == (2 if message else 0)
        shown = capsys.readouterr()
        assert message in shown.err
        if not message:
            assert shown.out.startswith("a.yaml: ok (2 x 16, context 16")
            assert "for chat)" in shown.out

    def test_of_another_vocabulary(self, tmp_path: Path) -> None:
        base_run(tmp_path, tokenizer=BPE)
        spec = {**chat_spec(tmp_path).model_dump(), "tokenizer": {"kind": "bpe"}}
        inherit(Spec.model_validate({**spec, "model": {}}), store(tmp_path))
        spec["tokenizer"] = {"kind": "bpe", "vocabulary": 400}
        with pytest.raises(SpecError, match=r"tokenizer\.vocabulary=400 differs from the 280"):
            inherit(Spec.model_validate({**spec, "model": {}}), store(tmp_path))

    def test_a_run_that_is_not_there(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        base_run(tmp_path)
        Path("a.yaml").write_text("name: a\ntrain:\n  from: bsae\n")
        for command in ("check", "plan", "train"):
            assert main([command, "a.yaml"]) == 2
            assert "a.yaml:3: train.from=bsae: there is no run 'bsae'" in capsys.readouterr().err
        assert main(["train", "-d", "a.yaml", "--set", "train.from=base", *NO_CHECKPOINT]) == 2
        assert "has no checkpoint of step 77" in capsys.readouterr().err
        assert len(store(tmp_path).list()) == 1

    def test_sources_without_an_assistant(self, tmp_path: Path) -> None:
        Path("a.yaml").write_text(
            "data:\n  sources:\n    a: {kind: dialogues}\n    b:\n      kind: stories\n"
            "train: {objective: chat}\n"
        )
        with pytest.raises(SpecError, match=r"a\.yaml:5: .*data\.sources\.b \(kind: stories\)"):
            load_spec("a.yaml", [], store(tmp_path))

    def test_a_checkpoint_of_no_run(self, tmp_path: Path) -> None:
        Path("a.yaml").write_text("train:\n  from_checkpoint: 3\n")
        with pytest.raises(SpecError, match=r"a\.yaml:2: .*add train\.from"):
            load_spec("a.yaml", [], store(tmp_path))
        Path("a.yaml").write_text("train:\n  from_checkpoint: bset\n")
        with pytest.raises(SpecError, match="must be a whole number or best or latest"):
            load_spec("a.yaml", [], store(tmp_path))

    def test_a_path_is_relative_to_the_spec(self, tmp_path: Path) -> None:
        base = base_run(tmp_path)
        folder = tmp_path / "specs"
        folder.mkdir()
        (folder / "a.yaml").write_text(f"train: {{from: ../runs/{base.id}}}\n")
        found = load_spec(folder / "a.yaml", [], Store(tmp_path / "none"))
        assert Path(found.train.from_run or "").resolve() == base.path


SMALL = ["--set", "train.steps=2", "--set", "train.sample.max_new_tokens=2"]
NO_CHECKPOINT = ["--set", "train.from_checkpoint=77"]


class TestWithoutTheBase:
    def test_it_resumes_exactly(self, tmp_path: Path) -> None:
        base = base_run(tmp_path, tokenizer=BPE)
        whole = new_run(tmp_path, average=0.9, accumulation=2, checkpoint={"every": 4, "keep": 2})
        list(work(whole))
        cut = new_run(tmp_path, average=0.9, accumulation=2, checkpoint={"every": 4, "keep": 2})
        train_until(cut, 2)
        assert [c.step for c in cut.checkpoints()] == [0]
        shutil.rmtree(base.path)
        shutil.rmtree(tmp_path / "cache")  # nothing of the base's data is needed either
        for last in (3, 6, 9):  # from step 0, twice, and from step 4
            train_until(cut, last)
        list(work(cut))
        assert steps(cut) == steps(whole)
        for name in ("model.safetensors", "optimizer.safetensors", "trainer.json"):
            here, there = (run.checkpoint("latest").path / name for run in (cut, whole))
            assert here.read_bytes() == there.read_bytes(), name
        assert cut.state().status == "completed"

    def test_what_was_saved_first_stays_until_more_is_saved(self, tmp_path: Path) -> None:
        base = base_run(tmp_path)
        run = new_run(tmp_path)
        for last in (1, 2, 3):
            train_until(run, last)
            assert run.state().checkpoint_step == 0
            found = starting_point(run, "latest")
            assert found is not None
            assert found.step == 0
            saved = [e for _, e in run.events() if isinstance(e, CheckpointSaved)]
            assert [e.step for e in saved] == [0]
            evaluated = [e for _, e in run.events() if isinstance(e, Evaluated)]
            assert [e.step for e in evaluated] == [0]
        assert same(tensors(run, "best"), tensors(base, "best"))

    def test_one_that_is_gone_before_it_was_needed(self, tmp_path: Path) -> None:
        base = base_run(tmp_path)
        run = new_run(tmp_path)
        shutil.rmtree(base.path)
        with pytest.raises(CheckpointError, match=r"the run to begin from, .* is gone or changed"):
            list(work(run))
        assert run.state().status == "failed"


def counted(training: Training, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = training.task.batch(k)
    return inputs, targets


class TestTheLoss:
    def training(self, folder: Path, **train: Any) -> Training:
        model = {"depth": 2, "width": 16, "heads": 2, "context": 16}
        spec = chat_spec(folder, begin=None, model=model, **train)
        data = prepare(spec, cache=folder / "cache")
        return Training(resolve(spec, data.facts), data, device="cpu")

    def test_it_is_on_the_assistant_alone(self, tmp_path: Path) -> None:
        """Against cross entropy on full logits at the places that the mask names, by hand."""
        training = self.training(tmp_path)
        data = prepare(chat_spec(tmp_path), cache=tmp_path / "cache")
        stream, mask = data.tokens("train")["talk"], data.masks("train")["talk"]
        doubled = np.concatenate([stream, stream])
        marks = np.concatenate([mask, mask])
        places = np.lib.stride_tricks.sliding_window_view(doubled, 16)
        for k in range(5):
            inputs, targets = counted(training, k)
            logits = training.model(inputs)[0]
            losses = []
            for row in range(4):
                starts = np.flatnonzero((places == inputs[row].numpy()).all(1)) + 1
                expected_rows = [
                    np.where(marks[s : s + 16] == 1, doubled[s : s + 16].astype(int), -100)
                    for s in starts.tolist()
                ]  # several, where the text repeats itself
                assert any((each == targets[row].numpy()).all() for each in expected_rows)
                learnt = np.flatnonzero(targets[row].numpy() != -100).tolist()
                losses += [-F.log_softmax(logits[row, t], 0)[targets[row, t]] for t in learnt]
            expected = torch.stack(losses).mean()
            assert 0 < len(losses) < targets.numel() / 2
            loss = training.model(inputs, targets)[1]
            torch.testing.assert_close(loss, expected)

    @torch.no_grad()
    def test_validation_is_too(self, tmp_path: Path) -> None:
        training = self.training(tmp_path, evaluate={"windows": 10_000})
        data = prepare(chat_spec(tmp_path), cache=tmp_path / "cache")
        stream, mask = data.tokens("validation")["talk"], data.masks("validation")["talk"]
        nats = []
        model = training.model.eval()
        assert isinstance(model, GPT)
        for begin in range(0, len(stream), 16):
            left = max(0, min(begin + 16, len(stream)) - 16)  # the last window reaches back
            before = [int(stream[left - 1]) if left else 0]
            ids = torch.tensor([*before, *stream[left : left + 16].tolist()])
            shares = F.log_softmax(model(ids[None, :-1])[0][0], 1)
            places = [t for t in range(len(ids) - 1) if left + t >= begin and mask[left + t]]
            nats += [-float(shares[t, ids[t + 1]]) for t in places]
        evaluated = training.evaluate(0)
        assert len(nats) == int(mask.sum())
        assert evaluated.loss == pytest.approx(math.fsum(nats) / len(nats), rel=1e-5)
        result = together(
            evaluate_split(
                model, data, "validation", autocast=training.autocast, chat=True
            ).values()
        )
        assert result.losses.loss == pytest.approx(evaluated.loss)

    def test_parts_of_a_batch_weigh_what_counts_in_them(self, tmp_path: Path) -> None:
        whole = self.training(tmp_path, steps=3)
        parts = self.training(tmp_path, steps=3, accumulation=4)
        sizes = [(part != -100).sum() for part in counted(whole, 0)[1].chunk(4)]
        assert len(set(map(int, sizes))) > 1, "parts of one size would prove nothing"
        found = [
            [(e.loss, e.gradient_norm) for e in t.events() if isinstance(e, StepDone)]
            for t in (whole, parts)
        ]
        np.testing.assert_allclose(found[0], found[1], rtol=2e-5)

    @pytest.mark.parametrize("accumulation", [1, 4])
    def test_a_batch_in_which_nothing_counts(
        self, tmp_path: Path, accumulation: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        training = self.training(tmp_path, steps=2, accumulation=accumulation)
        inputs, targets = counted(training, 0)
        nothing = (inputs, torch.full_like(targets, -100))
        monkeypatch.setattr(training.task, "batch", lambda _: nothing)
        done = [e for e in training.events() if isinstance(e, StepDone)]
        assert [(e.loss, e.gradient_norm) for e in done] == [(0.0, 0.0)] * 2
        assert all(p.isfinite().all() for p in training.model.parameters())

    def test_batches_follow_from_their_number(self, tmp_path: Path) -> None:
        one, other = self.training(tmp_path), self.training(tmp_path)
        later = [counted(one, k) for k in (7, 0, 3)]
        for k, (inputs, targets) in zip((7, 0, 3), later, strict=True):
            for again in (counted(other, k), counted(one, k)):
                assert torch.equal(inputs, again[0])
                assert torch.equal(targets, again[1])

    def test_it_learns_what_the_assistant_says(self, tmp_path: Path) -> None:
        training = self.training(tmp_path, steps=60, learning_rate=0.01)
        found = [e.loss for e in training.events() if isinstance(e, Evaluated)]
        assert found[-1] < found[0] - 1


def test_plan_tells_where_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from maquette.training import device

    monkeypatch.setattr(
        device, "measure_rates", lambda *_, **__: {"float32": 1e11, "bf16": 4e10, "fp16": 4e10}
    )
    base = base_run(tmp_path)
    step = base.checkpoint("best").step
    assert main(["plan", "chat-tune", "--set", "train.from=base"]) == 0
    shown = capsys.readouterr().out
    assert f"step {step}" in shown
    assert str(base.path) in shown
    assert "what the assistant says" in shown
    assert main(["plan", "chat-tune", "--set", "train.from=base", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["from"] == {"run": str(base.path), "step": step}
    assert plan["blueprint"]["shape"] == dataclasses.asdict(language_blueprint(base).shape)
    assert plan["blueprint"]["train"]["objective"] == "chat"


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = base_run(tmp_path)
    assert main(["train", "chat-tune", "--set", "train.from=latest", *SMALL]) == 0
    shown = capsys.readouterr()
    run = store(tmp_path).find(shown.out.strip())
    assert shown.err.rstrip().endswith(f"chat {run.id}")
    assert same(tensors(run, 0), tensors(base, "best"))


def test_from_the_command_line_in_the_background(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from maquette.runs import control

    base = base_run(tmp_path, tokenizer=BPE)
    assert main(["eval", base.id]) == 0
    assert "preparing" not in capsys.readouterr().err
    monkeypatch.setattr(control, "start_worker", lambda *_, **__: None)
    assert main(["train", "-d", "chat-tune", "--set", "train.from=base", *SMALL]) == 0
    run = store(tmp_path).find(capsys.readouterr().out.strip())
    assert run.tokenizer_path.read_bytes() == base.tokenizer_path.read_bytes()
    list(work(run))
    assert same(tensors(run, 0), tensors(base, "best"))
    shutil.rmtree(base.path)
    assert main(["eval", run.id, "--json"]) == 0
    shown = capsys.readouterr()
    assert "preparing" not in shown.err
    masks = prepare(language(run_spec(run)), tokenizer=run.tokenizer_path).masks("validation")
    assert json.loads(shown.out)["tokens"] == int(masks["primer"].sum())
