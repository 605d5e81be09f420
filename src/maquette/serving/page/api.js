// The server: its model, and its answers as they are written.

import { events } from "./sse.js";

/** What went wrong. `kind` says what can be done about it; the message is for people. */
export class Problem extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const UNREACHABLE = "The server can't be reached. Is maquette serve still running?";
const LOCKED_OUT =
  "The server doesn't know this browser (any more). Open the link that maquette serve printed again.";
const BUSY = "The server is busy: too many requests are waiting. Try again in a moment.";
const CUT = "The connection broke in the middle of the answer. What there is of it is kept.";

/** The model that is served, as /v1/models tells it. Raises Problem. */
export async function servedModel() {
  const response = await send("/v1/models", {});
  const { data } = await response.json();
  return data[0];
}

/** Ask for an answer; `[how many messages were left out, its chunks]`. Raises Problem. */
export async function ask(body, signal) {
  const response = await send("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true }),
    signal,
  });
  const dropped = Number(response.headers.get("maquette-dropped-messages") ?? 0);
  return [dropped, chunks(response.body)];
}

/** What an image file shows: `classes`, each `name` and `probability`. Raises Problem. */
export async function classify(bytes, signal) {
  const response = await send("/v1/classify", { method: "POST", body: bytes, signal });
  try {
    return await response.json();
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem("unreachable", UNREACHABLE);
  }
}

async function* chunks(stream) {
  let done = false;
  try {
    for await (const data of events(stream)) {
      done = data === "[DONE]";
      if (done) break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw problem(0, chunk.error);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    throw new Problem("cut", CUT);
  }
  if (!done) throw new Problem("cut", CUT);
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Problem("unreachable", UNREACHABLE);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw problem(response.status, body.error ?? {});
}

function problem(status, { code, message = `it answered ${status}` }) {
  if (status === 401) return new Problem("locked-out", LOCKED_OUT);
  if (status === 429) return new Problem("busy", BUSY);
  if (code === "context_length_exceeded") return new Problem("too-long", message);
  if (code === "invalid_image") return new Problem("broken", `${message}.`);
  if (code === "shutting_down") return new Problem("unreachable", "The server is ending.");
  return new Problem("refused", `The server says: ${message}.`);
}
