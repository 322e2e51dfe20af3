// One payload with its countdown, and what should not pass: each attack presents something on a connection of its own.

import { createClient } from "/client.js";

import { closeSdk, newSdk } from "./loading.js";
import { ask, helpLink, isGood, statusBadge, typeOf, watchedFetch } from "./log.js";
import { $, badge, both, element, Outcome } from "./page.js";
import { CODES, codeOf, REFUSED, wordsOf } from "./words.js";

const TICK_MS = 250;
const SOCKET_POLL_MS = 50;
const SOCKET_WAIT_MS = 10_000;

const outcomes = new Map(["issue", "drop", "replay", "forgery", "expired", "nobody"].map((name) => [name, new Outcome($(`step-${name}`))]));
let stopCountdown = () => {};

/** Below which path the user is logged in who was chosen to ask. */
const path = () => document.querySelector("[name=as]:checked").value;

function showAnswer(name, answer, isExpected, ...words) {
  const type = typeOf(answer);
  const lost = ["服务没有应答，它还在运行吗？", "The server does not answer. Is it still running?"];
  const told = answer.status === 0 ? lost : REFUSED[type] ?? [answer.body?.detail ?? "", answer.body?.detail ?? ""];
  const shown = [statusBadge(answer), " ", ...(words.length ? words : [both(...told)])];
  if (type) shown.push(" ", helpLink(type, both("这是什么意思？", "What does it mean?")));
  outcomes.get(name).show(isExpected, ...shown);
}

// ---- a payload

/** @returns a fresh payload, shown with its countdown; null if there is none. */
async function issue() {
  const turn = outcomes.get("issue").begin();
  stopCountdown();
  const answer = await ask("POST", `${path()}/v1/auth-payload`);
  const payload = isGood(answer) ? answer.body : null;
  if (turn.aborted) return payload;
  if (!payload) {
    $("issued").hidden = true;
    showAnswer("issue", answer, false);
    return null;
  }
  const rows = Object.entries(payload).map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  $("fields").replaceChildren(...rows);
  $("issued").hidden = false;
  showAnswer("issue", answer, true, both("已签发。", "Issued."));
  // From when it was sent, so that the countdown ends no later than the payload does.
  stopCountdown = countDown(answer.sentAt, Number(answer.headers.get("X-Expires-In-Ms")));
  return payload;
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
      outcomes.get("issue").show(undefined, both("已过期，请重新取一份。", "Expired; get a fresh one."));
      clearInterval(timer);
    }
  };
  const timer = setInterval(tick, TICK_MS);
  tick();
  return () => clearInterval(timer);
}

async function drop() {
  const turn = outcomes.get("drop").begin();
  const answer = await ask("POST", `${path()}/demo/drop`);
  if (turn.aborted) return;
  if (answer.status === 401) showAnswer("drop", answer, false, both("请先登录。", "Log in first."));
  else showAnswer("drop", answer, isGood(answer), ...(isGood(answer) ? [both("断开了，看上面怎样连回来。", "Dropped; see above how they come back.")] : []));
}

// ---- attacks

/** Has the SDK present a payload on a connection of its own. @returns {Promise<{code, message}>} the gateway's answer */
async function present(payload) {
  const JIM = await newSdk(createClient({ baseUrl: path(), fetch: watchedFetch }));
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

/** What the gateway answered: a code of the vendor's, or of authsvc where the vendor has none. */
function verdict(told) {
  const words = [badge(String(told.code), told.code === 0), " "];
  if (told.code in CODES) words.push(both(...CODES[told.code]), " ");
  return [...words, element("small", {}, told.message)];
}

/** Runs an attack, and shows what the gateway answered; to be refused is the good outcome. */
async function attack(name, run) {
  const outcome = outcomes.get(name);
  const turn = outcome.begin();
  try {
    const verdicts = await run(turn);
    if (turn.aborted) return;
    if (verdicts === null) return outcome.show(false, both("没有 payload：请先登录。", "There is no payload: log in first."));
    const words = verdicts.flatMap((told) => [...verdict(told), element("br", {})]).slice(0, -1);
    outcome.show(verdicts.at(-1).code !== 0, ...words);
  } catch (error) {
    if (!turn.aborted) outcome.show(false, badge(codeOf(error), false), " ", both(...wordsOf(error)));
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
  const answer = await ask("POST", `${path()}/demo/expired`);
  return isGood(answer) ? [await present(answer.body)] : null;
}

/** Asks where no session cookie is. */
async function nobody() {
  const turn = outcomes.get("nobody").begin();
  const answer = await ask("POST", "/v1/auth-payload");
  if (!turn.aborted) showAnswer("nobody", answer, answer.status === 401);
}

export function begin() {
  for (const [name, run] of Object.entries({ issue, drop, nobody })) $(name).addEventListener("click", run);
  for (const [name, run] of Object.entries({ replay, forgery, expired })) {
    $(name).addEventListener("click", () => attack(name, run));
  }
}
