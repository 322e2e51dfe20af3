// The browser module with everything around it in the test's hands: fetch, clock, chance, the SDK.

import assert from "node:assert/strict";
import { test } from "node:test";

// `CLIENT` is another form of the module that has to behave the same: compiled to ES5, as old bundles have it.
const { AuthsvcError, createClient } = await import(process.env.CLIENT || "../../authsvc/static/client.js");

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

/** The SDK's socket: an emitter that tells of its end, and how many of them are open. */
class Socket {
  static open = new Set();
  _callbacks = {};
  connected = true;
  constructor() {
    Socket.open.add(this);
  }
  on(name, then) {
    (this._callbacks[`$${name}`] ??= []).push(then);
  }
  off(name, then) {
    if (!name) this._callbacks = {};
    else this._callbacks[`$${name}`] = (this._callbacks[`$${name}`] ?? []).filter((known) => known !== then);
  }
  fire(name, data) {
    for (const then of [...(this._callbacks[`$${name}`] ?? [])]) then(data);
  }
  close() {
    Socket.open.delete(this);
    const wasConnected = this.connected;
    this.connected = false;
    if (wasConnected) this.fire("disconnect", "io client disconnect");
  }
  /** Breaks, and reconnects at once by itself, as each socket does that nobody has closed. */
  break() {
    this.connected = false;
    this.fire("disconnect", "transport close");
    this.connected = Socket.open.has(this);
  }
}

/**
 * The vendor's SDK, as far as the module sees it: it writes into what it is given, and tells of breaks when logged in.
 * `version` is whose habits it has with its socket.
 */
class Sdk {
  inits = [];
  logins = [];
  answers = []; // of the gateway: a code, or "timeout" or "silence"; success when there are none left
  user = null;
  channel = {};
  constructor(version = "2.5.0") {
    this.version = version;
    if (version !== "mini-program") this.#connect();
  }
  #connect() {
    this.channel.client = new Socket();
  }
  get connected() {
    return Boolean(this.channel.client?.connected);
  }
  set connected(connected) {
    this.channel.client.connected = connected;
  }
  isConnect = () => this.connected;
  isInit = () => this.initialised;
  isLogin = () => this.user !== null;
  onDisconnect = (then) => (this.told = then);
  onMsgReceive = (then) => (this.received = then);
  onEventNotification = (then) => (this.notified = then);
  init = (payload) => {
    if (this.version === "mini-program") this.#connect();
    return this.#call(payload, this.inits, () => (this.initialised = true));
  };
  login = (login) =>
    this.#call(login, this.logins, () => {
      const { client } = this.channel;
      client.fire("login", {});
      client._callbacks.$login = []; // all of them, as it does
      this.user = login.username;
      client.on("msg_sync", (message) => this.received?.(message));
      client.on("event_notification", (told) => {
        this.notified?.(told);
        if (told.event_type < 3) this.loginOut();
      });
      client.on("disconnect", (reason) => this.#lose(reason));
    });
  loginOut = () => {
    this.user = null;
    this.initialised = false;
    this.channel.client.close();
    this.#connect();
  };
  #lose(reason) {
    this.initialised = false;
    this.user = null;
    if (reason !== "io client disconnect") this.told();
    if (this.version === "2.6.0") this.#connect();
  }
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

test("why a service has no accounts is said with what to do", async () => {
  const run = connecting(new Service(booted(null)), new Sdk(), { login: true });
  await run.clock.pass(0);
  assert.match(run.error.message, /AUTHSVC_ACCOUNT_KEY.*openssl rand -hex 32.*\{username, password\}/);
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
  const service = new Service(() => new Promise((resolve) => (wake = () => resolve(issued(1)))), issued(2));
  const run = connecting(service, sdk, { login: LOGIN }, { timeoutMs: 2 * LIFE_MS });
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

for (const version of ["2.5.0", "2.6.0", "mini-program"]) {
  test(`each handler runs once a message over three breaks, whenever it was registered: ${version}`, async () => {
    const sdk = new Sdk(version);
    const heard = { before: 0, after: 0, beforeOnTheSocket: 0, meanwhileOnTheSocket: 0, afterOnTheSocket: 0 };
    const keepsItsSocket = version === "2.5.0";
    const onTheSocket = (name) => keepsItsSocket && sdk.channel.client.on("msg_sync", () => (heard[name] += 1));
    sdk.onMsgReceive(() => (heard.before += 1));
    onTheSocket("beforeOnTheSocket");
    const onState = ({ name }) => name === "logging-in" && !sdk.logins.length && queueMicrotask(() => onTheSocket("meanwhileOnTheSocket"));
    const it = client(new Service(issued()));
    const connecting = it.connect(sdk, { login: LOGIN, onState });
    await it.clock.pass(0);
    await connecting;
    sdk.onEventNotification(() => (heard.after += 1));
    onTheSocket("afterOnTheSocket");
    for (let times = 1; times <= 4; times++) {
      sdk.channel.client.fire("msg_sync", {});
      sdk.channel.client.fire("event_notification", { event_type: 9 });
      assert.deepEqual(Object.values(heard), [times, times, ...Array(3).fill(keepsItsSocket ? times : 0)]);
      sdk.channel.client.break();
      await it.clock.pass(60000);
      assert.equal(sdk.logins.length, times + 1);
    }
  });

  test(`one connection is left after 25 drops, and after a logout: ${version}`, async () => {
    Socket.open.clear();
    const sdk = new Sdk(version);
    const run = connecting(new Service(issued()), sdk, { login: LOGIN });
    await run.clock.pass(0);
    for (let drop = 0; drop < 25; drop++) {
      for (const socket of [...Socket.open]) socket.break();
      await run.clock.pass(137 * (drop % 9));
    }
    await run.clock.pass(120000);
    assert.equal(run.connection.state, "ready");
    assert.deepEqual([...Socket.open], [sdk.channel.client]);
    sdk.loginOut();
    await run.clock.pass(2000);
    assert.equal(run.connection.state, "stopped");
    assert.deepEqual([...Socket.open], [sdk.channel.client]);
  });

  for (const closes of [false, true]) {
    test(`a kick is the end, and says why: ${version}, ${closes ? "" : "not "}closed by the gateway`, async () => {
      for (const [told, reason] of [
        [{ event_type: 1, extra: 0 }, "logged-in-elsewhere"],
        [{ event_type: 1, extra: 1 }, "account-disabled"],
        [{ event_type: 1, extra: 2 }, "account-deleted"],
        [{ event_type: 1, extra: 9 }, "logged-out"],
        [{ event_type: 2 }, "password-changed"],
      ]) {
        for (const fails of [false, true]) {
          const sdk = new Sdk(version);
          const service = new Service(issued());
          const run = connecting(service, sdk, { login: LOGIN });
          await run.clock.pass(0);
          const socket = sdk.channel.client;
          if (fails) sdk.onEventNotification(() => { throw new Error("the page's"); }); // then the SDK does not log out
          if (fails) assert.throws(() => socket.fire("event_notification", told), /the page's/);
          else socket.fire("event_notification", told);
          if (closes) socket.break();
          await run.clock.pass(3600000);
          const { error } = run.states.at(-1);
          assert.deepEqual([run.connection.state, error.reason, error.retry], ["stopped", reason, "never"]);
          assert.match(error.message, new RegExp(reason));
          assert.deepEqual([service.asked.length, sdk.logins.length, run.clock.timers.size], [1, 1, 0]);
        }
      }
    });
  }
}

test("a kick that comes while a page is logging in is the end, too", async () => {
  const sdk = new Sdk();
  sdk.answers = [0, "silence"];
  const run = connecting(new Service(issued()), sdk, { login: LOGIN });
  await run.clock.pass(0);
  sdk.channel.client.fire("event_notification", { event_type: 1, extra: 0 });
  await run.clock.pass(3600000);
  assert.deepEqual([run.error.reason, sdk.logins.length], ["logged-in-elsewhere", 1]);
});

test("the end of one connect leaves the next one its socket", async () => {
  const sdk = new Sdk();
  const first = connecting(new Service(issued()), sdk);
  await first.clock.pass(0);
  const second = connecting(new Service(issued()), sdk);
  await second.clock.pass(0);
  first.connection.stop();
  sdk.channel.client.fire("disconnect", "transport close"); // the SDK, which is not logged in, does not tell
  await second.clock.pass(0);
  assert.equal(second.names().at(-1), "disconnected");
});

test("an SDK that opens its socket only in init is not waited for", async () => {
  const service = new Service(issued());
  const sdk = new Sdk("mini-program");
  const run = connecting(service, sdk, { login: LOGIN });
  await run.clock.pass(0);
  assert.equal(run.connection.state, "ready");
  sdk.channel.client.connected = false; // and does not come back by itself
  await run.clock.pass(2500);
  assert.equal(run.connection.state, "ready");
  assert.deepEqual([sdk.inits.length, service.asked.length], [2, 2]);
});

test("a connection that breaks while the SDK waits for an answer is not waited for", async () => {
  for (const answers of [["silence"], [0, "silence"]]) {
    const sdk = new Sdk();
    sdk.answers = answers;
    const run = connecting(new Service(issued()), sdk, { login: LOGIN });
    await run.clock.pass(10);
    sdk.channel.client.break(); // the SDK would wait for 30 s at least, and 150 s at most
    await run.clock.pass(1000);
    assert.equal(run.connection.state, "ready");
  }
  const sdk = new Sdk();
  sdk.answers = ["silence"];
  const run = connecting(new Service(issued()), sdk);
  await run.clock.pass(10);
  sdk.connected = false; // and nobody tells of it
  await run.clock.pass(1000);
  sdk.connected = true;
  await run.clock.pass(1000);
  assert.equal(run.connection.state, "ready");
});

test("a page that was left while it logged in can connect again with the same SDK", async () => {
  const sdk = new Sdk();
  const abort = new AbortController();
  const onState = ({ name }) => name === "logging-in" && queueMicrotask(() => abort.abort());
  const it = client(new Service(issued()));
  const left = it.connect(sdk, { login: LOGIN, signal: abort.signal, onState }).catch((error) => error);
  await it.clock.pass(0);
  assert.equal((await left).reason, "stopped");
  assert.equal(sdk.isLogin(), true); // its login went on; the gateway refuses a second one, 880107
  const heard = [];
  sdk.onMsgReceive((message) => heard.push(message));
  const old = sdk.channel.client;
  const again = connecting(new Service(issued()), sdk, { login: LOGIN });
  await again.clock.pass(0);
  assert.equal(again.connection.state, "ready");
  assert.equal(old.connected, false);
  sdk.channel.client.fire("msg_sync", "once");
  assert.deepEqual(heard, ["once"]);
});

for (const name of ["connecting", "signing", "initialising", "logging-in", "ready", "disconnected", "retrying"]) {
  test(`an abort while it is ${name} leaves nothing behind`, async () => {
    const service = new Service(issued(), BUSY, issued());
    const sdk = new Sdk();
    const abort = new AbortController();
    const states = [];
    const it = client(service);
    const onState = (state) => {
      states.push(state.name);
      if (state.name === name && !abort.signal.aborted) queueMicrotask(() => abort.abort());
    };
    it.connect(sdk, { login: LOGIN, signal: abort.signal, onState }).catch(() => {});
    await it.clock.pass(0);
    sdk.channel.client.break();
    await it.clock.pass(60000);
    assert.deepEqual([abort.signal.aborted, states.at(-1), it.clock.timers.size], [true, "stopped", 0]);
    const done = [service.asked.length, sdk.inits.length, sdk.logins.length];
    sdk.channel.client.fire("event_notification", { event_type: 1 });
    sdk.channel.client.break();
    await it.clock.pass(3600000);
    assert.deepEqual([service.asked.length, sdk.inits.length, sdk.logins.length], done);
    assert.equal(states.filter((state) => state === "stopped").length, 1);
  });
}

test("a stop while the token is fetched asks for nothing more", async () => {
  let give;
  const service = new Service(issued());
  const abort = new AbortController();
  const run = connecting(service, new Sdk(), { signal: abort.signal }, { token: () => new Promise((resolve) => (give = resolve)) });
  await run.clock.pass(10);
  abort.abort();
  give("token");
  await run.clock.pass(3600000);
  assert.deepEqual([run.error.reason, service.asked.length, run.clock.timers.size], ["stopped", 0, 0]);
});

test("who has logged in by himself stays in, where connect is not to log in", async () => {
  const sdk = new Sdk();
  sdk.login({ username: "ming" }).onSuccess(() => {});
  const run = connecting(new Service(issued()), sdk);
  await run.clock.pass(0);
  assert.deepEqual([run.connection.state, sdk.user], ["ready", "ming"]);
});

for (const code of [880103, 880104]) {
  test(`${code} at login with the service's account has it renewed, once`, async () => {
    const service = new Service(booted());
    const sdk = new Sdk();
    sdk.answers = [0, code];
    const run = connecting(service, sdk, { login: true });
    await run.clock.pass(0);
    assert.equal(run.connection.state, "ready");
    assert.deepEqual(service.asked.map(({ body }) => body), [undefined, { renew_login: true }]);
    sdk.channel.client.break();
    await run.clock.pass(1000);
    assert.deepEqual(service.asked.at(-1).body, undefined);
    sdk.answers = [0, code, 0, code];
    sdk.channel.client.break();
    await run.clock.pass(3600000);
    const { error } = run.states.at(-1);
    assert.deepEqual([run.connection.state, error.code, error.retry], ["stopped", code, "never"]);
    assert.deepEqual(service.asked.slice(3).map(({ body }) => body), [undefined, { renew_login: true }]);
  });
}

test("a renewal that the service has no time for is asked for again", async () => {
  const service = new Service(booted(), BUSY, booted());
  const sdk = new Sdk();
  sdk.answers = [0, 880103];
  const run = connecting(service, sdk, { login: true, appkey: "another" });
  await run.clock.pass(5000);
  assert.equal(run.connection.state, "ready");
  const renewal = { appkey: "another", renew_login: true };
  assert.deepEqual(service.asked.map(({ body }) => body), [{ appkey: "another" }, renewal, renewal]);
});

test("a service that refuses with the code of a lost account is not asked to renew it", async () => {
  const service = new Service(refused(403, 880103, "never"));
  const run = connecting(service, new Sdk(), { login: true });
  await run.clock.pass(3600000);
  assert.deepEqual([run.error.status, service.asked.length], [403, 1]);
});

test("a token that cannot be had now is asked for again", async () => {
  const outcomes = [() => { throw new Error("expired"); }, () => Promise.reject("offline"), () => new Promise(() => {}), () => "good"];
  const service = new Service(issued());
  const run = connecting(service, new Sdk(), {}, { token: () => outcomes.shift()(), timeoutMs: 3000 });
  await run.clock.pass(10000);
  assert.equal(run.connection.state, "ready");
  assert.deepEqual(service.asked.map(({ headers }) => headers.Authorization), ["Bearer good"]);
  const failures = run.states.filter(({ name }) => name === "retrying").map(({ error }) => error.message);
  assert.deepEqual(failures, ["token() failed: expired", "token() failed: offline", "token() took longer than 3000 ms"]);
});

test("a token that says never is the end; and a request alone tells of it too", async () => {
  const token = () => { throw new AuthsvcError("logged out of the app", { retry: "never" }); };
  const run = connecting(new Service(issued()), new Sdk(), {}, { token });
  await run.clock.pass(3600000);
  assert.equal(run.error.message, "logged out of the app");
  const error = await client(new Service(issued()), { token: () => { throw new TypeError("Failed"); } }).bootstrap().catch((e) => e);
  assert.deepEqual([error.name, error.retry], ["AuthsvcError", "after"]);
});

test("a login that cannot be had now is asked for again; the user may take his time, and no payload waits for him", async () => {
  const outcomes = [() => { throw new Error("offline"); }, () => new Promise((resolve) => (typed = () => resolve(LOGIN)))];
  let typed;
  const service = new Service(issued());
  const sdk = new Sdk();
  const run = connecting(service, sdk, { login: () => outcomes.shift()() });
  await run.clock.pass(2 * LIFE_MS);
  assert.equal(service.asked.length, 0);
  typed();
  await run.clock.pass(0);
  assert.deepEqual([run.connection.state, service.asked.length, sdk.logins], ["ready", 1, [LOGIN]]);
});

test("a fetch that throws at once is a service that cannot be reached", async () => {
  const error = await createClient({ fetch: () => { throw new Error("no such domain in the list"); } }).bootstrap().catch((e) => e);
  assert.deepEqual([error.name, error.retry], ["AuthsvcError", "after"]);
});

test("Retry-After may be a date, as gateways send it", async () => {
  const now = "Mon, 30 Nov 2026 12:00:00 GMT";
  const later = "Mon, 30 Nov 2026 12:02:00 GMT";
  for (const [headers, waitMs] of [
    [{ "Retry-After": later, Date: now }, 120000], // by the sender's clock
    [{ "Retry-After": now, Date: later }, 0],
    [{ "Retry-After": new Date(Date.now() + 60000).toUTCString() }, 60000], // a page of another origin cannot read Date
    [{ "Retry-After": "soon" }, 0],
    [{ "Retry-After": "-1" }, 0],
    [{ "Retry-After": "2.5" }, 2500],
    [{}, 0],
  ]) {
    const error = await client(new Service({ status: 503, text: "<html>", headers })).bootstrap().catch((e) => e);
    assert.ok(Math.abs(error.retryAfterMs - waitMs) < 1500, `${JSON.stringify(headers)}: ${error.retryAfterMs}`);
  }
});

/** How old a URL that was just kept is to the page's own clocks, after they have moved so: [monotonic, wall] each time. */
async function isKept(...moves) {
  const real = { performance: Object.getOwnPropertyDescriptor(globalThis, "performance"), now: Date.now };
  let [monotonic, wall] = [5000, 1795456800000];
  Object.defineProperty(globalThis, "performance", { configurable: true, value: { now: () => monotonic } });
  Date.now = () => wall;
  try {
    const service = new Service(located(["a"], null)); // kept for 60 s
    const it = createClient({ fetch: service.fetch });
    await it.resourceUrl("a");
    for (const [steady, told] of moves) {
      monotonic += steady;
      wall += told;
      await it.resourceUrl("a");
    }
    return service.asked.length === 1;
  } finally {
    Date.now = real.now;
    Object.defineProperty(globalThis, "performance", real.performance);
  }
}

test("an age is counted by the later of two clocks, and never too small", async () => {
  const HOUR = 3600000;
  assert.equal(await isKept([59000, 59000]), true);
  assert.equal(await isKept([60000, 60000]), false);
  assert.equal(await isKept([0, 60000]), false); // asleep, and the monotonic clock stood still
  assert.equal(await isKept([0, 20000], [0, 20000], [0, 20000]), false);
  assert.equal(await isKept([1000, -HOUR], [0, 60000]), false); // the wall clock was set back, then it slept
  assert.equal(await isKept([1000, -HOUR], [57000, 57000]), true); // set back alone makes nothing older
  assert.equal(await isKept([60000, -HOUR]), false); // nor younger
  assert.equal(await isKept([0, HOUR], [0, -HOUR]), false); // set forward, it only costs a request
  assert.equal(await isKept(...Array(40).fill([1000, 1900]), ...Array(1).fill([0, 0])), false);
  assert.equal(await isKept(...Array(50).fill([[500, 520], [500, 480]]).flat()), true); // two clocks are never quite one
});

test("a page in the back/forward cache has no channel to other tabs, and one that comes back has", async () => {
  const events = { document: new EventTarget(), window: new EventTarget() };
  let channels = 0;
  class Channel {
    constructor() { channels += 1; }
    close() { channels -= 1; }
  }
  Object.assign(globalThis, events, { BroadcastChannel: Channel });
  try {
    const it = client(new Service(issued()));
    const sdks = [new Sdk(), new Sdk()];
    const connections = Promise.all(sdks.map((sdk) => it.connect(sdk)));
    await it.clock.pass(0);
    const [first, second] = await connections;
    assert.equal(channels, 1);
    events.window.dispatchEvent(new Event("pagehide"));
    assert.equal(channels, 0);
    sdks[0].connected = false;
    events.window.dispatchEvent(new Event("pageshow"));
    await settle();
    assert.deepEqual([channels, first.state], [1, "disconnected"]); // what happened meanwhile is seen at once
    first.stop();
    assert.equal(channels, 1);
    second.stop();
    assert.equal(channels, 0);
    events.window.dispatchEvent(new Event("pageshow"));
    assert.equal(channels, 0);
  } finally {
    for (const name of ["document", "window", "BroadcastChannel"]) delete globalThis[name];
  }
});

test("tabs share how long to wait, and nothing else", async () => {
  const channels = [];
  globalThis.BroadcastChannel = class {
    constructor(name) {
      this.name = name;
      channels.push(this);
    }
    close() {
      channels.splice(channels.indexOf(this), 1);
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
  assert.deepEqual(service.asked.map(({ body }) => body.fresh), [undefined, true]);
  img.works = [false];
  const failed = it.showImage(img, "a").catch((error) => error);
  for (let times = 0; times < 4; times++) await it.clock.pass(0);
  assert.equal((await failed).retry, "never");
  assert.deepEqual(service.asked.map(({ body }) => body.fresh), [undefined, true, true]);
});

test("a fresh URL is asked for apart from those that memory may answer", async () => {
  const service = new Service((request) => located(JSON.parse(request.body).media_ids, null));
  const it = client(service);
  const asked = [it.resourceUrl("a"), it.resourceUrl("b", { fresh: true }), it.resourceUrl("c", { fresh: false })];
  await it.clock.pass(0);
  await Promise.all(asked);
  assert.deepEqual(service.asked.map(({ body }) => body), [{ media_ids: ["a", "c"] }, { media_ids: ["b"], fresh: true }]);
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

test("an element that was given another picture does not fail for the one before", async () => {
  const first = {};
  const unknown = { body: { results: { a: { code: 880005, message: "unknown" } } } };
  const service = new Service(() => new Promise((answer) => (first.answer = answer)), located(["b"], null));
  const it = client(service);
  const img = new Img();
  const before = it.showImage(img, "a");
  await it.clock.pass(0);
  const after = it.showImage(img, "b");
  await it.clock.pass(0);
  first.answer(unknown);
  assert.deepEqual([await before, await after], [false, true]);
});

test("a URL that was asked for before and told after a fresh one is not kept", async () => {
  const first = {};
  const service = new Service(() => new Promise((answer) => (first.answer = answer)), {
    ...located([], null),
    body: { results: { a: { code: 0, message: "success", url: "http://dl/fresh", expires_at_ms: null } } },
  });
  const it = client(service);
  const before = it.resourceUrl("a");
  await it.clock.pass(1);
  const fresh = it.resourceUrl("a", { fresh: true });
  await it.clock.pass(0);
  first.answer(located(["a"], null));
  const fromNowOn = "http://dl/fresh";
  assert.deepEqual([await fresh, await before, await it.resourceUrl("a")], [fromNowOn, fromNowOn, fromNowOn]);
  assert.equal(service.asked.length, 2);
});
