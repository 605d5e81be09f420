// What the server knows of runs, asked for again and again while somebody looks.

/** What went wrong, for people. `gone`: there is no such run (any more). */
export class Problem extends Error {
  constructor(message, { gone = false } = {}) {
    super(message);
    this.gone = gone;
  }
}

const UNREACHABLE = "The server can't be reached. Is maquette serve still running?";
const LOCKED_OUT =
  "The server doesn't know this browser (any more). Open the link that maquette serve printed again.";
const GONE = "This run is gone: its folder was deleted or moved.";

let skew = 0;

/** The server's time, in seconds since 1970: a phone's clock may be off. */
export const now = () => Date.now() / 1000 + skew;

/** An address, and what it answered last. */
export class Source {
  #tag = null;

  /** What it answers now; null where that is what it was. Raises Problem. */
  async read(address, signal) {
    const headers = this.#tag ? { "if-none-match": this.#tag } : {};
    let response;
    try {
      response = await fetch(address, { headers, signal });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Problem(UNREACHABLE);
    }
    const date = Date.parse(response.headers.get("date") ?? "");
    if (Number.isFinite(date) && Math.abs(date / 1000 - now()) > 2) skew = (date - Date.now()) / 1000;
    if (response.status === 304) return null;
    const body = await response.json().catch(() => null);
    if (response.ok && body) {
      this.#tag = response.headers.get("etag");
      return body;
    }
    if (response.status === 401) throw new Problem(LOCKED_OUT);
    if (response.status === 404) throw new Problem(GONE, { gone: true });
    throw new Problem(`The server failed: ${body?.error?.message ?? `it answered ${response.status}`}.`);
  }
}

/** The address of a run. */
export function addressOf(id) {
  try {
    return `/api/runs/${encodeURIComponent(id)}`;
  } catch {
    return "/api/runs/%EF%BF%BD"; // no text: a folder may be called by any bytes
  }
}

const MOST_SECONDS = 15;

/** Does something every so often while the page can be seen; one at a time. */
export class Poll {
  #timer = 0;
  #abort = null;
  #failures = 0;

  /** `task(signal)` may say how many seconds to wait; it says what went wrong by Problem. */
  constructor(task, { seconds, tell }) {
    Object.assign(this, { task, seconds, tell });
    document.addEventListener("visibilitychange", () => {
      if (this.#abort && !document.hidden) this.start();
    });
  }

  /** Begin now. */
  start() {
    this.stop();
    this.#abort = new AbortController();
    this.#round(this.#abort.signal);
  }

  /** Ask no more; what is on its way is not waited for. */
  stop() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#abort = null;
    this.#failures = 0;
  }

  async #round(signal) {
    let wait = this.seconds;
    try {
      wait = (await this.task(signal)) ?? wait;
      if (signal.aborted) return;
      this.#failures = 0;
      this.tell(null);
    } catch (error) {
      if (signal.aborted) return;
      const known = error instanceof Problem;
      if (!known) console.error(error);
      this.tell(known ? error : new Problem("This page failed to show what it was told."));
      if (error.gone) return;
      wait = Math.min(MOST_SECONDS, wait * 2 ** ++this.#failures);
    }
    this.#timer = setTimeout(() => {
      // Hidden: it goes on when the page is seen again.
      if (!document.hidden) this.#round(signal);
    }, wait * 1000);
  }
}
