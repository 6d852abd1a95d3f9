// Listening to what the server says has changed. Only pages in sight listen: a browser has six connections for a server.

const LEAST = 700; // milliseconds from one look to the next
const MOST = 10_000;

/** Call `changed` (which may be async) after each change; `state` is an element that tells whether anybody listens. */
export function listen({ changed, state = null }) {
  let source = null;
  let timer = null;
  let busy = false;
  let again = false;

  async function look() {
    timer = null;
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    const begun = performance.now();
    try {
      await changed();
    } catch {
      // The server is away for a moment; the next change, or the next connection, brings it up to date.
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      soon(Math.min(MOST, 4 * (performance.now() - begun))); // a slow server is asked less often
    }
  }

  function soon(wait = 0) {
    if (timer === null) timer = setTimeout(look, Math.max(LEAST / 4, Math.min(MOST, wait)));
  }

  function show(text, off) {
    if (!state) return;
    state.hidden = false;
    state.textContent = text;
    state.classList.toggle("off", off);
  }

  function begin() {
    if (source || document.hidden) return;
    source = new EventSource("/live");
    source.addEventListener("hello", () => {
      show("Live", false);
      soon(); // what has changed since the page was made
    });
    source.addEventListener("changed", () => soon(LEAST));
    source.addEventListener("error", () => {
      show("Not connected", true);
      if (source && source.readyState === EventSource.CLOSED) {
        end();
        setTimeout(begin, MOST);
      }
    });
  }

  function end() {
    source?.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) end();
    else begin();
  });
  window.addEventListener("pagehide", end);
  window.addEventListener("pageshow", (event) => event.persisted && begin());
  begin();
}
