// Numbers, times and sizes as people read them: the same as autotrack/server/pages/formatting.py.

const SPECIAL = { NaN: "NaN", Infinity: "∞", "-Infinity": "−∞" };
const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A metric; texts are what JSON has for NaN and the infinities. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return SPECIAL[value] ?? value;
  if (!Number.isFinite(value)) return SPECIAL[String(value)];
  const size = Math.abs(value);
  if (size < 1e6 && (size >= 1000 || Number.isInteger(value))) return minus(Math.round(value).toLocaleString("en-US"));
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  if (power >= -4 && power < digits) return minus(String(Number(value.toPrecision(digits))));
  return minus(`${Number(mantissa)}e${power[0]}${power.slice(1).padStart(2, "0")}`);
}

function minus(text) {
  return text.replaceAll("-", "−");
}

/** A duration in seconds. */
export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.9995) return `${Number((value * 1000).toPrecision(3))} ms`;
  if (value < 99.95) return `${Number(value.toPrecision(3))} s`;
  const whole = Math.round(value);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600).toLocaleString("en-US")} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Bytes. */
export function size(value) {
  if (value === null || value === undefined) return "";
  let [amount, unit] = [value, 0];
  while (amount >= 999.5 && unit < UNITS.length - 1) [amount, unit] = [amount / 1000, unit + 1];
  return unit === 0 ? `${Math.round(amount)} B` : `${Number(amount.toPrecision(3))} ${UNITS[unit]}`;
}

/** A moment (milliseconds since the epoch) in the reader's zone: "2026-05-01 12:00:31". */
export function stamp(milliseconds) {
  const date = new Date(milliseconds);
  if (Number.isNaN(date.getTime())) return String(milliseconds);
  const two = (part) => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** How long ago that was, short: "4 min ago"; the date after a week. */
export function ago(milliseconds, now = Date.now()) {
  const passed = (now - milliseconds) / 1000;
  if (passed < -60 || passed > 7 * 86400) return stamp(milliseconds).slice(0, 10);
  if (passed < 10) return "just now";
  if (passed < 60) return `${Math.floor(passed)} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86400) return `${Math.floor(passed / 3600)} h ago`;
  return `${Math.floor(passed / 86400)} d ago`;
}
