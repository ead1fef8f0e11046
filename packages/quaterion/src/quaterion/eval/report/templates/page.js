// Draws the charts of the page from the JSON in it. Text of the data goes into text nodes only.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const figures = JSON.parse(byId("figures").textContent);
  const charts = JSON.parse(byId("charts").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let views = [];

  // --- theme: colours are custom properties of the page's style ---------------------------------------------------
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const coloured = (value) => {
    if (typeof value === "string") {
      const found = /^var\(--([a-z0-9-]+)\)$/.exec(value);
      return (found && colour(found[1])) || value;
    }
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, key === "values" ? one : coloured(one)]));
    }
    return value;
  };
  const config = () => {
    const text = { labelColor: colour("muted"), titleColor: colour("muted"), labelFontSize: 12, titleFontSize: 12 };
    return {
      background: null,
      font: getComputedStyle(document.body).fontFamily,
      padding: { left: 2, right: 10, top: 4, bottom: 2 },
      view: { stroke: null },
      axis: { ...text, titleFontWeight: 400, titlePadding: 8, gridColor: colour("grid"), domainColor: colour("line"),
        tickColor: colour("line"), labelOverlap: true, labelSeparation: 8 },
      legend: { ...text, symbolStrokeWidth: 2, offset: 6, columnPadding: 14 },
      title: { color: colour("text"), fontSize: 13, fontWeight: 600, offset: 6 },
    };
  };

  // --- what is shown on hover --------------------------------------------------------------------------------------
  const tip = byId("tip");
  const line = (text, muted) => {
    const element = document.createElement("div");
    const isolated = document.createElement("bdi");
    isolated.textContent = text;
    element.append(isolated);
    if (muted) element.className = "muted";
    return element;
  };
  const picture = (address) => {
    const image = document.createElement("img");
    image.src = address;
    image.alt = "";
    return image;
  };
  const describe = (item) => {
    const point = item && item.datum;
    if (!point || point.place === undefined) return null;
    const map = figures.map, parts = [];
    if (map.image && map.image[point.place]) parts.push(picture(map.image[point.place]));
    parts.push(line(map.text[point.place]), line(map.groups[point.group] + " · row " + map.row[point.place], true));
    return parts;
  };
  const entries = (value) =>
    value && typeof value === "object" ? Object.entries(value).map(([key, one]) => line(key + ": " + one)) : null;
  const showTip = (handler, event, item, value) => {
    const parts = describe(item) || entries(value);
    tip.hidden = !parts;
    if (!parts) return;
    tip.replaceChildren(...parts);
    const box = tip.getBoundingClientRect();
    const place = (at, size, room) => Math.max(8, at + 14 + size + 8 > room ? at - 14 - size : at + 14);
    tip.style.left = Math.min(place(event.clientX, box.width, innerWidth), innerWidth - box.width - 8) + "px";
    tip.style.top = place(event.clientY, box.height, innerHeight) + "px";
  };
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });

  // --- charts ------------------------------------------------------------------------------------------------------
  const points = (name) => {
    const map = figures.map;
    return map[name].x.map((x, place) => ({ x, y: map[name].y[place], group: map.group[place], place }));
  };
  const target = (id) => {
    const known = byId(id === "recall" ? "recall-chart" : id);
    if (known) return known;
    const figure = document.createElement("figure"), chart = document.createElement("div");
    chart.id = id;
    chart.className = "chart";
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", "Curve of logged values; the table below holds its figures");
    figure.append(chart);
    byId("training-charts").append(figure);
    return chart;
  };
  const draw = async () => {
    const style = config();
    views.forEach((view) => view.finalize());
    views = await Promise.all(Object.entries(charts).map(async ([id, chart]) => {
      const isMap = id.startsWith("map-");
      const specification = coloured(chart);
      if (isMap) specification.data = { name: "points", values: points(id.slice(4)) };
      const { view } = await vegaEmbed(target(id), specification, {
        actions: false, ast: true, config: style, renderer: isMap ? "canvas" : "svg", tooltip: showTip, mode: "vega-lite",
      });
      if (isMap) view.signal("chosen", Number(byId("chosen").value)).run();
      return view;
    }));
    document.body.dataset.drawn = String(views.length);
  };

  // --- one group of the map, also for those who do not hover -------------------------------------------------------
  const SHOWN = 200;
  const chooser = byId("chosen"), members = byId("members");
  const order = figures.map.groups.map((name, number) => [name, number]);
  order.sort((one, other) => (one[0] < other[0] ? -1 : 1));
  for (const [name, number] of order) chooser.add(new Option(name, number));
  chooser.addEventListener("change", () => {
    const chosen = Number(chooser.value), map = figures.map;
    views.forEach((view) => { try { view.signal("chosen", chosen).run(); } catch { /* no map */ } });
    members.hidden = chosen < 0;
    if (chosen < 0) return;
    const places = map.group.flatMap((group, place) => (group === chosen ? [place] : []));
    const list = document.createElement("ul");
    for (const place of places.slice(0, SHOWN)) {
      const entry = document.createElement("li");
      if (map.image && map.image[place]) entry.append(picture(map.image[place]));
      const isolated = document.createElement("bdi");
      isolated.textContent = map.text[place];
      entry.append(isolated);
      list.append(entry);
    }
    const rest = places.length > SHOWN ? ", the first " + SHOWN + " of them:" : ":";
    members.replaceChildren(line(places.length.toLocaleString("en") + " objects" + rest, true), list);
  });

  draw();
  dark.addEventListener("change", draw);
})();
