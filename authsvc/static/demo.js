// The demo page: each button asks the service or the made-up app, and shows what came back.
// Every text is made in both languages at once; the root's lang attribute decides which one shows (demo.css).

const HEADERS = [
  "Content-Type", "Cache-Control", "X-Request-Id", "X-Server-Time-Ms", "X-Expires-In-Ms",
  "RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate",
];
const KEPT = 50; // entries of the log
const TICK_MS = 250;

const REFUSED = {
  "/problems/not-logged-in": ["未登录，拒绝签发。", "Not logged in, so there is no payload."],
  "/problems/replayed": ["这份 payload 已经用过，拒绝。", "This payload was used before: refused."],
  "/problems/bad-signature": ["签名不符，拒绝。", "The signature does not fit the fields: refused."],
  "/problems/expired": ["已过期，拒绝。", "Expired: refused."],
  "/problems/too-many-requests": ["请求太频繁，请稍候。", "Too many requests; wait a little."],
};

const $ = (id) => document.getElementById(id);

let payload = null;
let stopCountdown = () => {};

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

async function ask(method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = text === undefined ? {} : { "Content-Type": "application/json" };
  const sentAt = performance.now();
  let answer;
  try {
    const response = await fetch(path, { method, headers, body: text });
    answer = { status: response.status, headers: response.headers, text: await response.text() };
  } catch {
    answer = { status: 0, headers: new Headers(), text: "" }; // the server is gone
  }
  answer.sentAt = sentAt;
  answer.body = parsed(answer.text);
  record(method, path, body, answer, performance.now() - sentAt);
  return answer;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const isGood = (answer) => answer.status >= 200 && answer.status < 300;
const pretty = (value) => JSON.stringify(value, null, 2);

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
  $("log").querySelector("details")?.removeAttribute("open");
  $("log").prepend(element("li", {}, entry));
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

function clear(...steps) {
  for (const step of steps) {
    delete $(step).dataset.outcome;
    $(step).querySelector(".result").replaceChildren();
  }
}

async function logInOrOut(path, body) {
  const answer = await ask("POST", path, body);
  if (isGood(answer)) showUser(answer);
  else showRefusal("step-login", answer);
}

function showUser(answer) {
  const radio = document.querySelector(`[name=user][value="${answer.body.user}"]`);
  clear("step-login");
  if (radio) {
    radio.checked = true;
    const name = radio.parentElement.textContent.trim();
    show("step-login", answer, `已登录：${name}`, `Logged in: ${name}`);
  } else {
    $("step-login").querySelector(".result").replaceChildren(both("未登录", "Not logged in"));
  }
}

async function issue() {
  const answer = await ask("POST", "/v1/auth-payload");
  if (!isGood(answer)) return showRefusal("step-issue", answer);
  payload = answer.body;
  const rows = Object.entries(payload).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  $("fields").replaceChildren(...rows);
  $("issued").hidden = false;
  show("step-issue", answer, "已签发，下一步交给网关。", "Issued; next it goes to the gateway.");
  clear("step-verify", "step-again", "step-tamper");
  $("step-tamper").querySelector(".changed").hidden = true;
  $("verify").disabled = $("tamper").disabled = false;
  $("again").disabled = true;
  stopCountdown();
  // From when it was sent, so that the countdown ends no later than the payload does.
  stopCountdown = countDown(answer.sentAt, Number(answer.headers.get("X-Expires-In-Ms")));
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
      $("step-issue").querySelector(".result").replaceChildren(both("已过期，请重新取一份。", "Expired; get a fresh one."));
      clearInterval(timer);
    }
  };
  const timer = setInterval(tick, TICK_MS);
  tick();
  return () => clearInterval(timer);
}

async function verify(step, presented) {
  const answer = await ask("POST", "/demo/verify", presented);
  if (!isGood(answer)) return showRefusal(step, answer);
  show(step, answer, "通过：签名正确、未过期、第一次使用。", "Accepted: signed right, in time, and used for the first time.");
  $("again").disabled = false;
}

function tamper() {
  const text = payload.random_str;
  const last = text.endsWith("0") ? "1" : "0";
  const changed = $("step-tamper").querySelector(".changed");
  changed.replaceChildren(element("code", {}, text.slice(0, -1), element("del", {}, text.at(-1)), element("ins", {}, last)));
  changed.hidden = false;
  return verify("step-tamper", { ...payload, random_str: text.slice(0, -1) + last });
}

for (const button of document.querySelectorAll("button[lang]")) {
  button.addEventListener("click", () => speak(button.lang));
}
$("login").addEventListener("click", () => {
  logInOrOut("/demo/login", { user: document.querySelector("[name=user]:checked").value });
});
$("logout").addEventListener("click", () => logInOrOut("/demo/logout"));
$("issue").addEventListener("click", issue);
$("verify").addEventListener("click", () => verify("step-verify", payload));
$("again").addEventListener("click", () => verify("step-again", payload));
$("tamper").addEventListener("click", tamper);

speak(/^zh\b/i.test(navigator.language) ? "zh-CN" : "en");
const session = await ask("GET", "/demo/session");
if (isGood(session)) showUser(session);
