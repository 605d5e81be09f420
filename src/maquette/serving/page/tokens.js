// Tokens and their chances: kept small, and put together to characters.
//
// A token is kept as [bytes, log p, [[bytes, log p] of the likeliest, ...]], its bytes as a string
// of characters 0 ... 255, and log p in nats.

const DIGITS = 1e4;

/** A token as the API has it, in the form that is kept. */
export function kept(entry) {
  return [...one(entry), entry.top_logprobs.map(one)];
}

function one({ bytes, logprob }) {
  return [String.fromCharCode(...bytes), Math.round(logprob * DIGITS) / DIGITS];
}

/** Surprise in bits. */
export function bits(logprob) {
  return Math.max(0, -logprob / Math.LN2);
}

export function percent(logprob) {
  const p = 100 * Math.exp(logprob);
  if (p >= 99.95 && p < 100) return "> 99.9 %";
  if (p < 0.01) return "< 0.01 %";
  return `${p.toFixed(p < 1 ? 2 : 1)} %`;
}

/**
 * Cells to show: each is the fewest tokens in a row that are whole characters together, as a token
 * of bytes may be a part of one. `[{text, tokens, bits}]`; with `last`, parts at the end are a cell
 * too, else they are left out until their rest has come.
 */
export function cells(tokens, { last = true } = {}) {
  const found = [];
  let open = [];
  let bytes = "";
  for (const token of tokens) {
    open.push(token);
    bytes += token[0];
    if (isOpen(bytes)) continue;
    found.push(cell(bytes, open));
    [open, bytes] = [[], ""];
  }
  if (open.length && last) found.push(cell(bytes, open));
  return found;
}

function cell(bytes, tokens) {
  return { text: decoded(bytes), tokens, bits: tokens.reduce((sum, [, p]) => sum + bits(p), 0) };
}

function decoded(bytes) {
  const array = Uint8Array.from(bytes, (c) => c.charCodeAt(0));
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(array);
}

/** Whether the last character has begun and can still be finished. */
function isOpen(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes.charCodeAt(bytes.length - back);
    if (byte < 0x80) return false;
    if (byte >= 0xc2) return back < (byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf5 ? 4 : 0);
    if (byte >= 0xc0) return false;
  }
  return false;
}

const NAMES = { " ": "space", "\n": "line end", "\t": "tab", "\r": "carriage return", "": "nothing" };

/** Bytes as one can see them: `the`, `␣`, `↵`, and `\xe2` for what is no character alone. */
export function visible(bytes) {
  const text = decoded(bytes);
  if (text.includes("�")) {
    return Array.from(bytes, (c) => (c >= " " && c <= "~" ? c : hex(c))).join("");
  }
  return text.replace(/[\s\p{Cc}\p{Cf}]/gu, (c) => SIGNS[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`);
}

const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍", "\0": "␀" };

const hex = (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;

/** What a screen reader says for it. */
export function spoken(text) {
  return NAMES[text] ?? text;
}

/** `57 tokens, 1.84 bits each`. */
export function summary(tokens) {
  const all = tokens.reduce((sum, [, p]) => sum + bits(p), 0);
  const mean = (all / tokens.length).toFixed(2);
  return tokens.length === 1 ? `1 token, ${mean} bits` : `${tokens.length} tokens, ${mean} bits each`;
}
