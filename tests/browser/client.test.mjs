// The browser module with everything around it in the test's hands: fetch, clock, chance, the SDK.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AuthsvcError, createClient } from "../../authsvc/static/client.js";

const PAYLOAD = { appkey: "k".repeat(24), random_str: "r".repeat(32), signature: "0".repeat(32), timestamp: "1795456800000" };
const LOGIN = { username: "ming", password: "f".repeat(32), is_md5: true };
const LIFE_MS = 600000;

/** Lets everything happen that needs no time. */
async function settle() {
  for (let turn = 0; turn < 12; turn++) await new Promise(setImmediate);
}

class Clock {
  nowMs = 5000;
  timers = new Map();
  now = () => this.nowMs;
  setTimeout = (run, ms) => {
    const timer = {};
    this.timers.set(timer, { at: this.nowMs + Math.max(0, ms), run });
    return timer;
  };
  clearTimeout = (timer) => this.timers.delete(timer);

  /** Lets time pass, with every timer run at its time. */
  async pass(ms) {
    const until = this.nowMs + ms;
    await settle();
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at)[0];
      if (!due) break;
      this.nowMs = Math.max(this.nowMs, due[1].at);
      this.timers.delete(due[0]);
      due[1].run();
      await settle();
    }
    this.nowMs = until;
  }

  /** Sleeps as a laptop does: time passes and no timer runs, until all that are due run at once. */
  async sleep(ms) {
    this.nowMs += ms;
    await this.pass(0);
  }
}

/** A service that answers as told, one answer after the other; the last one for ever. */
class Service {
  asked = [];
  constructor(...answers) {
    this.answers = answers;
  }
  fetch = async (url, request) => {
    this.asked.push({ url, ...request, body: request.body && JSON.parse(request.body) });
    const told = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    const answer = typeof told === "function" ? await told(request) : told;
    if (answer instanceof Error) throw answer;
    const headers = new Headers(answer.headers);
    return { status: answer.status ?? 200, headers, text: async () => answer.text ?? JSON.stringify(answer.body) };
  };
}

const issued = (n = 1) => ({ body: { ...PAYLOAD, random_str: String(n).padStart(32, "0") }, headers: { "X-Expires-In-Ms": LIFE_MS } });
const booted = (login = LOGIN) => ({
  body: {
    sdk: { script: null, integrity: null, options: {} },
    init: { ...PAYLOAD, flag: 1 },
    server_time_ms: 1795456800000,
    expires_in_ms: LIFE_MS,
    login,
  },
});
const refused = (status, code, retry, headers) => ({
  status,
  headers,
  body: { type: "/problems/it", title: "It", status, detail: "no", request_id: "abc", retry, code, message: "no" },
});
const BUSY = refused(503, 882005, "after");

/** The vendor's SDK, as far as the module sees it: it writes into what it is given, and tells of breaks when logged in. */
class Sdk {
  connected = true;
  inits = [];
  logins = [];
  answers = []; // of the gateway: a code, or "timeout" or "silence"; success when there are none left
  user = null;
  isConnect = () => this.connected;
  isInit = () => this.initialised;
  isLogin = () => this.user !== null;
  onDisconnect = (then) => (this.told = then);
  init = (payload) => this.#call(payload, this.inits, () => (this.initialised = true));
  login = (login) => this.#call(login, this.logins, () => (this.user = login.username));
  #call(given, list, done) {
    list.push({ ...given });
    given.fromPlatForm = "j";
    const answer = this.answers.shift() ?? 0;
    const chain = {};
    for (const [name, hears] of [
      ["onSuccess", answer === 0],
      ["onFail", answer > 0],
      ["onTimeout", answer === "timeout"],
    ]) {
      chain[name] = (then) => {
        if (hears) setImmediate(() => (answer === 0 && done(), then(answer > 0 ? { code: answer, message: "the gateway's" } : { code: 0 })));
        return chain;
      };
    }
    return chain;
  }
  drop() {
    this.initialised = false;
    this.user = null;
    this.told();
  }
}

function client(service, options) {
  const clock = new Clock();
  return { clock, ...createClient({ fetch: service.fetch, clock, random: () => 0.5, ...options }) };
}

/** Connects and gives what happened so far; the promise's end is noted, never thrown. */
function connecting(service, sdk, wanted, options) {
  const it = client(service, options);
  const states = [];
  const run = { ...it, states, names: () => states.map(({ name }) => name) };
  run.promise = it.connect(sdk, { ...wanted, onState: (state) => states.push({ ...state, at: it.clock.nowMs }) });
  run.promise.then(
    (connection) => (run.connection = connection),
    (error) => (run.error = error),
  );
  return run;
}

// ---- requests

test("a payload is asked for with nothing but what is wanted", async () => {
  const service = new Service(issued());
  const it = client(service);
  assert.deepEqual(await it.fetchAuthPayload(), issued().body);
  const [{ url, method, body, credentials, cache, headers }] = service.asked;
  assert.deepEqual([url, method, body, credentials, cache], ["/v1/auth-payload", "POST", undefined, "same-origin", "no-store"]);
  assert.deepEqual(headers, { Accept: "application/json" });
  await it.fetchAuthPayload({ appkey: "another" });
  assert.deepEqual(service.asked[1].body, { appkey: "another" });
  assert.equal(it.clock.timers.size, 0);
});

test("base URL, credentials and token are the page's to choose", async () => {
  const service = new Service(booted());
  const tokens = ["first", Promise.resolve("second"), null];
  const it = client(service, { baseUrl: "https://auth.example", credentials: "omit", token: () => tokens.shift() });
  for (let times = 0; times < 3; times++) await it.bootstrap();
  assert.deepEqual(service.asked.map(({ headers }) => headers.Authorization), ["Bearer first", "Bearer second", undefined]);
  assert.equal(service.asked[0].url, "https://auth.example/v1/bootstrap");
  assert.equal(service.asked[0].credentials, "omit");
});

test("bootstrap is told as it came", async () => {
  assert.deepEqual(await client(new Service(booted())).bootstrap(), booted().body);
});

test("a refusal has what the service says", async () => {
  const error = await client(new Service(refused(429, 889003, "after", { "Retry-After": "7" }))).fetchAuthPayload().catch((e) => e);
  assert.ok(error instanceof AuthsvcError && error instanceof Error);
  const { code, retry, retryAfterMs, requestId, status, type, message } = error;
  assert.deepEqual([code, retry, retryAfterMs, requestId, status, type, message], [889003, "after", 7000, "abc", 429, "/problems/it", "no"]);
});

for (const [what, answer, retry, status] of [
  ["a gateway's page for 502", { status: 502, text: "<html>" }, "after", 502],
  ["a gateway's page for 403", { status: 403, text: "<html>" }, "never", 403],
  ["a page of HTML instead", { text: "<html>" }, "never", 0],
  ["null", { text: "null" }, "never", 0],
  ["no payload", { body: { url: "" } }, "never", 0],
  ["no network", new TypeError("Failed to fetch"), "after", 0],
]) {
  test(`what is no answer of the service: ${what}`, async () => {
    const error = await client(new Service(answer)).fetchAuthPayload().catch((e) => e);
    assert.ok(error instanceof AuthsvcError, String(error));
    assert.deepEqual([error.code, error.retry, error.status], [null, retry, status]);
  });
}

test("a service that does not answer is given up", async () => {
  let signal;
  const it = client(new Service((request) => ((signal = request.signal), new Promise(() => {}))), { timeoutMs: 3000 });
  const failed = it.fetchAuthPayload().catch((e) => e);
  await it.clock.pass(2999);
  assert.equal(signal.aborted, false);
  await it.clock.pass(1);
  assert.equal((await failed).retry, "after");
  assert.equal(signal.aborted, true);
});

// ---- the connection

test("it waits for the socket, and asks for the payload only then", async () => {
  const service = new Service(issued());
  const sdk = new Sdk();
  sdk.connected = false;
  const run = connecting(service, sdk);
  await run.clock.pass(5000);
  assert.equal(service.asked.length, 0);
  assert.equal(run.clock.timers.size, 1);
  sdk.connected = true;
  await run.clock.pass(200);
  assert.deepEqual(run.names(), ["connecting", "signing", "initialising", "ready"]);
  assert.deepEqual(sdk.inits, [issued().body]); // exactly the SDK's keys
  assert.equal((await run.promise).state, "ready");
});

test("with login, the account of the service and its flag are used", async () => {
  const sdk = new Sdk();
  const run = connecting(new Service(booted()), sdk, { login: true });
  await run.clock.pass(0);
  assert.deepEqual(run.names(), ["connecting", "signing", "initialising", "logging-in", "ready"]);
  assert.deepEqual(sdk.inits, [{ ...PAYLOAD, flag: 1 }]);
  assert.deepEqual(sdk.logins, [LOGIN]);
});

test("login and flag may be the page's own", async () => {
  const mine = { username: "ana", password: "word" };
  for (const login of [mine, () => mine, async () => mine]) {
    const sdk = new Sdk();
    const run = connecting(new Service(issued()), sdk, { login, flag: 0 });
    await run.clock.pass(0);
    assert.deepEqual(sdk.inits, [{ ...PAYLOAD, ...issued().body, flag: 0 }]);
    assert.deepEqual(sdk.logins, [mine]);
  }
  assert.deepEqual(mine, { username: "ana", password: "word" }); // the SDK writes into a copy
});

test("a service without accounts cannot log in", async () => {
  const run = connecting(new Service(booted(null)), new Sdk(), { login: true });
  await run.clock.pass(0);
  assert.equal(run.error.retry, "never");
  assert.equal(run.names().at(-1), "stopped");
});

test("what is no SDK is said at once", () => {
  for (const wrong of [undefined, {}, { init() {} }]) assert.throws(() => client(new Service(issued())).connect(wrong), TypeError);
});

test("after a break it is initialised again, with a fresh payload", async () => {
  const service = new Service(issued(1), issued(2));
  const sdk = new Sdk();
  const run = connecting(service, sdk, { login: LOGIN });
  await run.clock.pass(60000);
  sdk.drop();
  await run.clock.pass(1000);
  assert.deepEqual(run.names().slice(-6), ["disconnected", "connecting", "signing", "initialising", "logging-in", "ready"]);
  assert.deepEqual(sdk.inits.map(({ random_str }) => Number(random_str)), [1, 2]);
  assert.equal(sdk.logins.length, 2);
});

test("a break that the SDK does not tell of is seen", async () => {
  const sdk = new Sdk();
  const run = connecting(new Service(issued()), sdk);
  await run.clock.pass(60000);
  sdk.connected = false;
  await run.clock.pass(1000);
  sdk.connected = true;
  await run.clock.pass(1500);
  assert.equal(sdk.inits.length, 2);
  assert.equal(run.connection.state, "ready");
});

for (const code of [880102, 880106, 889001]) {
  test(`${code} gets one fresh payload at once, then it backs off`, async () => {
    const service = new Service(issued());
    const sdk = new Sdk();
    sdk.answers = Array(50).fill(code);
    const run = connecting(service, sdk);
    await run.clock.pass(0);
    assert.equal(service.asked.length, 2);
    assert.equal(sdk.inits.length, 2);
    await run.clock.pass(10 * 60000);
    const delays = run.states.filter(({ name }) => name === "retrying").map(({ delayMs }) => delayMs);
    assert.deepEqual(delays.slice(0, 9), [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    assert.ok(service.asked.length < 30, String(service.asked.length));
    sdk.answers = [];
    await run.clock.pass(60000);
    assert.equal(run.connection.state, "ready");
  });
}

for (const code of [880101, 880002, 880103, 880104, 882004]) {
  test(`${code} of the gateway is never tried again`, async () => {
    const service = new Service(issued());
    const sdk = new Sdk();
    sdk.answers = [code];
    const run = connecting(service, sdk);
    await run.clock.pass(3600000);
    assert.deepEqual([run.error.code, run.error.retry, service.asked.length], [code, "never", 1]);
    assert.equal(run.clock.timers.size, 0);
  });
}

test("the gateway's time-out and its busy code are tried again", async () => {
  const sdk = new Sdk();
  sdk.answers = ["timeout", 882005];
  const run = connecting(new Service(issued()), sdk);
  await run.clock.pass(1500);
  assert.equal(run.connection.state, "ready");
  assert.equal(sdk.inits.length, 3);
});

test("a refusal that says never is the end", async () => {
  const service = new Service(refused(401, 882004, "never"));
  const run = connecting(service, new Sdk());
  await run.clock.pass(3600000);
  assert.deepEqual([run.error.status, run.error.requestId, service.asked.length], [401, "abc", 1]);
  assert.equal(run.clock.timers.size, 0);
});

test("never is the end also when the connection breaks meanwhile", async () => {
  const sdk = new Sdk();
  const service = new Service(() => (sdk.drop(), refused(403, 889005, "never")));
  const run = connecting(service, sdk);
  await run.clock.pass(3600000);
  assert.deepEqual([run.error.status, service.asked.length], [403, 1]);
});

test("a wait that is longer than any timer is waited for", async () => {
  const service = new Service(refused(429, 889003, "after", { "Retry-After": "3000000" }), issued());
  const run = connecting(service, new Sdk());
  await run.clock.pass(60000);
  assert.ok([...run.clock.timers.values()].every(({ at }) => at - run.clock.nowMs < 2 ** 31));
  await run.clock.sleep(2999900000);
  assert.equal(service.asked.length, 1);
  await run.clock.pass(60000);
  assert.equal(run.connection.state, "ready");
});

test("Retry-After is waited for, and some more", async () => {
  const service = new Service(refused(429, 889003, "after", { "Retry-After": "20" }), issued());
  const run = connecting(service, new Sdk());
  await run.clock.pass(20499);
  assert.equal(service.asked.length, 1);
  await run.clock.pass(1);
  assert.equal(run.connection.state, "ready");
});

test("the back-off is drawn from zero up to a limit that doubles, a minute at most", async () => {
  for (const random of [0.01, 0.75]) {
    const run = connecting(new Service(BUSY), new Sdk(), {}, { random: () => random });
    await run.clock.pass(300000);
    const limits = run.states.filter(({ name }) => name === "retrying").map(({ delayMs }) => delayMs / random);
    assert.deepEqual(limits.slice(0, 8), [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
  }
});

test("a connection that breaks at once again and again backs off too", async () => {
  const service = new Service(issued());
  const sdk = new Sdk();
  const run = connecting(service, sdk, { login: LOGIN });
  await run.clock.pass(0);
  for (let second = 0; second < 600; second++) {
    if (sdk.user) sdk.drop();
    await run.clock.pass(1000);
  }
  assert.ok(service.asked.length < 40, String(service.asked.length));
});

test("a laptop that slept for twenty minutes: one check, one init", async () => {
  const service = new Service(issued());
  const sdk = new Sdk();
  const run = connecting(service, sdk, { login: LOGIN });
  await run.clock.pass(60000);
  assert.equal(run.clock.timers.size, 1);
  await run.clock.sleep(20 * 60000); // nothing was lost meanwhile
  assert.equal(service.asked.length, 1);
  assert.equal(run.clock.timers.size, 1);
  sdk.connected = false;
  await run.clock.sleep(20 * 60000);
  sdk.drop();
  sdk.connected = true;
  await run.clock.pass(2000);
  assert.equal(service.asked.length, 2);
  assert.equal(run.connection.state, "ready");
});

test("a payload that was slept over is not handed out", async () => {
  const sdk = new Sdk();
  let wake;
  const service = new Service(issued(1), issued(2));
  const login = () => (wake ? LOGIN : new Promise((resolve) => (wake = () => resolve(LOGIN))));
  const run = connecting(service, sdk, { login });
  await run.clock.pass(0);
  await run.clock.sleep(LIFE_MS - 4999); // by the monotonic clock, whatever the wall's says
  wake();
  await run.clock.pass(0);
  assert.deepEqual(sdk.inits.map(({ random_str }) => Number(random_str)), [2]);
});

test("a page that sees a break while it signs starts over", async () => {
  const sdk = new Sdk();
  const service = new Service(() => ((sdk.connected = false), issued(1)), issued(2));
  const run = connecting(service, sdk);
  await run.clock.pass(0);
  sdk.connected = true;
  await run.clock.pass(1000);
  assert.deepEqual(sdk.inits.map(({ random_str }) => Number(random_str)), [2]);
});

test("who has logged out stays out", async () => {
  const service = new Service(issued());
  const sdk = new Sdk();
  const run = connecting(service, sdk, { login: LOGIN });
  await run.clock.pass(5000);
  sdk.user = null; // loginOut, or logged in elsewhere
  await run.clock.pass(3600000);
  assert.equal(run.connection.state, "stopped");
  assert.equal(service.asked.length, 1);
});

test("stop ends it, whatever it waits for", async () => {
  const sdk = new Sdk();
  const ready = connecting(new Service(issued()), sdk);
  await ready.clock.pass(0);
  (await ready.promise).stop();
  sdk.connected = false;
  await ready.clock.pass(3600000);
  assert.equal(ready.connection.state, "stopped");
  assert.equal(sdk.inits.length, 1);
  for (const before of [true, false]) {
    const abort = new AbortController();
    if (before) abort.abort();
    const waiting = connecting(new Service(BUSY), new Sdk(), { signal: abort.signal });
    await waiting.clock.pass(before ? 0 : 10);
    abort.abort();
    await waiting.clock.pass(3600000);
    assert.equal(waiting.error.retry, "never");
    assert.equal(waiting.clock.timers.size, 0);
  }
});

test("a fault of the page's own listener breaks nothing here", async () => {
  const it = client(new Service(issued()));
  const promise = it.connect(new Sdk(), { onState: () => { throw new Error("the page's"); } });
  await settle();
  assert.equal((await promise).state, "ready");
  await assert.rejects(it.clock.pass(0), /the page's/);
});

test("sockets that the SDK leaves behind are closed, and listeners are not doubled", async () => {
  class Socket {
    _callbacks = { $ack: ["the SDK's"] };
    closed = 0;
    on(name, then) {
      (this._callbacks["$" + name] ??= []).push(then);
    }
    off() {
      this._callbacks = {};
    }
    close() {
      this.closed += 1;
    }
  }
  const sdk = new Sdk();
  const first = new Socket();
  sdk.channel = { client: first };
  const run = connecting(new Service(issued()), sdk, { login: LOGIN });
  await run.clock.pass(0);
  first.on("msg_sync", "of the first login");
  sdk.drop(); // an SDK that keeps its socket
  await run.clock.pass(5000);
  assert.equal(first._callbacks.$msg_sync, undefined);
  assert.equal(first._callbacks.$disconnect.length, 1);
  assert.equal(first.closed, 0);
  const second = new Socket();
  sdk.channel.client = second; // an SDK that makes another
  sdk.drop();
  await run.clock.pass(5000);
  assert.deepEqual([first.closed, first._callbacks], [1, {}]);
  assert.equal(run.connection.state, "ready");
  second._callbacks.$disconnect[0]("transport close"); // not logged in, the SDK would not tell
  await run.clock.pass(0);
  assert.equal(run.names().at(-1), "disconnected");
});

test("tabs share how long to wait, and nothing else", async () => {
  const channels = [];
  globalThis.BroadcastChannel = class {
    constructor(name) {
      this.name = name;
      channels.push(this);
    }
    postMessage(data) {
      said.push(data);
      for (const other of channels) if (other !== this && other.name === this.name) other.onmessage({ data });
    }
  };
  const said = [];
  const services = [new Service(refused(503, 882005, "after", { "Retry-After": "30" }), issued()), new Service(issued())];
  const first = connecting(services[0], new Sdk());
  const sdk = new Sdk();
  sdk.connected = false;
  const second = connecting(services[1], sdk);
  await first.clock.pass(0);
  await second.clock.pass(0);
  sdk.connected = true;
  await second.clock.pass(30000);
  assert.equal(services[1].asked.length, 0);
  await second.clock.pass(1500);
  assert.equal(services[1].asked.length, 1);
  assert.deepEqual(said, [{ waitMs: 30500 }]);
  for (const nonsense of [null, {}, { waitMs: "soon" }, { waitMs: 1e12 }]) channels[1].onmessage({ data: nonsense });
  sdk.drop();
  await second.clock.pass(62000); // a minute is the most that another tab can make this one wait
  assert.equal(services[1].asked.length, 2);
  delete globalThis.BroadcastChannel;
});

test("waking looks once; online ends the wait for a network that was away", async () => {
  const events = { document: new EventTarget(), window: new EventTarget() };
  Object.assign(globalThis, events);
  try {
    const service = new Service(new TypeError("offline"), new TypeError("offline"), new TypeError("offline"), new TypeError("offline"), issued());
    const run = connecting(service, new Sdk());
    await run.clock.pass(0);
    for (let fire = 0; fire < 20; fire++) events.document.dispatchEvent(new Event("visibilitychange"));
    await run.clock.pass(3500);
    assert.equal(service.asked.length, 4);
    events.window.dispatchEvent(new Event("online"));
    await run.clock.pass(500);
    assert.equal(service.asked.length, 5);
    assert.equal(run.connection.state, "ready");
    run.connection.stop();
    const busy = new Service(refused(503, 882005, "after", { "Retry-After": "60" }), issued());
    const waiting = connecting(busy, new Sdk());
    await waiting.clock.pass(10);
    events.window.dispatchEvent(new Event("online")); // the service asked to wait, and it was no matter of the network
    await waiting.clock.pass(50000);
    assert.equal(busy.asked.length, 1);
    (await (waiting.clock.pass(20000), waiting.promise)).stop();
  } finally {
    delete globalThis.document;
    delete globalThis.window;
  }
});

// ---- media

const located = (ids, expires_at_ms) => ({
  headers: { "X-Server-Time-Ms": 1795456800000 },
  body: { results: Object.fromEntries(ids.map((id) => [id, { code: 0, message: "success", url: `http://dl/${id}`, expires_at_ms }])) },
});

test("what is asked in one tick is one request", async () => {
  const service = new Service((request) => located(JSON.parse(request.body).media_ids, null));
  const it = client(service);
  const asked = ["a", "b", "a"].map((id) => it.resourceUrl(id));
  await it.clock.pass(0);
  assert.deepEqual(await Promise.all(asked), ["http://dl/a", "http://dl/b", "http://dl/a"]);
  assert.deepEqual(service.asked.map(({ url, body }) => [url, body]), [["/v1/resources", { media_ids: ["a", "b"] }]]);
  const many = Array.from({ length: 250 }, (_, number) => it.resourceUrl(`m/${number}`));
  await it.clock.pass(0);
  await Promise.all(many);
  assert.deepEqual(service.asked.slice(1).map(({ body }) => body.media_ids.length), [100, 100, 50]);
});

for (const [what, expires, lives] of [["its expiry, less a margin", 1795456800000 + 60000, 55000], ["a minute if it names none", null, 60000]]) {
  test(`a URL is kept until ${what}`, async () => {
    const service = new Service(located(["a"], expires));
    const it = client(service);
    const ask = async () => {
      const url = it.resourceUrl("a");
      await it.clock.pass(0);
      return url;
    };
    await ask();
    await it.clock.pass(lives - 1);
    await ask();
    assert.equal(service.asked.length, 1);
    await it.clock.pass(1);
    await ask();
    assert.equal(service.asked.length, 2);
  });
}

test("each media_id has its own refusal, and none is kept", async () => {
  const results = { a: { code: 880005, message: "unknown" }, b: { code: 882005, message: "busy" } };
  const service = new Service({ body: { results } });
  const it = client(service);
  const told = Promise.all(["a", "b", "c"].map((id) => it.resourceUrl(id).catch((error) => error)));
  await it.clock.pass(0);
  assert.deepEqual((await told).map(({ code, retry }) => [code, retry]), [[880005, "never"], [882005, "after"], [null, "never"]]);
  it.resourceUrl("a").catch(() => {});
  await it.clock.pass(0);
  assert.equal(service.asked.length, 2);
});

test("a request that fails fails for all that were in it", async () => {
  const it = client(new Service(refused(401, 882004, "never")));
  const told = Promise.all(["a", "b"].map((id) => it.resourceUrl(id).catch((error) => error.code)));
  await it.clock.pass(0);
  assert.deepEqual(await told, [882004, 882004]);
});

class Img extends EventTarget {
  works = [true];
  srcs = [];
  set src(url) {
    this.srcs.push(url);
    const name = (this.works.length > 1 ? this.works.shift() : this.works[0]) ? "load" : "error";
    setImmediate(() => this.dispatchEvent(new Event(name)));
  }
}

test("a picture is shown; a stale URL gets one fresh one", async () => {
  const service = new Service(located(["a"], null));
  const it = client(service);
  const img = new Img();
  img.works = [false, true];
  const shown = it.showImage(img, "a");
  await it.clock.pass(0);
  await it.clock.pass(0);
  assert.equal(await shown, true);
  assert.equal(service.asked.length, 2);
  img.works = [false];
  const failed = it.showImage(img, "a").catch((error) => error);
  for (let times = 0; times < 4; times++) await it.clock.pass(0);
  assert.equal((await failed).retry, "never");
});

test("an element that was given another picture shows that one", async () => {
  const it = client(new Service(located(["a", "b"], null)));
  const img = new Img();
  const first = it.showImage(img, "a");
  const second = it.showImage(img, "b");
  await it.clock.pass(0);
  assert.deepEqual([await first, await second], [false, true]);
  assert.deepEqual(img.srcs, ["http://dl/b"]);
});
