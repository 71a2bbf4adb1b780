// Renders the documents of the server. All texts of the cluster become text nodes, so they cannot become markup.

const main = document.getElementById("main");
const state = document.getElementById("state");
const SVG = "http://www.w3.org/2000/svg";
const MAX_ROWS = 300;
let fleet = null;
let filter = "";
let onlyUnhealthy = false;

/* Elements */

function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== ""));
  return node;
}

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function link(path, text) {
  return el("a", { href: "#/" + path.map(encodeURIComponent).join("/") }, text);
}

function table(caption, headers, rows, kind = "cards") {
  const head = el("thead", {}, el("tr", {}, headers.map((each) => el("th", { scope: "col" }, each))));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, index) => {
    const content = cell === undefined || cell === null || cell.length === 0 ? "" : cell;
    if (index === 0) return el("th", { scope: "row" }, content);
    return el("td", { "data-label": headers[index], class: content === "" ? "absent" : undefined }, content);
  })));
  return el("table", { class: kind }, el("caption", {}, caption), head, el("tbody", {}, body));
}

function pairs(values) {
  const list = el("dl");
  for (const [key, value] of values) {
    if (value !== undefined && value !== null && value !== "") list.append(el("dt", {}, key), el("dd", {}, value));
  }
  return list;
}

/* One box for each device: allocated, free, unhealthy */

function bar(resource) {
  const { capacity, allocatable, allocated } = resource;
  const text = `${allocated} of ${allocatable} allocated` + (capacity > allocatable ? `, ${capacity - allocatable} unhealthy` : "");
  if (capacity > 128) return el("span", {}, text);
  const boxes = Array.from({ length: Math.max(capacity, allocated) }, (_, index) =>
    el("span", { class: index < allocated ? "used" : index < allocatable ? undefined : "unhealthy" }));
  return el("div", { class: "bar", role: "img", "aria-label": text, title: text }, boxes);
}

function bars(resources) {
  if (!resources.length) return "";
  return el("div", {}, resources.map((each) =>
    el("div", {}, el("span", { class: "muted" }, `${short(each.name)} ${each.allocated}/${each.allocatable}`), bar(each))));
}

// A narrow column breaks long keys after a separator.
const breakable = (text) => text.split(/(?<=[/=:.])/).flatMap((part) => [part, el("wbr")]);

const short = (resource) => resource.replace("nvidia.com/", "");

const legend = () => el("ul", { class: "legend" },
  [["used", "allocated"], [undefined, "free"], ["unhealthy", "unhealthy"]].map(([kind, text]) =>
    el("li", {}, el("span", { class: "bar", "aria-hidden": "true" }, el("span", { class: kind })), " ", text)));

/* Pages */

function problems(document) {
  return Object.entries(document.stale ?? {}).map(([what, why]) =>
    el("p", { class: "problem", role: "alert" }, `The ${what} are not current: ${why}`));
}

function fleetPage() {
  const shown = fleet.nodes.filter((node) =>
    (!onlyUnhealthy || node.problems.length) &&
    [node.name, ...node.models, ...node.resources.map((each) => each.name)].some((text) => text.toLowerCase().includes(filter.toLowerCase())));
  const { totals } = fleet;
  const search = el("input", {
    type: "search", id: "filter", value: filter, placeholder: "Node, model or resource", "aria-label": "Filter nodes", "aria-keyshortcuts": "/",
    oninput: (event) => { filter = event.target.value; show(); },
  });
  const rows = shown.slice(0, MAX_ROWS).map((node) => [
    link(["nodes", node.name], node.name),
    node.models.join(", "),
    bars(node.resources),
    node.sharing,
    el("span", { class: "nowrap" }, node.driver),
    node.problems.length ? el("span", { class: "bad" }, node.problems.join("; ")) : el("span", { class: "ok" }, "healthy"),
    node.taints.map((each) => el("span", { class: "taint" }, breakable(each))),
  ]);
  return ["GPUs of the cluster",
    problems(fleet),
    el("h2", {}, "GPUs of the cluster"),
    el("ul", { class: "totals" },
      total(totals.nodes, "GPU nodes"), total(totals.capacity, "devices"), total(totals.allocated, "allocated"),
      total(totals.free, "free"), total(totals.unhealthy, "unhealthy", totals.unhealthy > 0)),
    el("div", { class: "filters", role: "search" }, search,
      el("label", {}, el("input", { type: "checkbox", checked: onlyUnhealthy, onchange: (event) => { onlyUnhealthy = event.target.checked; show(); } }), " Only with problems")),
    rows.length
      ? table(`${shown.length} of ${fleet.nodes.length} GPU nodes` + (shown.length > MAX_ROWS ? `; the first ${MAX_ROWS} are shown, use the filter for others` : ""), ["Node", "Model", "Devices", "Sharing", "Driver", "Health", "Taints"], rows)
      : el("p", { class: "muted" }, !fleet.isComplete ? "Reading the nodes." : fleet.nodes.length ? "No node matches the filter." : "No node of this cluster has GPUs, or labels of gpunode."),
    legend()];
}

function total(number, text, isBad = false) {
  return el("li", { class: isBad ? "bad" : undefined }, el("strong", {}, String(number)), el("span", {}, text));
}

function nodePage(node) {
  const groups = Object.entries(node.labels).map(([agent, labels]) =>
    el("details", { open: agent === "gfd" },
      el("summary", {}, `${agent} (${Object.keys(labels).length})`),
      el("dl", {}, Object.entries(labels).flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]))));
  return [node.name,
    problems(node),
    el("h2", {}, `Node ${node.name}`),
    node.problems.map((why) => el("p", { class: "problem" }, why)),
    el("div", { class: "columns" },
      el("section", {}, el("h3", {}, "Facts"), pairs([
        ["Model", node.models.join(", ")], ["GPUs", node.count && String(node.count)], ["Memory", node.memoryMib && `${node.memoryMib} MiB for each device`],
        ["MIG", mig(node)], ["Sharing", node.sharing && `${node.sharing}, ${node.replicas} replicas`],
        ["Driver", node.driver], ["CUDA", node.cuda], ["Taints", node.taints.join(", ")], ["Kubelet", node.kubelet]])),
      el("section", {}, el("h3", {}, "Topology"), topology(node))),
    el("section", {}, el("h3", {}, "Devices"),
      table("", ["Resource", "Allocated, free and unhealthy", "Allocated", "Free"],
        node.resources.map((each) => [each.name, bar(each), String(each.allocated), String(each.free)]), "devices cards"), legend()),
    el("section", {}, el("h3", {}, "Pods with devices"),
      node.holders.length
        ? table("", ["Pod", "Devices"], node.holders.map((each) => [
            link(["pods", each.namespace, each.name], `${each.namespace}/${each.name}`),
            Object.entries(each.resources).map(([name, amount]) => `${name}: ${amount}`).join(", ")]))
        : el("p", { class: "muted" }, "No pod has a device of this node.")),
    claimDevices(node.claimDevices),
    el("div", { class: "columns" },
      el("section", {}, el("h3", {}, "Health over time"), health(node.health)),
      el("section", {}, el("h3", {}, "Recent Events"), events(node.events))),
    el("section", {}, el("h3", {}, "Labels by agent"), groups)];
}

function claimDevices(devices) {
  if (!devices.length) return "";
  return el("section", {}, el("h3", {}, "Devices of ResourceSlices"),
    table("", ["Device", "Model", "Claims", "Pods", "Taints"], devices.map((each) => [
      each.name, each.model, each.claims.join(", "),
      each.pods.flatMap((pod, index) => [index ? ", " : "", link(["pods", ...pod.split("/")], pod)]),
      each.taints.map((taint) => el("span", { class: "taint" }, breakable(taint)))])));
}

function mig(node) {
  const layout = Object.entries(node.migLayout).map(([profile, count]) => `${count} x ${profile}`).join(", ");
  return [node.migStrategy && `strategy ${node.migStrategy}`, layout].filter(Boolean).join(": ");
}

function health(changes) {
  if (!changes.length) return el("p", { class: "muted" }, "The node has no condition GPUReady.");
  return el("ol", { class: "timeline", reversed: true }, [...changes].reverse().map((each) =>
    el("li", { class: each.status === "True" ? "ok" : "bad" },
      el("time", { datetime: each.at }, each.at), " ", el("strong", {}, each.reason || each.status), el("div", { class: "muted" }, each.message))));
}

function events(list) {
  if (!list.length) return el("p", { class: "muted" }, "There are no recent Events.");
  return el("ol", { class: "timeline" }, list.map((each) =>
    el("li", { class: each.type === "Normal" ? "muted" : "warn" },
      el("time", { datetime: each.at }, each.at), " ", el("strong", {}, each.reason), el("div", {}, each.message))));
}

/* The topology that the labels of gfd describe: NUMA nodes, and groups of GPUs that NVLink connects */

function topology(node) {
  const count = Number(node.count) || 0;
  if (!count || count > 32) return el("p", { class: "muted" }, "The topology of this node is unknown.");
  const numaNodes = Math.max(1, node.topology.numaNodes ?? 1);
  const columns = Math.ceil(count / numaNodes);
  const width = columns * 56 + 92;
  const linked = node.topology.nvlinkGroup ?? 0;
  const title = `${count} GPUs in ${numaNodes} NUMA ${numaNodes > 1 ? "nodes" : "node"}` +
    (linked > 1 ? `; NVLink connects groups of up to ${linked} GPUs` : "; no NVLink connection is known");
  const picture = svg("svg", { viewBox: `0 0 ${width} ${numaNodes * 92}`, role: "img", "aria-label": title });
  for (let index = 0; index < numaNodes; index++) {
    const y = index * 92 + 4;
    picture.append(svg("rect", { x: 2, y, width: width - 4, height: 80, rx: 6, class: "box" }), textAt(12, y + 36, "NUMA node"), textAt(12, y + 54, node.topology.numaNodes ? `${index + 1} of ${numaNodes}` : "unknown"));
    for (let column = 0; column < columns && index * columns + column < count; column++) {
      const x = 94 + column * 56;
      picture.append(svg("rect", { x, y: y + 21, width: 46, height: 38, rx: 4, class: "gpu" }), textAt(x + 8, y + 45, "GPU"));
      if (linked > 1 && column > 0 && (index * columns + column) % linked !== 0) {
        picture.append(svg("line", { x1: x - 10, x2: x, y1: y + 40, y2: y + 40, class: "link" }));
      }
      if (index > 0 && linked > columns) {
        picture.append(svg("line", { x1: x + 23, x2: x + 23, y1: y - 33, y2: y + 21, class: "link" }));
      }
    }
  }
  return el("figure", { class: "picture" }, picture, el("figcaption", { class: "muted" }, title));
}

function textAt(x, y, text) {
  return svg("text", { x, y }, document.createTextNode(text));
}

function pendingPage() {
  return ["Pending pods",
    problems(fleet),
    el("h2", {}, "Pending pods"),
    fleet.pending.length
      ? table(`${fleet.pending.length} pods that request devices are pending`, ["Pod", "Requests", "Why"], fleet.pending.map((pod) => [
          link(["pods", pod.namespace, pod.name], `${pod.namespace}/${pod.name}`), pod.requests, pod.summary]))
      : el("p", { class: "muted" }, fleet.isComplete ? "No pod that requests devices is pending." : "Reading the pods.")];
}

function podPage(pod) {
  return [`${pod.namespace}/${pod.name}`,
    el("h2", {}, `Pod ${pod.namespace}/${pod.name}`),
    pod.node ? "" : el("section", {}, el("h3", {}, "Why the pod does not run"), el("pre", { tabindex: "0" }, pod.why)),
    pairs([["Node", pod.node && link(["nodes", pod.node], pod.node)], ["Requests", pod.requests]]),
    claimDevices(pod.claimDevices),
    el("section", {}, el("h3", {}, "Recent Events"), events(pod.events))];
}

/* Navigation and changes */

const path = () => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);

async function read(url) {
  const response = await fetch(url);
  const document = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) throw new Error(document.error ?? `HTTP ${response.status}`);
  return document;
}

async function content(parts) {
  if (parts[0] === "pending") return pendingPage();
  if (parts[0] === "nodes") return nodePage(await read(`/api/nodes/${encodeURIComponent(parts[1])}`));
  if (parts[0] === "pods") return podPage(await read(`/api/pods/${encodeURIComponent(parts[1])}/${encodeURIComponent(parts[2])}`));
  return fleetPage();
}

let shownPath = null;
let turn = 0;

async function show() {
  const current = ++turn;
  const parts = path();
  let page;
  try {
    page = await content(parts);
  } catch (error) {
    page = ["Error", el("p", { class: "problem", role: "alert" }, error.message)];
  }
  if (current !== turn) return; // a later change is already being shown
  const focused = document.activeElement?.id;
  const isNew = shownPath !== location.hash;
  const open = new Map([...main.querySelectorAll("details")].map((each) => [each.firstChild.textContent.split(" ")[0], each.open]));
  const [title, ...children] = page;
  document.title = `${title} - gpunode`;
  main.replaceChildren(...children.flat(2).filter((child) => child !== ""));
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === (parts[0] ?? "fleet")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isNew) {
    if (shownPath !== null) { main.focus(); scrollTo(0, 0); }
    shownPath = location.hash;
    return;
  }
  for (const each of main.querySelectorAll("details")) each.open = open.get(each.firstChild.textContent.split(" ")[0]) ?? each.open;
  const field = focused && document.getElementById(focused);
  if (field && field !== document.activeElement) {
    field.focus();
    field.setSelectionRange?.(field.value.length, field.value.length);
  }
}

async function refresh() {
  try {
    fleet = await read("/api/fleet");
  } catch (error) {
    report(`The server does not respond: ${error.message}`, true);
    return;
  }
  const count = document.getElementById("pending-count");
  count.textContent = fleet.pending.length;
  count.hidden = !fleet.pending.length;
  const isCurrent = !Object.keys(fleet.stale).length;
  report(isCurrent ? `Live: ${fleet.cluster}` : `Not current: ${fleet.cluster}`, !isCurrent);
  await show();
}

function report(text, isBad = false) {
  if (state.textContent !== text) state.textContent = text;
  state.className = isBad ? "bad" : "";
}

addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  const field = document.getElementById("filter");
  if (event.key === "/" && field && event.target !== field) { event.preventDefault(); field.focus(); }
});
const changes = new EventSource("/api/changes");
changes.addEventListener("message", refresh);
changes.addEventListener("error", () => report("The program gpunode ui has ended, or is restarting. Run it again.", true));
