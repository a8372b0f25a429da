// The console: detectors and the live anomaly feed. It reads the public API and nothing else.
const SHOWN_MAX = 200;
const byId = (id) => document.getElementById(id);
const detectors = new Map();
const anomalies = new Map();
let cursor = null;
let token = sessionStorage.getItem("token");

const number = (value) => (value === null ? "–" : Number(value.toPrecision(4)).toString());
const clock = (text) => new Date(text).toLocaleTimeString();
const series = (labels) =>
  (labels.__name__ ?? "") + "{" +
  Object.entries(labels).filter(([name]) => name !== "__name__").map(([n, v]) => `${n}="${v}"`).join(", ") + "}";

function cell(row, text, kind = "", tag = null) {
  const td = row.insertCell();
  td.className = kind;
  const inner = tag ? td.appendChild(document.createElement(tag)) : td;
  inner.textContent = text;
  return td;
}

function note(td, text) {
  td.appendChild(document.createElement("small")).textContent = text;
}

function drawDetectors() {
  const body = byId("detectors").tBodies[0];
  body.replaceChildren();
  for (const { document: doc, status } of [...detectors.values()].sort((a, b) => a.document.name < b.document.name ? -1 : 1)) {
    const row = body.insertRow();
    cell(row, doc.name);
    note(cell(row, status.state, status.state), status.reason);
    cell(row, Object.entries(doc.model).map(([k, v]) => (k === "kind" ? v : `${k} ${v}`)).join(", "));
    cell(row, doc.query, "", "code");
  }
  byId("no-detectors").hidden = detectors.size > 0;
  byId("detectors").hidden = detectors.size === 0;
}

function drawAnomalies() {
  const body = byId("anomalies").tBodies[0];
  body.replaceChildren();
  const newest = [...anomalies.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : -1)).slice(0, SHOWN_MAX);
  for (const anomaly of newest) {
    const why = anomaly.explanation;
    const row = body.insertRow();
    const since = cell(row, clock(anomaly.started_at), "number");
    if (anomaly.ended_at) note(since, `to ${clock(anomaly.ended_at)}`);
    const state = cell(row, anomaly.state, anomaly.state);
    if (anomaly.closed_because) note(state, anomaly.closed_because);
    cell(row, anomaly.detector);
    cell(row, series(anomaly.labels), "", "code");
    const observed = why.missing_steps ? `missing, ${why.missing_steps} steps` : number(why.observed);
    cell(row, `${{ above: "▲ ", below: "▼ " }[anomaly.direction] ?? ""}${observed}`, "number");
    note(cell(row, number(why.expected), "number"), `${number(why.lower)} to ${number(why.upper)}`);
    cell(row, number(anomaly.peak_score), "number");
    cell(row, `${why.outside} of ${why.scored}`, "number");
  }
  byId("no-anomalies").hidden = anomalies.size > 0;
  byId("anomalies").hidden = anomalies.size === 0;
}

async function get(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(`/api/v1${path}`, { headers });
  if (answer.status === 401) {
    token = prompt("This engine asks for a bearer token:");
    if (token === null) throw new Error("no token");
    sessionStorage.setItem("token", token);
    return get(path);
  }
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer.json();
}

async function all(path) {
  const items = [];
  let next = null;
  do {
    const page = await get(path + (next ? `?cursor=${encodeURIComponent(next)}` : ""));
    items.push(...page.items);
    next = page.next;
  } while (next);
  return items;
}

async function loadDetectors() {
  const documents = await all("/detectors");
  const statuses = await Promise.all(documents.map((doc) => get(`/detectors/${doc.name}/status`)));
  detectors.clear();
  documents.forEach((doc, i) => detectors.set(doc.name, { document: doc, status: statuses[i] }));
  drawDetectors();
}

async function loadAnomalies() {
  for (const anomaly of (await get(`/anomalies?limit=${SHOWN_MAX}`)).items) anomalies.set(anomaly.id, anomaly);
  drawAnomalies();
}

function show(state, kind) {
  byId("link").textContent = state;
  byId("link").className = `state ${kind}`;
}

async function follow() {
  try {
    await loadDetectors();
    await loadAnomalies();
  } catch (error) {
    show(error.message, "failed");
    setTimeout(follow, 2000);
    return;
  }
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/api/v1/feed`, token ? ["bearer", token] : []);
  socket.onopen = () => {
    socket.send(JSON.stringify({ op: "subscribe", topics: ["anomalies", "detectors"], since: cursor }));
    show("live", "live");
  };
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    cursor = message.cursor ?? cursor;
    if (message.type === "anomaly") {
      anomalies.set(message.data.id, message.data);
      drawAnomalies();
    } else if (message.type === "detector" || message.type === "gap") {
      loadDetectors().catch(() => {});
    }
  };
  socket.onclose = () => {
    show("reconnecting", "failed");
    setTimeout(follow, 2000);
  };
}

setInterval(() => loadDetectors().catch(() => {}), 10000);
follow();
