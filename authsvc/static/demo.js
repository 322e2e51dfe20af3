// The demo page: each button does one thing that a chat page does, or should not do, and shows what came of it.
// Every text is made in both languages at once; the root's lang attribute decides which one shows (demo.css).

import { createClient } from "/client.js";

const HEADERS = [
  "Content-Type", "Cache-Control", "X-Request-Id", "X-Server-Time-Ms", "X-Expires-In-Ms",
  "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate",
];
const KEPT = 50; // entries of the log
const TICK_MS = 250;
const SOCKET_POLL_MS = 50;
const SOCKET_WAIT_MS = 10_000;

const LOGIN_FIRST = "/problems/not-logged-in";
const REFUSED = {
  [LOGIN_FIRST]: ["未登录，拒绝签发。", "Not logged in, so there is no payload."],
  "/problems/replayed": ["这份 payload 已经用过，拒绝。", "This payload was used before: refused."],
  "/problems/bad-signature": ["签名不符，拒绝。", "The signature does not fit the fields: refused."],
  "/problems/expired": ["已过期，拒绝。", "Expired: refused."],
  "/problems/too-many-requests": ["请求太频繁，请稍候。", "Too many requests; wait a little."],
};

const STATES = {
  "connecting": ["等 SDK 的套接字连通", "Waiting for the SDK’s socket"],
  "signing": ["向 authsvc 要一份新的 payload", "Asking authsvc for a fresh payload"],
  "initialising": ["JIM.init：网关在验证", "JIM.init: the gateway verifies it"],
  "logging-in": ["JIM.login：登录 IM 帐号", "JIM.login: the IM account"],
  "ready": ["已连接", "Connected"],
  "disconnected": ["连接断开了", "The connection broke"],
  "retrying": ["没有成功，再试", "Failed, trying again"],
  "stopped": ["结束", "Ended"],
};

const CODES = {
  0: ["通过", "Accepted"],
  880101: ["appkey 不对，拒绝", "Refused: no such appkey"],
  880102: ["签名不符，拒绝", "Refused: the signature does not fit"],
  880106: ["已过期，拒绝", "Refused: expired"],
  889001: ["已经用过，拒绝", "Refused: used before"],
};

const $ = (id) => document.getElementById(id);

const client = createClient({ fetch: watchedFetch });
const sockets = { native: WebSocket, count: 0 };
let stopCountdown = () => {};
let user = null;
let sdk = null; // a promise of the SDK's options, once its script is loaded
let connected = null; // {JIM, stop} while the page has or wants a connection
const turns = {}; // step -> the controller of what was begun there last

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function both(zh, en) {
  const made = document.createDocumentFragment();
  made.append(element("span", { lang: "zh-CN" }, zh), element("span", { lang: "en" }, en));
  return made;
}

// ---- languages

function speak(lang) {
  document.documentElement.lang = lang;
  document.title = lang === "en" ? "authsvc demo" : "authsvc 演示";
  for (const button of document.querySelectorAll("button[lang]")) {
    button.setAttribute("aria-pressed", String(button.lang === lang));
  }
}

// ---- requests, and their log

async function ask(method, path, body, signal) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { "Content-Type": "application/json" };
  let answer = { status: 0, headers: new Headers(), text: "" }; // the server is gone
  const sentAt = performance.now();
  try {
    const response = await watchedFetch(path, { method, headers, body: text, signal });
    answer = { status: response.status, headers: response.headers, text: await response.text() };
  } catch {
    // the log has it
  }
  return { ...answer, sentAt, body: parsed(answer.text) };
}

/** fetch, for client.js too, with each request in the log. */
async function watchedFetch(path, request) {
  const sentAt = performance.now();
  const asked = typeof request.body === "string" ? parsed(request.body) : undefined;
  try {
    const response = await fetch(path, request);
    const text = await response.clone().text();
    const answer = { status: response.status, headers: response.headers, text, body: parsed(text) };
    record(request.method, path, asked, answer, performance.now() - sentAt);
    return response;
  } catch (error) {
    record(request.method, path, asked, { status: 0, headers: new Headers(), text: "" }, performance.now() - sentAt);
    throw error;
  }
}

/** In the place of WebSocket, before the SDK takes it: what it does shows in the log, whichever SDK it is. */
window.WebSocket = class extends sockets.native {
  constructor(...args) {
    super(...args);
    sockets.count += 1;
    const name = `#${sockets.count}`;
    this.shows = (arrow, text) => recordEvent(name, arrow, text);
    this.addEventListener("open", () => this.shows("•", "open"));
    this.addEventListener("close", () => this.shows("•", "closed"));
    this.addEventListener("message", (message) => this.showsPacket("←", message.data));
  }

  send(packet) {
    super.send(packet);
    this.showsPacket("→", packet);
  }

  showsPacket(arrow, packet) {
    if (typeof packet === "string" && packet.startsWith("42")) this.shows(arrow, packet.slice(2)); // not the pings
  }
};

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const isGood = (answer) => answer.status >= 200 && answer.status < 300;
const pretty = (value) => JSON.stringify(value, (name, inner) => (name === "password" ? "…" : inner), 2);

function record(method, path, body, answer, tookMs) {
  const headers = HEADERS.filter((name) => answer.headers.has(name));
  const entry = element("details", { open: "" }, element("summary", {},
    element("code", {}, `${method} ${path}`), " ", badge(answer), " ",
    element("small", {}, `${Math.round(tookMs)} ms`),
  ));
  if (body !== undefined) entry.append(element("h3", {}, both("请求体", "Request body")), element("pre", {}, pretty(body)));
  if (headers.length) {
    const lines = headers.map((name) => `${name}: ${answer.headers.get(name)}`).join("\n");
    entry.append(element("h3", {}, both("响应头", "Answer’s headers")), element("pre", {}, lines));
  }
  if (answer.text) entry.append(element("h3", {}, both("响应体", "Answer’s body")), element("pre", {}, ...linked(answer)));
  for (const open of $("log").querySelectorAll("details[open]")) open.removeAttribute("open");
  put(element("li", {}, entry));
}

function recordEvent(name, arrow, text) {
  const shown = text.replace(/("password":)"[^"]*"/, '$1"…"');
  put(element("li", { class: "event" }, element("b", {}, arrow), element("code", {}, `${name} ${shown}`)));
}

function put(item) {
  $("log").prepend(item);
  while ($("log").children.length > KEPT) $("log").lastElementChild.remove();
}

function badge(answer) {
  const word = answer.status === 0 ? both("无应答", "no answer") : String(answer.status);
  return element("b", { class: isGood(answer) ? "badge good" : "badge bad" }, word);
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

function typeOf(answer) {
  const type = answer.body?.type;
  return typeof type === "string" && type.startsWith("/problems/") ? type : null;
}

function helpLink(type, ...words) {
  return element("a", { href: type, target: "_blank", rel: "noopener" }, ...words);
}

// ---- the steps

function say(step, ...words) {
  $(step).querySelector(".result").replaceChildren(...words);
}

function show(step, answer, zh, en) {
  $(step).dataset.outcome = isGood(answer) ? "good" : "bad";
  const words = [badge(answer), " ", both(zh, en)];
  if (typeOf(answer)) words.push(" ", helpLink(typeOf(answer), both("这是什么意思？", "What does it mean?")));
  $(step).querySelector(".result").replaceChildren(...words);
}

function showRefusal(step, answer) {
  const lost = ["服务没有应答，它还在运行吗？", "The server does not answer. Is it still running?"];
  const known = answer.status === 0 ? lost : REFUSED[typeOf(answer)];
  const detail = answer.body?.detail ?? "";
  show(step, answer, ...(known ?? [detail, detail]));
}

/** What the gateway said: a code of the vendor's, or of authsvc where the vendor has none. */
function verdict(told) {
  const isGood = told.code === 0;
  const words = [element("b", { class: `badge ${isGood ? "good" : "bad"}` }, String(told.code)), " "];
  if (told.code in CODES) words.push(both(...CODES[told.code]), " ");
  return [...words, element("small", {}, told.message)];
}

function showError(step, error) {
  $(step).dataset.outcome = "bad";
  const known = REFUSED[error.type] ?? [error.message, error.message];
  say(step, element("b", { class: "badge bad" }, String(error.code ?? error.status ?? "")), " ", both(...known));
}

function clear(step) {
  delete $(step).dataset.outcome;
  say(step);
}

/** Begins a step anew. @returns a signal that is aborted when it is begun again: a late answer shows nothing then. */
function begin(step) {
  turns[step]?.abort();
  turns[step] = new AbortController();
  clear(step);
  return turns[step].signal;
}

/** Asks for the session, or to change it: one request at a time, for the cookie is that of the last answer. */
async function askSession(method, path, body) {
  const turn = begin("step-login");
  const answer = await ask(method, path, body, turn);
  if (turn.aborted) return false;
  if (isGood(answer)) showUser(answer);
  else showRefusal("step-login", answer);
  return isGood(answer);
}

function logInOrOut(path, body) {
  disconnect();
  return askSession("POST", path, body);
}

function showUser(answer) {
  user = answer.body.user;
  const radio = document.querySelector(`[name=user][value="${answer.body.user}"]`);
  if (radio) {
    radio.checked = true;
    const name = radio.parentElement.textContent.trim();
    show("step-login", answer, `已登录：${name}`, `Logged in: ${name}`);
  } else {
    say("step-login", both("未登录", "Not logged in"));
  }
}

/** @returns a fresh payload, shown with its countdown; null if there is none. */
async function issue() {
  const turn = begin("step-issue");
  stopCountdown();
  const answer = await ask("POST", "/v1/auth-payload");
  if (turn.aborted) return isGood(answer) ? answer.body : null;
  if (!isGood(answer)) {
    showRefusal("step-issue", answer);
    return null;
  }
  const rows = Object.entries(answer.body).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  $("fields").replaceChildren(...rows);
  $("issued").hidden = false;
  show("step-issue", answer, "已签发。", "Issued.");
  // From when it was sent, so that the countdown ends no later than the payload does.
  stopCountdown = countDown(answer.sentAt, Number(answer.headers.get("X-Expires-In-Ms")));
  return answer.body;
}

function countDown(startMs, lifeMs) {
  const tick = () => {
    const leftMs = Math.max(0, startMs + lifeMs - performance.now());
    const seconds = Math.ceil(leftMs / 1000);
    $("life").value = leftMs / lifeMs;
    $("issued").classList.toggle("expired", leftMs === 0);
    if (leftMs > 0) {
      $("left").replaceChildren(`${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
    } else {
      $("left").replaceChildren(both("已过期", "expired"));
      clear("step-issue");
      say("step-issue", both("已过期，请重新取一份。", "Expired; get a fresh one."));
      clearInterval(timer);
    }
  };
  const timer = setInterval(tick, TICK_MS);
  tick();
  return () => clearInterval(timer);
}

// ---- the SDK, and the connection

/** @returns a new SDK object, with a socket of its own. Which SDK and which gateway, the service says. */
async function newSdk() {
  sdk = sdk ?? loadSdk();
  try {
    const options = await sdk;
    return new window.JMessage({ ...options });
  } catch (error) {
    sdk = null;
    throw error;
  }
}

async function loadSdk() {
  const told = (await client.bootstrap()).sdk;
  await new Promise((resolve, reject) => {
    const script = element("script", { src: told.script });
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${told.script}: cannot be loaded`));
    document.head.append(script);
  });
  return told.options;
}

const closeSdk = (JIM) => JIM.channel.client.close(); // both have it; a page of an app has no need to

async function connect() {
  disconnect();
  $("states").replaceChildren();
  $("states").hidden = true;
  clear("step-connect");
  const stop = new AbortController();
  const mine = { stop, since: performance.now() };
  connected = mine;
  try {
    mine.JIM = await newSdk();
    if (connected !== mine) return closeSdk(mine.JIM);
    await client.connect(mine.JIM, { login: true, signal: stop.signal, onState: (state) => tell(mine, state) });
  } catch (error) {
    if (connected === mine && !mine.told) showError("step-connect", error);
  }
}

function disconnect() {
  const last = connected;
  connected = null;
  $("drop").disabled = true;
  last?.stop.abort();
  if (last?.JIM) closeSdk(last.JIM);
}

function tell(mine, state) {
  if (connected !== mine && state.name !== "stopped") return;
  mine.told = true;
  const kind = state.name === "ready" ? " good" : ["disconnected", "retrying", "stopped"].includes(state.name) ? " bad" : "";
  const words = [both(...STATES[state.name] ?? [state.name, state.name])];
  if (state.error) words.push(` (${[state.error.code, state.error.message].filter(Boolean).join(" ")})`);
  if (state.delayMs) words.push(` ${(state.delayMs / 1000).toFixed(1)} s`);
  const seconds = ((performance.now() - mine.since) / 1000).toFixed(1);
  $("states").append(element("li", {}, element("span", {}, `${seconds} s`), element("span", { class: `state${kind}` }, ...words)));
  while ($("states").children.length > KEPT) $("states").firstElementChild.remove();
  $("states").hidden = false;
  $("states").scrollTop = $("states").scrollHeight;
  $("drop").disabled = state.name !== "ready";
  if (state.name === "ready") {
    $("step-connect").dataset.outcome = "good";
    say("step-connect", both("已连接，已登录。", "Connected and logged in."));
  } else {
    clear("step-connect");
  }
  if (state.name === "stopped" && connected === mine) {
    if (state.error?.type === LOGIN_FIRST && user) comeBack();
    else if (state.error) showError("step-connect", state.error);
  }
}

/** The made-up app has restarted, and with it every secret: its users have to log in again. */
async function comeBack() {
  if (await askSession("POST", "/demo/login", { user })) await connect();
}

async function drop() {
  const answer = await ask("POST", "/demo/drop");
  if (!isGood(answer)) showRefusal("step-connect", answer);
}

async function showPicture() {
  const turn = begin("step-picture");
  const img = $("shown");
  const mediaId = $("media-id").value.trim();
  try {
    if (!await client.showImage(img, mediaId)) return;
    img.alt = mediaId;
    img.hidden = false;
    $("step-picture").dataset.outcome = "good";
    const { host } = new URL(img.src);
    say("step-picture", element("b", { class: "badge good" }, "0"), " ", both(`已显示，来自 ${host}`, `Shown, from ${host}`));
  } catch (error) {
    if (turn.aborted) return;
    img.hidden = true;
    showError("step-picture", error);
  }
}

// ---- attacks

/** Has the SDK present a payload on a connection of its own. @returns {Promise<{code, message}>} the gateway's word */
async function present(payload) {
  const JIM = await newSdk();
  try {
    const since = performance.now();
    while (!JIM.isConnect()) {
      if (performance.now() - since > SOCKET_WAIT_MS) return { code: "—", message: "no gateway" };
      await new Promise((resolve) => setTimeout(resolve, SOCKET_POLL_MS));
    }
    return await new Promise((resolve) => {
      JIM.init({ ...payload }) // a copy: the vendor's SDK writes into it
        .onSuccess(() => resolve({ code: 0, message: "success" }))
        .onFail(resolve)
        .onTimeout(() => resolve({ code: "—", message: "timeout" }));
    });
  } finally {
    closeSdk(JIM);
  }
}

/** Runs an attack, and shows what the gateway said; to be refused is the good outcome. */
async function attack(step, run) {
  const turn = begin(step);
  try {
    const verdicts = await run(turn);
    if (turn.aborted) return;
    if (verdicts === null) {
      $(step).dataset.outcome = "bad";
      return say(step, both("没有 payload，见第 2 步。", "There is no payload; see step 2."));
    }
    const last = verdicts.at(-1);
    $(step).dataset.outcome = last.code === 0 ? "bad" : "good";
    say(step, ...verdicts.flatMap((told) => [...verdict(told), element("br", {})]).slice(0, -1));
  } catch (error) {
    if (!turn.aborted) showError(step, error);
  }
}

async function replay() {
  const payload = await issue();
  return payload && [await present(payload), await present(payload)];
}

async function forgery(turn) {
  const changed = $("step-forgery").querySelector(".changed");
  changed.hidden = true;
  const payload = await issue();
  if (!payload || turn.aborted) return null;
  const text = payload.random_str;
  const last = text.endsWith("0") ? "1" : "0";
  changed.replaceChildren(element("code", {}, text.slice(0, -1), element("del", {}, text.at(-1)), element("ins", {}, last)));
  changed.hidden = false;
  return [await present({ ...payload, random_str: text.slice(0, -1) + last })];
}

async function expired() {
  const answer = await ask("POST", "/demo/expired");
  if (!isGood(answer)) throw Object.assign(new Error(String(answer.status)), { status: answer.status, type: LOGIN_FIRST });
  return [await present(answer.body)];
}

for (const button of document.querySelectorAll("button[lang]")) {
  button.addEventListener("click", () => speak(button.lang));
}
$("login").addEventListener("click", () => {
  logInOrOut("/demo/login", { user: document.querySelector("[name=user]:checked").value });
});
$("logout").addEventListener("click", () => logInOrOut("/demo/logout"));
$("issue").addEventListener("click", issue);
$("connect").addEventListener("click", connect);
$("drop").addEventListener("click", drop);
$("picture").addEventListener("click", showPicture);
$("replay").addEventListener("click", () => attack("step-replay", replay));
$("forgery").addEventListener("click", () => attack("step-forgery", forgery));
$("expired").addEventListener("click", () => attack("step-expired", expired));

speak(/^zh\b/i.test(navigator.language) ? "zh-CN" : "en");
await askSession("GET", "/demo/session");
