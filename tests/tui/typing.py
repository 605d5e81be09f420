"""Typing as a terminal sends it: one key for each character."""

import string

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " äß€🙂"


async def typed(pilot: Pilot[None], text: str) -> None:
    """Press a key for each of these characters, where the focus is."""
    for character in text:
        pilot.app.post_message(events.Key(_character_to_key(character), character))
    await pilot.pause()
