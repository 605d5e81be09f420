"""The table of commands. Each module imports what is heavy inside its functions."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from maquette.cli import (
    chat,
    compare,
    control,
    data,
    doctor,
    eject,
    exchange,
    images,
    labels,
    runs,
    search,
    serve,
    simulate,
    specs,
    status,
    train,
    tui,
    use,
    verify,
    watch,
)
from maquette.cli.common import BEGIN, LOOK, RUNS, TRAIN, USE


class Commands(TyperGroup):
    """A group whose help lists the commands by panel, before the options.

    Typer's own panels need rich, which takes longer to import than everything else here together.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Without a command, the help is what was asked for: no error."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the panels of commands, then the options."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None)
            title = panel if isinstance(panel, str) else "Commands"
            panels.setdefault(title, []).append((name, command.get_short_help_str(limit=200)))
        for title, rows in panels.items():
            with formatter.section(_heading(title)):
                formatter.write_dl(rows)
        options = [record for p in self.get_params(ctx) if (record := p.get_help_record(ctx))]
        with formatter.section(_heading("Options")):
            formatter.write_dl(options)


def _heading(text: str) -> str:
    return text if os.environ.get("NO_COLOR") else typer.style(text, bold=True)


app = typer.Typer(
    name="maquette",
    cls=Commands,
    help="From a short YAML spec to a small model you trained, understand and own.",
    epilog="First steps: maquette demo, then maquette new my-model.",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import importlib.metadata

        typer.echo(f"maquette {importlib.metadata.version('maquette')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """From a short YAML spec to a small model you trained, understand and own."""


app.command("demo", rich_help_panel=BEGIN)(train.demo)
app.command("new", rich_help_panel=BEGIN)(specs.new)
app.command("check", rich_help_panel=BEGIN)(specs.check)
app.command("schema", rich_help_panel=BEGIN)(specs.schema)
app.command("plan", rich_help_panel=BEGIN)(specs.plan)
app.command("train", rich_help_panel=TRAIN)(train.train)
app.command("search", rich_help_panel=TRAIN)(search.search)
app.command("tui", rich_help_panel=RUNS)(tui.tui)
app.command("ps", rich_help_panel=RUNS)(runs.ps)
app.command("status", rich_help_panel=RUNS)(status.status)
app.command("stop", rich_help_panel=RUNS)(control.stop)
app.command("resume", rich_help_panel=RUNS)(control.resume)
app.command("watch", rich_help_panel=RUNS)(watch.watch)
app.command("logs", rich_help_panel=RUNS)(watch.logs)
app.command("compare", rich_help_panel=RUNS)(compare.compare)
app.command("rename", rich_help_panel=RUNS)(labels.rename)
app.command("archive", rich_help_panel=RUNS)(labels.archive)
app.command("rm", rich_help_panel=RUNS)(runs.rm)
app.command("generate", rich_help_panel=USE)(use.generate)
app.command("chat", rich_help_panel=USE)(chat.chat)
app.command("classify", rich_help_panel=USE)(images.classify)
app.command("eval", rich_help_panel=USE)(use.evaluate)
app.command("serve", rich_help_panel=USE)(serve.serve)
app.command("import", rich_help_panel=USE)(exchange.import_)
app.command("export", rich_help_panel=USE)(exchange.export)
app.command("eject", rich_help_panel=USE)(eject.eject)
app.add_typer(data.app, name="data", cls=Commands, rich_help_panel=LOOK)
app.command("simulate", rich_help_panel=LOOK)(simulate.simulate)
app.command("doctor", rich_help_panel=LOOK)(doctor.doctor)
app.command("verify-resume", rich_help_panel=LOOK)(verify.verify_resume)
