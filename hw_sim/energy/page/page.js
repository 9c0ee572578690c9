// The switch: one choice of prices and setting for all that follows it, and tables that sort. Without it the page
// stands as it was written, in the first state.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const choose = Object.fromEntries(["profile", "precision", "context", "batch"].map((id) => [id, document.getElementById(id)]));
  const settings = ["context", "batch"].filter((name) => choose[name]); // a network of another tool has none
  const articles = [...document.querySelectorAll("article")];
  const nameOf = (profile, precision) => (precision === "chip" ? profile : `${profile}-${precision}`);
  const views = articles.map(() => new Map());

  function state(states, column, setting) {
    for (const key of [`${column}@${setting}`, `@${setting}`, column, ""]) if (key in states) return states[key];
    return null;
  }

  // -- pictures: each is drawn at the width it has, and filled anew when the state changes
  function draw(figure, view, now, column) {
    figure.hidden = !now;
    if (!now) return;
    figure.querySelector("h3").textContent = now.title;
    const plot = figure.querySelector(".plot");
    plot.setAttribute("aria-label", now.text);
    if (view.signals.has("column")) view.vega.signal("column", column);
    if (view.signals.has("terms")) view.vega.signal("terms", now.terms);
    view.vega.data("table", now.rows.map((values) => Object.fromEntries(now.fields.map((f, i) => [f, values[i]]))));
    fit(view, plot);
  }

  let printing = false; // paper scales what the screen shows
  function fit(view, plot) {
    const room = Math.floor(plot.clientWidth);
    if (room && !printing) view.vega.width(Math.min(room, 860)).signal("legendColumns", Math.max(1, Math.floor((Math.min(room, 620) - 150) / 115)));
    view.vega.run();
  }

  function view(figure, spec) {
    const plot = figure.querySelector(".plot");
    const runtime = vega.parse(spec);
    const made = new vega.View(runtime, { renderer: "svg", hover: true, logLevel: vega.Error });
    plot.replaceChildren();
    plot.classList.add("drawn");
    made.initialize(plot);
    return { vega: made, plot, signals: new Set((spec.signals ?? []).map((s) => s.name)) };
  }

  // -- words and the table of a state
  function write(article, report, column, setting) {
    const set = (name, text) => article.querySelectorAll(`[data-${name}]`).forEach((e) => (e.textContent = text));
    set("column", column);
    for (const li of article.querySelectorAll("li[data-at]")) li.hidden = li.dataset.at !== column;
    set("grade", `${report.grades[column] ?? ""} prices`);
    const table = article.querySelector("table[id$=chosen]");
    const now = report.chosen[`${column}@${setting}`];
    if (!table || !now) return;
    table.caption.firstElementChild.textContent = now.caption;
    table.tBodies[0].replaceChildren(...now.rows.map((cells) => {
      const tr = document.createElement("tr");
      cells.forEach((text, i) => {
        const cell = document.createElement(i ? "td" : "th");
        if (!i) cell.scope = "row";
        if (now.prose.includes(i)) cell.className = "prose";
        cell.textContent = text;
        tr.append(cell);
      });
      return tr;
    }));
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
  }

  function show() {
    const column = nameOf(choose.profile.value, choose.precision.value);
    const setting = settings.map((name) => choose[name].value).join("@");
    articles.forEach((article, i) => {
      const report = data.reports[i];
      write(article, report, column, setting);
      for (const figure of article.querySelectorAll("figure")) {
        const chart = report.charts[figure.dataset.chart];
        const now = state(chart.states, column, setting);
        if (now && !views[i].has(figure)) views[i].set(figure, view(figure, data.specs[figure.dataset.chart]));
        draw(figure, views[i].get(figure), now, column);
      }
    });
  }

  function offer() {
    const wanted = choose.precision.value;
    choose.precision.replaceChildren(...data.choices[choose.profile.value].map((p) => new Option(p, p)));
    if (data.choices[choose.profile.value].includes(wanted)) choose.precision.value = wanted;
  }

  function take(column) {
    for (const [profile, precisions] of Object.entries(data.choices))
      for (const precision of precisions)
        if (nameOf(profile, precision) === column) {
          choose.profile.value = profile;
          offer();
          choose.precision.value = precision;
          return true;
        }
    return false;
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((th, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") !== "descending" && i > 0 || th.getAttribute("aria-sort") === "ascending";
        const value = (tr) => tr.cells[i].textContent.trim();
        const number = (text) => parseFloat(text.replaceAll(",", ""));
        const rows = [...table.tBodies[0].rows].sort((a, b) => {
          const [x, y] = [value(a), value(b)], [p, q] = [number(x), number(y)];
          if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q) || x.localeCompare(y) * (down ? -1 : 1);
          return (p - q) * (down ? -1 : 1);
        });
        table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        table.tBodies[0].replaceChildren(...rows);
      });
    });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  if (!choose.profile) {
    // No price column: pictures of counts stand as they were written.
    return;
  }
  document.getElementById("switch").hidden = false;
  document.getElementById("switch").addEventListener("submit", (event) => event.preventDefault());
  choose.profile.replaceChildren(...Object.keys(data.choices).map((p) => new Option(p, p)));
  for (const name of settings) {
    choose[name].replaceChildren(...data[name].offered.map((n) => new Option(n.toLocaleString("en"), n)));
    choose[name].value = data[name].own;
  }
  offer();
  const follow = () => take(decodeURIComponent(location.hash.slice(1))) || take(data.first);
  follow();
  show();
  choose.profile.addEventListener("change", () => { offer(); show(); });
  for (const name of ["precision", ...settings]) choose[name].addEventListener("change", show);
  addEventListener("hashchange", () => { if (take(decodeURIComponent(location.hash.slice(1)))) show(); });
  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => printing || views.forEach((of) => of.forEach((v) => fit(v, v.plot))), 150);
  });
  let opened = [];
  addEventListener("beforeprint", () => {
    printing = true;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((d) => (d.open = true));
  });
  addEventListener("afterprint", () => {
    printing = false;
    opened.forEach((d) => (d.open = false));
  });
})();
