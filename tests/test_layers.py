"""A module imports only from lower tiers or its own package: read from the source, all of it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "maquette"

# Module or package -> tier. The longest name that fits a module counts.
TIERS = {
    "errors": 0,
    "quantities": 0,
    "shapes": 1,
    "augmentation": 1,
    "events": 1,
    "facts": 1,
    "spec": 1,
    "tokenizers": 1,
    "blueprint": 2,
    "models": 2,
    "data": 2,
    "runs": 2,
    "runs.durable": 1,
    "runs.lines": 1,
    "runs.manifest": 1,
    "training": 3,
    "generation": 3,
    "simulation": 3,
    "codegen": 3,
    "build": 4,
    "base": 4,
    "reading": 3,
    "preparation": 3,
    "forecast": 4,
    "tracking": 3,
    "settling": 4,
    "evaluation": 4,
    "classification": 4,
    "importing": 4,
    "pictures": 5,
    "comparison": 6,
    "charts": 7,
    "loading": 4,
    "export": 4,
    "ejecting": 5,
    "worker": 5,
    "serving": 5,
    "web": 6,
    "verification": 5,
    "search": 6,
    "api": 6,
    "": 6,  # maquette/__init__.py: the public names
    # What the terminal UI shares with the commands, then both.
    "cli.common": 6,
    "cli.curve": 6,
    "cli.plan": 6,
    "cli.status": 6,
    "cli.table": 6,
    "cli.unhurried": 6,
    "cli.view": 6,
    "tui": 7,
    "cli": 8,
    "__main__": 9,
}
# Plain modules that the packages of their own tier may use.
GROUND = ("shapes", "augmentation", "events", "facts")
# Nothing heavy when the module is imported; inside functions it is allowed.
WITHOUT_TORCH = (
    "comparison",
    "forecast",
    "tracking",
    "reading",
    "preparation",
    "settling",
    "search",
    "base",
    "spec",
    "blueprint",
    "runs",
    "simulation",
    "web",
    "cli",
    "tui",
    "errors",
    "events",
)
HEAVY = {"torch", "transformers", "datasets", "fastapi", "textual"}
# These are copied into ejected projects as they are.
LIFTED = (
    "models.*",
    "training.average",
    "training.device",
    "training.evaluate",
    "training.layer_decay",
    "training.loop",
    "training.optimizer",
    "training.portable",
    "training.schedule",
    "training.weights",
    "generation.decode",
    "generation.sampling",
    "generation.text",
    "build.language",
    "tokenizers.base",
    "tokenizers.bpe",
    "tokenizers.bytes",
    "tokenizers.chat",
    "tokenizers.special",
    "data.batches",
    "data.corpus",
    "data.encoding",
    "data.given",
    "data.source",
    "data.turns",
    "data.image.augment",
    "data.image.batches",
    "data.image.operations",
    "data.image.pixels",
    "data.text.cleaning",
    "data.text.dialogues",
    "data.text.files",
    "data.text.holdout",
    "data.text.notes",
    "data.text.piece",
    "data.text.reading",
    "data.text.stories*",
)
LIFTED_MAY_USE = (
    "augmentation",
    "blueprint.blueprint",
    "blueprint.schedules",
    "errors",
    "events",
    "shapes",
)
STDLIB_ONLY = (
    "errors",
    "quantities",
    "shapes",
    "augmentation",
    "events",
    "facts",
    "forecast",
    "runs.*",
    "simulation",
    "simulation.*",
    "tokenizers.chat",
)
PSUTIL_IN_FUNCTIONS = {"runs.process"}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = list(path.relative_to(SOURCE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


MODULES = modules()


def imports(tree: ast.AST, *, everywhere: bool) -> Iterator[tuple[str, int]]:
    """The absolute name and line of each import; inside functions too if `everywhere`.

    Imports for type checking only are left out unless `everywhere`.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write the import from maquette on"
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno
        elif everywhere or not (is_function(node) or is_type_checking(node)):
            yield from imports(node, everywhere=everywhere)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def own(name: str) -> str | None:
    """`maquette.runs.store.Run` -> `runs.store`; None for what isn't ours."""
    head, _, rest = name.partition(".")
    if head != "maquette":
        return None
    while rest and rest not in MODULES:
        rest = rest.rpartition(".")[0]
    return rest


def tier(module: str) -> int:
    place = module
    while place not in TIERS:
        assert "." in place, f"give maquette.{module} a tier in this file"
        place = place.rpartition(".")[0]
    return TIERS[place]


def matches(module: str, patterns: tuple[str, ...]) -> bool:
    return any(
        module == p or (p.endswith("*") and module.startswith(p[:-1]) and module != p[:-2])
        for p in patterns
    )


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    package = module.partition(".")[0]
    for name, line in imports(MODULES[module], everywhere=True):
        target = own(name)
        if target is None or target.partition(".")[0] == package:
            continue
        if target in GROUND and tier(target) == tier(module) and module not in GROUND:
            continue
        if module == "" or target == "":
            assert module == "" or TIERS[""] <= tier(module), (
                f"maquette.{module}, line {line}: the public names are for users, not for us"
            )
            continue
        assert tier(target) < tier(module), (
            f"maquette.{module} (tier {tier(module)}), line {line}, imports"
            f" maquette.{target} (tier {tier(target)}): only lower tiers are allowed"
        )


@pytest.mark.parametrize("module", MODULES)
def test_a_package_of_mixed_tiers_points_down_too(module: str) -> None:
    for name, line in imports(MODULES[module], everywhere=True):
        target = own(name)
        if target:
            assert tier(target) <= tier(module), (
                f"maquette.{module}, line {line}, imports maquette.{target} from a higher tier"
            )


@pytest.mark.parametrize("module", [m for m in MODULES if m.partition(".")[0] in WITHOUT_TORCH])
def test_light_modules_import_nothing_heavy_at_once(module: str) -> None:
    allowed = {"textual"} if module.partition(".")[0] == "tui" else set()
    for name, line in imports(MODULES[module], everywhere=False):
        assert name.partition(".")[0] not in HEAVY - allowed, (
            f"maquette.{module}, line {line}, imports {name}: do it inside the function"
        )


@pytest.mark.parametrize("module", [m for m in MODULES if matches(m, LIFTED)])
def test_lifted_modules_stand_alone(module: str) -> None:
    import sys

    allowed = {*sys.stdlib_module_names, "numpy", "torch", "tokenizers"}
    for name, line in imports(MODULES[module], everywhere=True):
        target = own(name)
        if target is None:
            assert name.partition(".")[0] in allowed, (
                f"maquette.{module}, line {line}, imports {name}: it is copied into ejected"
                " projects, which have the standard library, numpy and torch"
            )
        else:
            assert matches(target, (*LIFTED, *LIFTED_MAY_USE)), (
                f"maquette.{module}, line {line}, imports maquette.{target}, which isn't copied"
                " into ejected projects beside it"
            )


@pytest.mark.parametrize("module", [m for m in MODULES if matches(m, STDLIB_ONLY)])
def test_the_ground_needs_the_standard_library_only(module: str) -> None:
    import sys

    for name, line in imports(MODULES[module], everywhere=True):
        top = name.partition(".")[0]
        excused = top == "psutil" and module in PSUTIL_IN_FUNCTIONS
        assert top in sys.stdlib_module_names or top == "maquette" or excused, (
            f"maquette.{module}, line {line}, imports {name}"
        )
    for name, _ in imports(MODULES[module], everywhere=False):
        assert name.partition(".")[0] in {*sys.stdlib_module_names, "maquette"}


def test_files_and_functions_stay_small() -> None:
    """About 400 lines a file and 40 a function, as the design has it: these are the far ends."""
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines = text.count("\n")
        assert lines <= 440, f"{path.relative_to(SOURCE)} has {lines} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) and node.body[1:] else node.body
                length = (node.end_lineno or 0) - body[0].lineno + 1
                assert length <= 60, f"{path.relative_to(SOURCE)}: {node.name} has {length} lines"
