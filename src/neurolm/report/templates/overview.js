"use strict";
// Finding, showing a part, and sorting by a column: the page can do without.
const names = new Intl.Collator("en", { numeric: true });
for (const section of document.querySelectorAll("section")) {
  const tools = section.querySelector(".tools"), table = section.querySelector(".lines");
  if (!tools) continue;
  const [part, order] = tools.querySelectorAll("select"), find = tools.querySelector("input");
  const said = tools.querySelector("output"), heads = [...table.tHead.rows[0].cells], bodies = [...table.tBodies];
  const lines = bodies.flatMap(body => [...body.rows].slice(1).map(row => ({ row, body, text: null })));
  const named = head => head.firstChild.data.trim();
  const number = text => {
    const clock = text.match(/^(?:(\d+):)?(\d+):(\d\d)$/), of = text.match(/^(\d+) of (\d+)/);
    const plain = text.match(/^[<>]?([\d.]+)/);
    if (clock) return 3600 * (clock[1] || 0) + 60 * clock[2] + 1 * clock[3];
    if (of) return of[1] / of[2];
    return plain ? plain[1] - (text[0] === "<" ? 1e-3 : 0) + (text[0] === ">" ? 1e-3 : 0) : -1;
  };
  const option = (select, text, value) => select.append(new Option(text, value));
  bodies.forEach((body, place) => option(part, body.rows[0].cells[0].firstChild.data.trim(), place));
  heads.forEach((head, column) => {
    if (["timeline", "notes"].includes(named(head))) return;
    option(order, named(head), column + "u");
    option(order, named(head) + ", descending", column + "d");
  });
  const show = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const full = new Set();
    let count = 0;
    for (const line of lines) {
      line.text ??= line.row.textContent.toLowerCase();
      const meant = part.value === "" || line.body === bodies[part.value];
      const seen = meant && words.every(word => line.text.includes(word));
      if (seen) full.add(line.body);
      line.row.hidden = !seen;
      count += seen;
    }
    for (const body of bodies) body.rows[0].hidden = order.value !== "" || !full.has(body);
    const counted = [count, lines.length].map(one => one.toLocaleString("en"));
    said.textContent = count === lines.length ? "" : counted.join(" of ");
  };
  const sort = () => {
    const column = parseInt(order.value), down = order.value.endsWith("d") ? -1 : 1;
    heads.forEach((head, place) => head.removeAttribute("aria-sort"));
    if (order.value === "") for (const line of lines) line.body.append(line.row);
    else {
      heads[column].ariaSort = down < 0 ? "descending" : "ascending";
      const text = line => line.row.cells[column].firstChild.textContent.trim();
      const worded = ["recording", "answer"].includes(named(heads[column]));
      const keyed = lines.map(line => [worded ? text(line) : number(text(line)), line.row]);
      keyed.sort(worded ? (a, b) => down * names.compare(a[0], b[0]) : (a, b) => down * (a[0] - b[0]));
      bodies[0].append(...keyed.map(pair => pair[1]));
    }
    show();
  };
  let wait;
  find.oninput = () => { clearTimeout(wait); wait = setTimeout(show, 150); };
  part.onchange = show;
  order.onchange = sort;
  tools.hidden = false;
}
