// A long list of table rows, of which only those near the eye are in the document.

const ROW = 34; // pixels, as runs.css has it
const MARGIN = 25; // rows beyond each edge
const SMALL = 150; // a list so short is in the document whole

export class RowWindow {
  /** `frame` scrolls, `body` is its table's tbody; `seen(rows)` is called with rows that came into the document. */
  constructor(frame, body, seen = () => {}) {
    this.frame = frame;
    this.body = body;
    this.seen = seen;
    this.rows = [];
    this.above = spacer();
    this.below = spacer();
    frame.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  /** Show these rows (tr elements); those that are in the document already stay as they are. */
  show(rows) {
    this.rows = rows;
    this.draw(true);
  }

  /** Bring a row into the document and into sight. */
  reveal(row) {
    const at = this.rows.indexOf(row);
    if (at < 0) return;
    if (!row.isConnected) {
      this.frame.scrollTop = Math.max(0, at * this.height() - this.frame.clientHeight / 2);
      this.draw();
    }
    row.scrollIntoView({ block: "nearest" });
  }

  /** The rows in the document. */
  get shown() {
    return this.rows.slice(this.from ?? 0, this.to ?? this.rows.length);
  }

  height() {
    const one = this.body.querySelector("tr[data-row]");
    return one?.offsetHeight || ROW;
  }

  draw(changed = false) {
    const count = this.rows.length;
    let [from, to] = [0, count];
    const height = count > SMALL ? this.height() : ROW;
    if (count > SMALL) {
      // In steps, so that scrolling a little changes nothing.
      const first = Math.floor(this.frame.scrollTop / height);
      const many = Math.ceil((this.frame.clientHeight || 900) / height);
      from = Math.max(0, Math.floor((first - MARGIN) / 10) * 10);
      to = Math.min(count, Math.ceil((first + many + MARGIN) / 10) * 10);
    }
    if (!changed && from === this.from && to === this.to) return;
    [this.from, this.to] = [from, to];
    const wanted = this.rows.slice(from, to);
    const keep = new Set(wanted);
    for (const row of [...this.body.children]) if (!keep.has(row)) row.remove();
    let next = this.body.firstChild;
    const came = [];
    wanted.forEach((row, number) => row.setAttribute("aria-rowindex", from + number + 2)); // the header's is 1
    for (const row of wanted) {
      if (row === next) {
        next = next.nextSibling;
      } else {
        if (!row.isConnected) came.push(row);
        this.body.insertBefore(row, next);
      }
    }
    while (next) {
      const after = next.nextSibling;
      next.remove();
      next = after;
    }
    this.above.style.setProperty("--space", `${from * height}px`);
    this.below.style.setProperty("--space", `${(count - to) * height}px`);
    if (from > 0) this.body.prepend(this.above);
    if (to < count) this.body.append(this.below);
    this.seen(came);
  }
}

function spacer() {
  const row = document.createElement("tr");
  row.className = "space";
  row.setAttribute("aria-hidden", "true");
  row.append(document.createElement("td"));
  return row;
}
