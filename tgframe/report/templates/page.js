"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const charts = JSON.parse(document.getElementById("data").textContent);

  // Charts: a pointer over one reads off every chart of its group.
  const short = (value) =>
    (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)))).replace("-", "−");
  const nearest = (points, x) => points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
  const figures = all("[data-chart]").map((figure) => ({
    figure, data: charts[figure.dataset.chart], canvas: figure.querySelector(".canvas"),
    cursor: figure.querySelector(".cursor"), readout: figure.querySelector(".readout"), latest: figure.querySelector(".readout").textContent,
  }));
  const read = (one, x) => {
    const { low, high, curves } = one.data;
    const inside = curves.map((points) => nearest(points, x));
    const point = nearest(inside, x);
    one.cursor.style.left = `${(100 * (point[0] - low)) / (high - low)}%`;
    one.cursor.hidden = false;
    const values = curves.length > 1 ? [point] : inside;
    one.readout.textContent = `${values.map((value) => short(value[1])).join(" · ")} at ${short(Math.round(point[0]))}`;
  };
  for (const one of figures) {
    const group = figures.filter((other) => other.data.group === one.data.group);
    one.canvas.addEventListener("pointermove", (event) => {
      const box = one.canvas.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      group.forEach((other) => read(other, one.data.low + share * (one.data.high - one.data.low)));
    });
    one.canvas.addEventListener("pointerleave", () => group.forEach((other) => {
      other.cursor.hidden = true;
      other.readout.textContent = other.latest;
    }));
  }

  // Tokens: left and right walk within a completion, up and down between the completions of a row.
  const at = (tokens, token) => {
    all(".at").forEach((old) => old.classList.remove("at"));
    if (token) token.classList.add("at");
  };
  document.addEventListener("keydown", (event) => {
    const tokens = event.target.closest ? event.target.closest(".tokens") : null;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const row = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!tokens || (!step && !row)) return;
    event.preventDefault();
    if (step) {
      const found = all("i", tokens);
      const now = found.findIndex((token) => token.classList.contains("at"));
      at(tokens, found[Math.min(found.length - 1, Math.max(0, now < 0 ? 0 : now + step))]);
      return;
    }
    const siblings = all(".tokens", tokens.closest(".card, .followed, .bests") || document);
    const next = siblings[siblings.indexOf(tokens) + row];
    if (next) next.focus();
  });
  document.addEventListener("focusout", () => at(null, null));

  // Cards: filter and order.
  for (const form of all(".filters")) {
    const ROOM = 10;
    let room = ROOM;
    const section = form.closest("section");
    const holder = section.querySelector("[data-cards]");
    const more = section.querySelector(".show-more");
    const words = (elements) => elements.map((one) => one.textContent).join("\n").toLowerCase().replaceAll("⏎", "");
    const cards = all(".card", holder).map((card, rank) => ({
      card, rank, place: +card.dataset.place, change: +card.dataset.change,
      phase: card.dataset.phase, step: +card.dataset.step, reversed: +card.dataset.reversed,
      completions: all(".completions > li, .systems > li", card).map((item) => ({ item, text: words(all(".tokens, .wrote p:not(.cut)", item)) })),
      prompt: words(all(".prompt p, .given p:not(.cut)", card)),
    }));
    const orders = {
      best: (a, b) => a.rank - b.rank,
      time: (a, b) => a.place - b.place,
      reversed: (a, b) => b.reversed - a.reversed || a.rank - b.rank,
      rise: (a, b) => b.change - a.change || a.rank - b.rank,
      fall: (a, b) => a.change - b.change || a.rank - b.rank,
    };
    const value = (name) => (form.elements[name] ? form.elements[name].value : "");
    const number = (name, otherwise) => (value(name) === "" ? otherwise : +value(name));
    const show = () => {
      const text = value("text").trim().toLowerCase();
      const phase = value("phase");
      let matching = 0;
      for (const one of cards) {
        const hits = one.completions.map((completion) => completion.text.includes(text));
        const early = one.step < number("from", -Infinity);
        const late = one.step > number("to", Infinity);
        const visible = !early && !late && (!phase || one.phase === phase) && (one.prompt.includes(text) || hits.includes(true));
        one.card.hidden = !visible;
        matching += visible;
        one.completions.forEach((completion, index) => completion.item.classList.toggle("dim", hits.includes(true) && !hits[index]));
      }
      form.querySelector(".count").textContent = `${matching} of ${cards.length} match`;
      all(".card:not([hidden])", holder).forEach((card, index) => card.classList.toggle("later", index >= room));
      more.hidden = matching <= room;
      more.textContent = `Show ${Math.min(ROOM, matching - room)} more of ${matching}`;
    };
    more.addEventListener("click", () => {
      room += ROOM;
      show();
    });
    const order = form.elements.order;
    if (order) order.addEventListener("change", () => {
      holder.append(...[...cards].sort(orders[order.value]).map((one) => one.card));
      show();
    });
    form.addEventListener("input", () => {
      room = ROOM;
      show();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    show();
  }

  // Colours: on wish each group has a scale of its own, from its lowest to its highest value.
  const scale = document.querySelector(".own-scale");
  if (scale) {
    const measured = () => all(".card, .followed, .bests li").map((group) => {
      const tokens = all(".tokens i", group).map((token) => ({ token, name: token.className, value: parseFloat(token.dataset.v.replace("−", "-")) }));
      const values = tokens.map((one) => one.value).filter(Number.isFinite);
      return { tokens, low: Math.min(...values), high: Math.max(...values) };
    });
    let groups = null;
    const paint = (own) => {
      groups = groups || measured();
      for (const { tokens, low, high } of groups) {
        for (const { token, name, value } of tokens) {
          const level = high > low ? Math.min(6, Math.floor((7 * (value - low)) / (high - low))) : 3;
          token.className = own && Number.isFinite(value) ? `s${level}` : name;
        }
      }
      document.getElementById("samples").classList.toggle("own", own);
    };
    scale.hidden = false;
    scale.querySelector("input").addEventListener("change", (event) => paint(event.target.checked));
  }

  // Tables: a click on a heading orders by it.
  for (const button of all("th > button")) {
    const heading = button.parentElement;
    const body = heading.closest("table").tBodies[0];
    const key = (row) => {
      const cell = row.cells[heading.cellIndex];
      const value = cell.querySelector("data");
      return value ? (value.value === "" ? -Infinity : +value.value) : cell.textContent.trim().toLowerCase();
    };
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      all("[aria-sort]", heading.parentElement).forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
      body.append(...(down ? rows.reverse() : rows));
    });
  }
})();
