// Every request and every event of a socket, shown as it happens: the newest first, one line each, to be opened.

import { $, badge, both, element } from "./page.js";

const HEADERS = [
  "Content-Type", "Cache-Control", "X-Request-Id", "X-Server-Time-Ms", "X-Expires-In-Ms",
  "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate",
];
const KEPT = 200;
const HIDDEN = ["password", "old_pwd", "new_pwd", "uptoken"];
const NO_ANSWER = { status: 0, headers: new Headers(), text: "", body: null };

const sockets = { native: WebSocket, count: 0 };

/** Asks the server, and never fails: status 0 stands for no answer. `sentAt` is a time of performance.now(). */
export async function ask(method, path, body, signal) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { "Content-Type": "application/json" };
  const sentAt = performance.now();
  try {
    const response = await watchedFetch(path, { method, headers, body: text, signal });
    const told = await response.text();
    return { status: response.status, headers: response.headers, text: told, body: parsed(told), sentAt };
  } catch {
    return { ...NO_ANSWER, sentAt }; // the log has it
  }
}

/** fetch, for client.js too, with each request in the log. */
export async function watchedFetch(path, request) {
  const sentAt = performance.now();
  const asked = typeof request.body === "string" ? parsed(request.body) : undefined;
  try {
    const response = await fetch(path, request);
    const text = await response.clone().text();
    const answer = { status: response.status, headers: response.headers, text, body: parsed(text) };
    record(request.method, path, asked, answer, performance.now() - sentAt);
    return response;
  } catch (error) {
    record(request.method, path, asked, NO_ANSWER, performance.now() - sentAt);
    throw error;
  }
}

export const isGood = (answer) => answer.status >= 200 && answer.status < 300;

export function statusBadge(answer) {
  return badge(answer.status === 0 ? both("无应答", "no answer") : String(answer.status), isGood(answer));
}

/** The refusal's type, if it has a help page. */
export function typeOf(answer) {
  const type = answer.body?.type;
  return typeof type === "string" && type.startsWith("/problems/") ? type : null;
}

export function helpLink(type, ...words) {
  return element("a", { href: type, target: "_blank", rel: "noopener" }, ...words);
}

/** In the place of WebSocket, before the SDK takes it: what it does shows in the log, whichever SDK it is. */
window.WebSocket = class extends sockets.native {
  constructor(...args) {
    super(...args);
    sockets.count += 1;
    this.name = `#${sockets.count}`;
    this.addEventListener("open", () => recordEvent(this.name, "•", "open"));
    this.addEventListener("close", () => recordEvent(this.name, "•", "closed"));
    this.addEventListener("message", (message) => this.show("←", message.data));
  }

  send(packet) {
    super.send(packet);
    this.show("→", packet);
  }

  show(arrow, packet) {
    if (typeof packet !== "string" || !packet.startsWith("42")) return; // the pings
    const [event, data] = parsed(packet.slice(2)) ?? [];
    if (arrow === "→" && event === "login") this.name += ` ${data.username}`;
    recordEvent(this.name, arrow, event, data);
  }
};

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const hidden = (name, value) => (HIDDEN.includes(name) ? "…" : value);
const pretty = (value) => JSON.stringify(value, hidden, 2);

function record(method, path, body, answer, tookMs) {
  const entry = element("details", { open: "" }, element("summary", {},
    element("code", {}, `${method} ${path}`), " ", statusBadge(answer), element("small", {}, `${Math.round(tookMs)} ms`),
  ));
  const headers = HEADERS.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
  if (body !== undefined) entry.append(element("h4", {}, both("请求体", "Request body")), element("pre", {}, pretty(body)));
  if (headers.length) entry.append(element("h4", {}, both("响应头", "Headers")), element("pre", {}, headers.join("\n")));
  if (answer.text) entry.append(element("h4", {}, both("响应体", "Body")), element("pre", {}, ...linked(answer)));
  for (const open of $("log").querySelectorAll("details[open]")) open.removeAttribute("open");
  put(element("li", {}, entry));
}

function recordEvent(name, arrow, event, data) {
  const line = [element("b", {}, arrow), element("small", {}, name), element("code", {}, event)];
  if (data === undefined) return put(element("li", { class: "event" }, element("p", {}, ...line)));
  line.push(element("code", { class: "data" }, JSON.stringify(data, hidden)));
  put(element("li", { class: "event" },
    element("details", {}, element("summary", {}, ...line), element("pre", {}, pretty(data)))));
}

function put(item) {
  $("log").prepend(item);
  while ($("log").children.length > KEPT) $("log").lastElementChild.remove();
}

/** The body, pretty-printed, with the refusal's type as a link to its help page. */
function linked(answer) {
  if (answer.body === null) return [answer.text];
  const text = pretty(answer.body);
  const type = typeOf(answer);
  if (type === null) return [text];
  const at = text.indexOf(type);
  return [text.slice(0, at), helpLink(type, type), text.slice(at + type.length)];
}
