"""What people do with an image run: eval, classify, import, export, and training from it."""

import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from maquette.cli import main
from maquette.events import StepDone
from maquette.loading import load_classifier
from maquette.models.convnext_layouts import LAYOUTS, Layout, to_layout
from maquette.reading import image_blueprint
from maquette.runs.store import Run, Store
from tests.data.image.making import picture, save
from tests.trained import trained_run
from tests.trained_images import prepared, shapes_spec, trained_classifier

Call = Callable[..., tuple[int, str, str]]
ON = "--device", "cpu"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    folder = tmp_path_factory.mktemp("images")
    return folder, trained_classifier(folder)


@pytest.fixture
def run(made: tuple[Path, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run of the module, in whose place nothing is written."""
    folder, run = made
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(folder / "cache"))
    monkeypatch.setenv("MAQUETTE_RUNS", str(folder / "runs"))
    return run


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    def of(*arguments: str | Path) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return (code, *capfd.readouterr())

    return of


def shares_of(run: Run, pixels: Tensor) -> Tensor:
    """Probabilities (B, K) of bytes (B, 3, S, S), worked out here."""
    model, blueprint = load_classifier(run, run.checkpoint("best"))
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (blueprint.facts.mean, blueprint.facts.std)
    )
    with torch.no_grad():
        logits: Tensor = model((pixels / 255 - mean) / std)[0]
    return logits.softmax(1)


def test_eval_says_what_can_be_counted_here(run: Run, call: Call, made: tuple[Path, Run]) -> None:
    code, out, err = call("eval", run.id, "--json", *ON, "--pictures", "drawn")
    assert (code, err) == (0, "")
    found = json.loads(out)
    images = prepared(made[0], shapes_spec()).images("validation")
    true = images.labels
    shares = shares_of(run, images.batch(range(len(images))))
    said = shares.argmax(1)
    assert (found["run"], found["step"], found["split"], found["images"]) == (
        run.id,
        2,
        "validation",
        100,
    )
    assert found["accuracy"] == pytest.approx(float((said == true).float().mean()))
    assert found["loss"] == pytest.approx(
        float(-shares.gather(1, true[:, None]).log().mean()), rel=1e-4
    )
    for label, row in enumerate(found["classes"]):
        mine = true == label
        assert row["images"] == int(mine.sum())
        assert row["accuracy"] == pytest.approx(float((said[mine] == label).float().mean()))
    assert sum(pair["images"] for pair in found["confusions"]) == int((said != true).sum())
    counts = [pair["images"] for pair in found["confusions"]]
    assert counts == sorted(counts, reverse=True)
    for path in found["pictures"].values():
        assert Path(path).parent == Path("drawn")
        Image.open(path).load()


def test_eval_with_mirror_images_is_the_mean_of_both(
    run: Run, call: Call, made: tuple[Path, Run]
) -> None:
    options = "--json", *ON, "--pictures", "drawn", "--split", "test"
    found = json.loads(call("eval", run.id, *options, "--flip")[1])
    images = prepared(made[0], shapes_spec()).images("test")
    pixels = images.batch(range(len(images)))
    shares = (shares_of(run, pixels) + shares_of(run, pixels.flip(-1))) / 2
    assert found["loss"] == pytest.approx(
        float(-shares.gather(1, images.labels[:, None]).log().mean()), rel=1e-4
    )
    assert found["flip"] is True


def test_eval_prints_a_table_and_where_the_pictures_are(run: Run, call: Call) -> None:
    code, out, err = call("eval", run.id, "--images", "30", *ON)
    assert code == 0
    assert f"{run.id}, step 2, validation split" in err
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["split", "images", "top-1", "top-5"]
    assert lines[1].split()[:2] == ["validation", "30"]
    assert len(lines) == 2 + 1 + 1 + 12 + 2
    assert [Path(line).name for line in lines[-2:]] == [
        "validation-confusion.png",
        "validation-mistakes.png",
    ]
    assert Path(lines[-1]).parent == run.path / "pictures"


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--stride", "3"], 2, ["--stride is for text"]),
        (["--windows", "3"], 2, ["--windows is for text"]),
        (["--data", "demo"], 2, ["--data demo is a spec for text"]),
        (["--data", "folder.yaml"], 1, ["2 classes", "12"]),
        (["--pictures", "file"], 1, ["file"]),
        (["--checkpoint", "7"], 1, ["no checkpoint of step 7"]),
    ],
)
def test_eval_says_what_is_wrong(
    run: Run, call: Call, arguments: list[str], code: int, parts: list[str]
) -> None:
    Path("file").write_text("in the way")
    for i in range(8):
        save(Path(f"set/{'ab'[i % 2]}/{i}.png"), picture(i))
    source = f"{{kind: imagefolder, path: {Path('set').absolute()}}}"
    Path("folder.yaml").write_text(
        f"task: image-classification\ndata: {{sources: {{x: {source}}}}}"
    )
    found, out, err = call("eval", run.id, *arguments, *ON)
    assert (found, out) == (code, "")
    assert err.splitlines()[-2 if err.splitlines()[-1].startswith(" ") else -1].startswith("error")
    assert all(part in err for part in parts)


def test_the_options_of_one_task_are_refused_for_the_other(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = trained_run(tmp_path)
    for option in (["--flip"], ["--images", "3"], ["--pictures", "x"], ["--data", "x"]):
        code, _, err = call("eval", text.path, *option)
        assert code == 2
        assert f"{option[0]} is for images, and {text.id} is a language model" in err
    code, _, err = call("classify", text.path, "x.png")
    assert code == 1
    assert f"{text.id} is a language model" in err
    code, _, err = call("export", text.path, "--to", "timm")
    assert code == 2
    assert "there is no export for language models yet" in err


def broken(run: Run, into: Path) -> Run:
    """A copy of a run whose weights are no numbers."""
    copy = Store(into).create(
        "broken",
        spec_text="",
        spec=run.meta.spec,
        blueprint_text=run.blueprint_path.read_text(),
    )
    weights = load_file(run.checkpoint("best").path / "model.safetensors")
    nan = {name: torch.full_like(tensor, torch.nan) for name, tensor in weights.items()}
    copy.commit_checkpoint(5, lambda place: save_file(nan, place / "model.safetensors"), best=True)
    return copy


def test_broken_weights_say_nothing(run: Run, call: Call, tmp_path: Path) -> None:
    bad = broken(run, tmp_path / "other")
    image = save(tmp_path / "a.png", picture(1))
    for command in (("eval", bad.path), ("classify", bad.path, image)):
        code, out, err = call(*command, *ON)
        assert (code, out) == (1, "")
        assert "the weights of step 5 are broken" in err


def test_classify_says_what_the_model_says(run: Run, call: Call) -> None:
    pixels = picture(3, 32, 32)
    save(Path("a.png"), pixels)
    code, out, err = call("classify", run.id, "a.png", "--json", "--top", "12", *ON)
    assert (code, err) == (0, "")
    [found] = json.loads(out)
    shares = shares_of(run, torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])[0]
    names = load_classifier(run, run.checkpoint("best"))[1].facts.classes
    assert found["image"] == "a.png"
    said = {row["class"]: row["probability"] for row in found["classes"]}
    assert said == pytest.approx(dict(zip(names, shares.tolist(), strict=True)), abs=1e-5)
    assert list(said.values()) == sorted(said.values(), reverse=True)

    lines = call("classify", run.id, "a.png", "--top", "2", *ON)[1].splitlines()
    assert lines[0] == "a.png"
    best, second = list(said)[:2]
    assert lines[1].split()[:2] == [f"{said[best]:.2%}", best]
    assert lines[2].split()[:2] == [f"{said[second]:.2%}", second]
    [line] = call("classify", run.id, "a.png", "--top", "1", *ON)[1].splitlines()
    assert line.split() == [f"{said[best]:.2%}", best, "a.png"]


def test_classify_names_what_it_cannot_read_and_looks_at_the_rest(run: Run, call: Call) -> None:
    save(Path("set/deep/b.PNG"), picture(1))
    save(Path("set/a.png"), picture(2))
    Path("set/text.png").write_text("no image")
    Path("set/note.txt").write_text("not looked at")
    save(Path("set/cut.png"), save(Path("whole.png"), picture(5, 64, 64)).read_bytes()[:200])
    Path("empty").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo("set/pipe.png")
    code, out, err = call(
        "classify", run.id, "set", "gone.png", "empty", "whole.png", "--json", *ON
    )
    assert (code, err) == (1, "")
    found = {row["image"]: row.get("problem", "") for row in json.loads(out)}
    fifo = ["set/pipe.png"] * hasattr(os, "mkfifo")
    assert list(found) == [
        "set/a.png",
        "set/cut.png",
        *fifo,
        "set/text.png",
        "set/deep/b.PNG",
        "gone.png",
        "empty",
        "whole.png",
    ]
    assert [name for name, problem in found.items() if not problem] == [
        "set/a.png",
        "set/deep/b.PNG",
        "whole.png",
    ]
    assert found["set/text.png"] == "is no image"
    assert "truncated" in found["set/cut.png"]
    assert "no such file" in found["gone.png"]
    assert found["empty"].startswith("holds no image")
    code, out, err = call("classify", run.id, "set", "--top", "1", *ON)
    assert code == 1
    assert len(out.splitlines()) == 2
    assert "error: set/text.png: is no image\n" in err


def test_names_of_files_may_be_anything(run: Run, call: Call) -> None:
    name = b"\xff\x1b[31m \n.png"
    try:
        save(Path(os.fsdecode(b"set/" + name)), picture(1))
    except OSError:
        pytest.skip("this file system takes no such name")
    code, out, _ = call("classify", run.id, "set", "--top", "1", *ON)
    assert code == 0
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1
    [row] = json.loads(call("classify", run.id, "set", "--json", *ON)[1])
    assert os.fsencode(row["image"]) == b"set/" + name


def test_classify_reads_stdin_once(run: Run, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    data = save(Path("a.png"), picture(3)).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    both = json.loads(call("classify", run.id, "-", "a.png", "--json", "--flip", *ON)[1])
    assert [row["image"] for row in both] == ["stdin", "a.png"]
    first, second = ([c["probability"] for c in row["classes"]] for row in both)
    assert first == pytest.approx(second, abs=1e-5)
    code, _, err = call("classify", run.id, "-", "-", *ON)
    assert code == 2
    assert "stdin" in err


def test_inspect_counts_copies_and_draws_a_sheet(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAQUETTE_CACHE", str(tmp_path / "cache"))
    for i in range(12):
        save(Path(f"set/train/{'ab'[i % 2]}/{i}.png"), picture(i, 32, 32))
    for i, seed in enumerate((0, 1, 50, 51)):  # the first two are in train, too
        save(Path(f"set/val/{'ab'[i % 2]}/{i}.png"), picture(seed, 32, 32))
    source = {"kind": "imagefolder", "path": str(Path("set").absolute())}
    spec = {"name": "pets", "task": "image-classification", "data": {"sources": {"x": source}}}
    Path("pets.yaml").write_text(json.dumps(spec))
    code, out, _ = call("data", "inspect", "pets.yaml")
    assert code == 0
    assert "2 of the 4 validation images are in train too, pixel for pixel" in out
    assert out.endswith("\npets.png\n")
    with Image.open("pets.png") as sheet:
        assert sheet.format == "PNG"
    Path("set/val/a/0.png").unlink()
    out = call("data", "inspect", "pets.yaml", "--sheet", "again.png")[1]
    assert "1 of the 3 validation images is in train too" in out
    Path("set/val/b/1.png").unlink()
    out = call("data", "inspect", "pets.yaml", "--sheet", "again.png", "--json")[1]
    assert json.loads(out)["duplicates"]["validation"]["images"] == 0
    assert json.loads(out)["sheet"] == "again.png"


def weights_of(run: Run) -> dict[str, Tensor]:
    return load_file(run.checkpoint("best").path / "model.safetensors")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_imported_says_the_same(
    run: Run, call: Call, layout: Layout, tmp_path: Path
) -> None:
    blueprint = load_classifier(run, run.checkpoint("best"))[1]
    save_file(to_layout(weights_of(run), layout), tmp_path / "w.safetensors")
    Path("names.txt").write_text("\n".join(blueprint.facts.classes) + "\n")
    mean, std = (",".join(map(str, v)) for v in (blueprint.facts.mean, blueprint.facts.std))
    code, out, err = call(
        *("import", "w.safetensors", "--image-size", "32", "--classes", "names.txt"),
        *("--mean", mean, "--std", std, "--runs-dir", tmp_path / "runs"),
    )
    assert code == 0
    imported = Run(tmp_path / "runs" / out.strip())
    assert f"maquette classify {imported.name} IMAGE" in err
    assert imported.id.startswith("convnext-atto-")
    assert imported.state().status == "completed"
    again = load_classifier(imported, imported.checkpoint("best"))[1]
    assert (again.shape.stem_stride, again.shape.classes) == (4, 12)
    save(Path("a.png"), picture(3, 32, 32))
    ours, theirs = (
        json.loads(call("classify", r.path, "a.png", "--json", *ON)[1]) for r in (run, imported)
    )
    assert ours == theirs


def test_an_imported_run_is_judged_by_data_that_is_named(
    run: Run, call: Call, tmp_path: Path
) -> None:
    save_file(weights_of(run), tmp_path / "w.safetensors")
    place = "--runs-dir", tmp_path / "runs"
    code, out, _ = call("import", "w.safetensors", "--image-size", "32", *place, "--json")
    row = json.loads(out)
    assert (code, row["kind"], row["status"], row["steps"]) == (0, "imported", "completed", 0)
    code, _, err = call("eval", row["id"], *place, *ON)
    assert code == 2
    assert "--data SPEC" in err
    Path("shapes.yaml").write_text(shapes_spec().model_dump_json())
    code, out, _ = call("eval", row["id"], "--data", "shapes.yaml", "--json", *place, *ON)
    assert code == 0
    assert json.loads(out)["images"] == 100
    assert json.loads(out)["classes"][0]["class"] == "arrow"  # the model's have no names
    for command in ("resume", "verify-resume"):
        code, _, err = call(command, row["id"], *place)
        assert code == 1
        assert "was imported" in err
    assert "imported" in call("ps", *place)[1]
    assert "imported from w.safetensors" in call("logs", row["id"], *place)[1]
    assert call("status", row["id"], *place)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--from", "facebook"], 1, ["timm's names of weights, not facebook's", "--from timm"]),
        (["--variant", "tiny"], 1, ["doesn't fit", "missing", "of another shape", "ConvNeXt atto"]),
        (["--classes", "two.txt"], 1, ["2 classes have names", "12"]),
        (["--classes", "gap.txt"], 1, ["gap.txt:2: there is no name"]),
        (["--classes", "none.txt"], 1, ["none.txt", "no such file"]),
        (["--classes", "w.safetensors"], 1, ["is not UTF-8"]),
        (["--mean", "1,2,3"], 2, ["--mean '1,2,3'", "three numbers"]),
        (["--std", "0.5"], 2, ["--std '0.5'"]),
        (["--std", "0,0.5,0.5"], 2, ["--std"]),
        (["--name", "Big Name"], 2, ["--name 'Big Name'"]),
        (["--image-size", "16"], 2, ["too small"]),
    ],
)
def test_import_says_what_is_wrong_and_makes_no_run(
    run: Run, call: Call, tmp_path: Path, arguments: list[str], code: int, parts: list[str]
) -> None:
    save_file(weights_of(run), tmp_path / "w.safetensors")
    Path("two.txt").write_text("a\nb\n")
    Path("gap.txt").write_text("a\n\nb\n")
    found, out, err = call("import", "w.safetensors", *arguments, "--runs-dir", tmp_path / "runs")
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert all(part in err for part in parts)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "name", ["no.pth", "text.pth", "headless.safetensors", "other.safetensors"]
)
def test_import_refuses_what_is_no_convnext(
    run: Run, call: Call, tmp_path: Path, name: str
) -> None:
    Path("text.pth").write_text("no weights at all")
    weights = weights_of(run)
    save_file({k: w for k, w in weights.items() if "head" not in k}, "headless.safetensors")
    save_file({"x": torch.zeros(2)}, "other.safetensors")
    code, out, err = call("import", name, "--runs-dir", tmp_path / "runs")
    assert (code, out) == (1, "")
    assert name in err
    assert not (tmp_path / "runs").exists()


def test_there_and_back_through_timms_layout(run: Run, call: Call, tmp_path: Path) -> None:
    code, out, err = call("export", run.id, "--to", "timm", "-o", "mine")
    assert (code, out) == (0, "mine\n")
    assert "local-dir:mine" in err
    code, out, err = call("export", run.id, "--to", "timm", "-o", "mine")
    assert (code, out) == (1, "")
    assert "it is there already" in err
    place = tmp_path / "runs"
    code, out, err = call("import", "mine/model.safetensors", "--runs-dir", place)
    imported = Run(place / out.strip())
    (again, first) = (image_blueprint(each) for each in (imported, run))
    assert again.facts == dataclasses.replace(first.facts, splits={})
    assert "12 classes" in err
    back, ours = weights_of(imported), weights_of(run)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


@pytest.mark.parametrize("begin", ["run", "file"])
def test_training_from_imported_weights(run: Run, call: Call, tmp_path: Path, begin: str) -> None:
    """Of two classes: the head starts anew, and aloud; lower layers move less."""
    save_file(weights_of(run), tmp_path / "w.safetensors")
    place = "--runs-dir", tmp_path / "runs"
    base = "w.safetensors"
    if begin == "run":
        base = call("import", base, "--image-size", "32", *place)[1].strip()
    for i in range(24):
        save(Path(f"set/{'ab'[i % 2]}/{i}.png"), picture(i, 32, 32))
    spec = shapes_spec(layer_decay=0.5, optimizer={"weight_decay": 0}, label_smoothing=0)
    value = spec.model_dump(mode="json", exclude_unset=True)
    value["data"] = {"sources": {"x": {"kind": "imagefolder", "path": str(Path("set").absolute())}}}
    value["model"] = {} if begin == "run" else {"variant": "atto", "stem_stride": 4}
    value["train"]["from"] = base
    value["train"]["schedule"] = {"kind": "constant", "warmup_steps": 0}
    Path("tune.yaml").write_text(json.dumps(value))
    code, out, err = call("train", "tune.yaml", *place, *ON)
    assert code == 0
    assert "the head starts anew" in err
    tuned = Run(tmp_path / "runs" / out.strip())
    assert f"classify {tuned.name} IMAGE" in err
    before, after = (
        weights_of(run),
        load_file(tuned.checkpoint("latest").path / "model.safetensors"),
    )
    assert after["head.fc.weight"].shape == (2, 320)

    def moved(name: str) -> float:
        return float((after[name] - before[name]).abs().max())

    # AdamW's first step is the rate; three of them are at most three times that.
    rate = value["train"].get("learning_rate", spec.train.learning_rate)
    assert 0 < moved("stem.0.weight") <= 3.1 * rate * 0.5**13
    assert rate < moved("head.norm.weight") <= 3.1 * rate
    loss = [event.loss for _, event in tuned.events() if isinstance(event, StepDone)]
    assert np.isfinite(loss).all()
