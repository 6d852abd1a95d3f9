// The names of params, metrics and tags, fetched once somebody needs them.
import { getJSON } from "./base.js";

let pending = null;
let since = 0;

/** {params, metrics, tags, columns}; asked for again after a minute. */
export function names(experiment) {
  if (!pending || Date.now() - since > 60_000) {
    since = Date.now();
    pending = getJSON(experiment ? `/names.json?experiment_id=${encodeURIComponent(experiment)}` : "/names.json");
    pending.catch(() => { pending = null; });
  }
  return pending;
}
