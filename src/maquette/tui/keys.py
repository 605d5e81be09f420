"""The last line: what the keys do here. Those that there is no room for are in the help."""

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget


class Keys(Widget):
    """Keys and what they do, as many as fit; each can be clicked."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"keys--key"}
    ALLOW_SELECT = False
    DEFAULT_CSS = "Keys { dock: bottom; height: 1; }"

    def on_mount(self) -> None:
        """Follow what the keys do."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self._ends: list[tuple[int, str]] = []

    def _changed(self, _screen: Screen[object]) -> None:
        self.refresh()

    def _fitting(self, width: int) -> list[tuple[str, str, str]]:
        """Key, its name and what it does, of those that do something now; the help always."""
        shown: dict[str, tuple[str, str, str]] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if enabled and binding.show and binding.description:
                name = self.app.get_key_display(binding)
                shown.setdefault(binding.action, (binding.key, name, binding.description))
        help_key = [key for action, key in shown.items() if action == "help"]
        others = [key for action, key in shown.items() if action != "help"]

        def size(keys: list[tuple[str, str, str]]) -> int:
            return sum(len(name) + len(does) + 4 for _, name, does in keys)

        while others and size(others + help_key) > width:
            others.pop()
        return others + help_key

    def render_line(self, y: int) -> Strip:  # noqa: ARG002 - there is but one
        """The keys."""
        base = self.rich_style
        key_style = base + self.get_component_rich_style("keys--key", partial=True)
        segments, self._ends, used = [Segment(" ", base)], [], 1
        for key, name, does in self._fitting(self.size.width):
            segments += [Segment(name, key_style), Segment(f" {does}   ", base)]
            used += len(name) + len(does) + 4
            self._ends.append((used, key))
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def on_click(self, event: events.Click) -> None:
        """Do what the key under the mouse does."""
        for end, key in self._ends:
            if event.x < end:
                self.app.simulate_key(key)
                return
