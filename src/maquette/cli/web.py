"""The show as a page: `maquette simulate --web`."""

import contextlib
from typing import TYPE_CHECKING

from maquette.cli import common

if TYPE_CHECKING:
    from maquette.simulation.terminal import Options


def serve_page(options: "Options", port: int, *, open_browser: bool) -> None:
    """Serve the page on this machine alone until Ctrl-C; first fetch what is missing."""
    from maquette.cli.serve import show_in_browser
    from maquette.serving.listening import listen
    from maquette.simulation.terminal import to_address
    from maquette.web.files import page_files
    from maquette.web.packages import packages
    from maquette.web.server import Server

    host = "127.0.0.1"
    bound = listen(host, port)  # first, since fetching takes its time
    with bound:
        files = page_files(packages(common.say))
        url = f"http://{host}:{bound.getsockname()[1]}/{to_address(options)}"
        with contextlib.suppress(KeyboardInterrupt):
            print(url, flush=True)
            common.say("Ctrl-C ends it")
            if open_browser:
                show_in_browser(url)
            Server(files, bound).serve_forever()
