"""The colours, light and dark: those of the pages that `maquette serve` shows."""

from textual.theme import Theme

DARK, LIGHT = "maquette-dark", "maquette-light"
SERIES = 8
"""Colours that tell curves apart: `$series-1` to `$series-8` in the style sheets."""


def _theme(name: str, dark: bool, colours: dict[str, str], series: tuple[str, ...]) -> Theme:
    return Theme(
        name=name,
        dark=dark,
        primary=colours["accent"],
        secondary=series[1],
        accent=colours["accent"],
        warning=colours["warning"],
        error=colours["danger"],
        success=colours["good"],
        foreground=colours["text"],
        background=colours["ground"],
        surface=colours["surface"],
        panel=colours["raised"],
        variables={
            "muted": colours["muted"],
            "line": colours["line"],
            "sunken": colours["sunken"],
            "chosen": colours["chosen"],
            "faint": colours["faint"],
            "block-cursor-background": colours["chosen"],
            "block-cursor-foreground": colours["text"],
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": colours["chosen"],
            "block-cursor-blurred-foreground": colours["text"],
            "input-cursor-background": colours["accent"],
            "input-selection-background": colours["chosen"],
            "border": colours["accent"],
            "border-blurred": colours["line"],
            "footer-background": colours["sunken"],
            "footer-key-foreground": colours["accent"],
            "footer-description-foreground": colours["muted"],
            "scrollbar": colours["line"],
            "scrollbar-background": colours["ground"],
            "scrollbar-corner-color": colours["ground"],
            "scrollbar-background-hover": colours["ground"],
            "scrollbar-background-active": colours["ground"],
            "scrollbar-hover": colours["muted"],
            "scrollbar-active": colours["accent"],
            **{f"series-{i}": colour for i, colour in enumerate(series, 1)},
        },
    )


THEMES = (
    _theme(
        DARK,
        True,
        {
            "ground": "#191715",
            "surface": "#211e1b",
            "raised": "#2b2723",
            "sunken": "#121110",
            "line": "#3a342e",
            "text": "#ece6dd",
            "muted": "#aca194",
            "accent": "#eba27c",
            "chosen": "#3c2a20",
            "faint": "#6a4a39",
            "danger": "#f2938c",
            "good": "#8cc79a",
            "warning": "#e0b860",
        },
        (
            "#eba27c",
            "#7cc0d8",
            "#8cc79a",
            "#e0c56a",
            "#c79ae0",
            "#f2938c",
            "#8fa6f0",
            "#b8b0a4",
        ),
    ),
    _theme(
        LIGHT,
        False,
        {
            "ground": "#f6f2ec",
            "surface": "#fefcf9",
            "raised": "#ffffff",
            "sunken": "#ece5db",
            "line": "#ddd4c7",
            "text": "#29241f",
            "muted": "#665c51",
            "accent": "#9c4220",
            "chosen": "#f4e3d8",
            "faint": "#e3bfa9",
            "danger": "#a3222d",
            "good": "#2d6a3c",
            "warning": "#835b00",
        },
        (
            "#9c4220",
            "#1f6f94",
            "#2d6a3c",
            "#8a6500",
            "#7a3fa0",
            "#a3222d",
            "#3d55b8",
            "#665c51",
        ),
    ),
)
