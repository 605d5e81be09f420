// Numbers as people read them; the same words as `maquette ps` uses.

/** 10000000 -> "10.0M": three digits and a unit. */
export function count(value) {
  if (!Number.isFinite(value)) return "";
  for (const [unit, size] of [["T", 1e12], ["B", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(value) >= size * 0.9995) return `${three(value / size)}${unit}`;
  }
  return Number.isInteger(value) ? String(value) : three(value);
}

/** 20000 -> "20k": a round number beside an axis. */
export const round = (value) => count(value).replace(/\.0+(?=\D|$)|(\.\d*[1-9])0+(?=\D|$)/, "$1");

/** 1610612736 -> "1.50 GiB". */
export function bytes(value) {
  if (!Number.isFinite(value)) return "";
  for (const [unit, power] of [["TiB", 40], ["GiB", 30], ["MiB", 20], ["KiB", 10]]) {
    if (value >= 2 ** power * 0.9995) return `${three(value / 2 ** power)} ${unit}`;
  }
  return `${value} B`;
}

/** 7800 -> "2h10min": the two largest units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return `${Number(Math.max(0, seconds).toPrecision(2))}s`;
  const total = Math.round(seconds);
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => total >= size);
  const [[unit, size], next] = [parts[first], parts[first + 1]];
  const rest = next ? Math.floor((total % size) / next[1]) : 0;
  return `${Math.floor(total / size)}${unit}${rest ? `${rest}${next[0]}` : ""}`;
}

/** How long ago, in one unit. */
export function ago(seconds) {
  if (!Number.isFinite(seconds)) return "";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)}${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))}s`;
}

/** A loss, with three decimals as long as that is short. */
export function loss(value) {
  if (!Number.isFinite(value)) return "";
  return Math.abs(value) < 1e5 ? value.toFixed(3) : value.toPrecision(3);
}

/** A learning rate: "3.00e-4". */
export const rate = (value) => (Number.isFinite(value) ? value.toExponential(2) : "");

/** A step: "12,000". */
export const whole = (value) =>
  Number.isFinite(value) ? Math.round(value).toLocaleString("en") : "";

/** How far of all steps, 0 to 1. */
export const share = (step, steps) => (steps > 0 ? Math.min(1, Math.max(0, step / steps)) : 0);

/** How far, in percent; 100 only at the end. */
export const percent = (step, steps) => `${Math.floor(100 * share(step, steps))}%`;

/** "2026-11-21 17:04", as this machine's clock has it. `at` in seconds since 1970. */
export function clock(at) {
  const date = new Date(at * 1000);
  if (Number.isNaN(date.getTime())) return "";
  const [month, day, hours, minutes] = [date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes()].map(
    (one) => String(one).padStart(2, "0"),
  );
  return `${date.getFullYear()}-${month}-${day} ${hours}:${minutes}`;
}

function three(value) {
  const size = Math.abs(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}
