// Server-sent events, as the HTML standard has them, of which only `data` matters here.

/** The data of each event in a stream of bytes, however these are cut. */
export async function* events(stream) {
  const decoder = new TextDecoder();
  const lines = new Lines();
  let data = [];
  for await (const chunk of pieces(stream)) {
    for (const line of lines.take(decoder.decode(chunk, { stream: true }))) {
      if (line === "") {
        if (data.length) yield data.join("\n");
        data = [];
      } else if (line === "data" || line.startsWith("data:")) {
        data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  }
  // An event without its blank line is not whole, and isn't one.
}

async function* pieces(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever stops reading wants no more to be written
  }
}

/** Text in, whole lines out; a line ends with \n, \r\n or \r. */
class Lines {
  #rest = "";

  take(text) {
    const all = this.#rest + text;
    // A \r at the very end may be the half of \r\n.
    const end = all.endsWith("\r") ? all.length - 1 : all.length;
    const lines = all.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() + all.slice(end);
    return lines;
  }
}
