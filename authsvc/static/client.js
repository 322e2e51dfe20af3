// The page's half of authsvc: a fresh payload just before JIM.init, a connection that comes back by itself, and media.
// It signs nothing and knows no secret. Syntax up to ES2017 only, and nothing of the browser that it cannot do without:
// the oldest browsers with ES modules run it, and so does a WeChat mini-program. What each function takes and returns is
// in client.d.ts.

const REQUEST_MS = 10000;
const SOCKET_POLL_MS = 200;
const WATCH_MS = 1000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60000;
const STEADY_MS = 30000; // a connection that held this long was a good one
const MARGIN_MS = 5000; // before its expiry neither a payload nor a URL is handed out any more
const UNDATED_MS = 60000; // how long a URL is kept that does not say when it expires
const BATCH = 100;
const KEPT = 1000; // URLs

// What the vendor's gateway says of a payload that a fresh one may cure, and of what no repetition will.
const AT_ONCE = [880102, 880106, 889001];
const HOPELESS = [880002, 880003, 880004, 880101, 880103, 880104, 880110, 880111, 882002, 882003, 882004];
const LOST_ACCOUNT = [880103, 880104]; // no such account, another password: the service can put that right

// Why the gateway has logged a user out, by the `extra` of event type 1; type 2 has one reason.
const KICKED = ["logged-in-elsewhere", "account-disabled", "account-deleted"];

/** Why something did not work: what authsvc or the vendor said, or that nobody answered. */
export class AuthsvcError extends Error {
  constructor(message, told) {
    super(message);
    Object.setPrototypeOf(this, AuthsvcError.prototype); // compiled to ES5 it would be a plain Error
    this.name = "AuthsvcError";
    const nothing = { code: null, retry: "after", retryAfterMs: 0, requestId: null, status: 0, type: null, reason: null };
    Object.assign(this, nothing, told);
  }
}

const isOurs = (error) => Boolean(error) && error.name === "AuthsvcError"; // of another copy of this module, too

/** Returns the functions below, bound to one service. */
export function createClient(options) {
  const given = options || {};
  const baseUrl = given.baseUrl || "";
  const timeoutMs = given.timeoutMs || REQUEST_MS;
  const random = given.random || Math.random;
  const clock = given.clock || pageClock();
  const urls = new Map(); // of media: media_id -> {url, until}, oldest first
  const batches = {}; // the media_ids asked for in this tick, by whether fresh: media_id -> {promise, resolve, reject}
  let notBefore = -Infinity; // another tab was told to wait until then
  let tabs = null;
  let connects = 0; // under way

  // ---- requests

  async function ask(path, body, isOver) {
    const headers = { Accept: "application/json" };
    const text = body && Object.keys(body).length ? JSON.stringify(body) : undefined;
    if (text) headers["Content-Type"] = "application/json";
    const token = typeof given.token === "function" ? await attempt(given.token, "token()", timeoutMs) : given.token;
    if (isOver && isOver()) throw ended("stopped"); // while the token was fetched; nobody would use the answer
    if (token) headers.Authorization = "Bearer " + token;
    const sentAt = clock.now(); // an age counted from here is never too small
    const answer = await send(baseUrl + path, { method: "POST", headers, body: text });
    const told = parse(answer.text);
    if (answer.status < 200 || answer.status > 299) throw refusal(answer, told);
    if (!told) throw new AuthsvcError(path + " answered with no JSON; is baseUrl right?", { retry: "never" });
    return { told, sentAt, header: (name) => Number(answer.headers.get(name)) };
  }

  async function send(url, request) {
    const stop = typeof AbortController === "function" ? new AbortController() : null;
    const extra = { credentials: given.credentials || "same-origin", cache: "no-store" };
    if (stop) extra.signal = stop.signal;
    const run = () => whole((given.fetch || fetch)(url, Object.assign(request, extra)));
    return attempt(run, "the request to the service", timeoutMs, () => stop && stop.abort());
  }

  /** What the service or a function of the page comes to, in time; a failure of any kind becomes an AuthsvcError. */
  async function attempt(run, what, ms, giveUp) {
    let timer;
    const late = new Promise((_, reject) => {
      if (!ms) return; // it asks the user
      timer = clock.setTimeout(() => {
        reject(new AuthsvcError(what + " took longer than " + ms + " ms"));
        if (giveUp) giveUp();
      }, ms);
    });
    try {
      return await Promise.race([new Promise((resolve) => resolve(run())), late]);
    } catch (error) {
      throw isOurs(error) ? error : new AuthsvcError(what + " failed: " + ((error && error.message) || error));
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** A signed payload, ready for JIM.init and good once; ask just before it is needed. */
  async function fetchAuthPayload(wanted) {
    return payloadOf((await ask("/v1/auth-payload", chosen(wanted))).told);
  }

  /** All that a page needs to boot: sdk, init, server_time_ms, expires_in_ms and login. */
  async function bootstrap(wanted) {
    return (await ask("/v1/bootstrap", chosen(wanted))).told;
  }

  // ---- the connection

  /**
   * Initialises the SDK and keeps it initialised: after each break of the connection with a fresh payload. JIM.onDisconnect
   * is taken. Returns a promise of the connection when it first stands; what may pass is waited for.
   */
  function connect(JIM, wanted) {
    const w = wanted || {};
    for (const name of ["init", "login", "isConnect", "onDisconnect"]) {
      if (!JIM || typeof JIM[name] !== "function") throw new TypeError("JIM." + name + " is no function; is it the SDK?");
    }
    const isAccountGiven = w.login === true;
    const line = lineOf(JIM);
    let isLost = false;
    let wasLoggedIn = false;
    let isOver = false;
    let renews = false; // the account that the service gave was refused
    let failures = 0;
    let pausedUntil = 0;
    let isCutOff = false; // the last failure was that nobody answered
    let look = () => {}; // checks what is being waited for
    let settle; // the promise
    const connection = { state: "connecting", stop: () => end(ended("stopped")) };

    function tell(name, more) {
      connection.state = name;
      try {
        if (w.onState) w.onState(Object.assign({ name }, more));
      } catch (error) {
        clock.setTimeout(() => { throw error; }, 0); // the page's own fault shows, and breaks nothing here
      }
    }

    /** Waits until `check` holds. One timer at most, however long the page sleeps. */
    function until(check, everyMs) {
      return new Promise((resolve) => {
        let timer;
        look = () => {
          clock.clearTimeout(timer);
          if (isOver || check()) {
            look = () => {};
            resolve();
          } else timer = clock.setTimeout(look, Math.min(everyMs(), LONGEST_PAUSE_MS)); // 25 days would be none at all
        };
        look();
      });
    }

    function pause(ms) {
      pausedUntil = clock.now() + ms;
      return until(() => clock.now() >= pausedUntil, () => pausedUntil - clock.now());
    }

    function lose() {
      isLost = true;
      look();
    }

    /** The gateway has logged the user out. Once the SDK has heard of it too: it rebuilds its socket then. */
    function leave(reason) {
      Promise.resolve().then(() => end(ended(reason)));
    }

    async function establish() {
      tell("connecting");
      if (w.login && JIM.isLogin && JIM.isLogin() && JIM.loginOut) JIM.loginOut(); // of before: two logins are refused
      line.hold();
      await until(() => line.opensInInit || JIM.isConnect(), () => SOCKET_POLL_MS);
      await until(() => clock.now() >= notBefore, () => notBefore - clock.now());
      if (isOver) return;
      let login = typeof w.login === "function" ? await attempt(w.login, "login()") : w.login;
      if (isOver) return;
      JIM.onDisconnect(lose);
      isLost = false;
      tell("signing");
      const body = Object.assign({}, chosen(w), renews && { renew_login: true });
      const answer = await ask(isAccountGiven ? "/v1/bootstrap" : "/v1/auth-payload", body, () => isOver);
      const told = answer.told;
      const livesMs = isAccountGiven ? told.expires_in_ms : answer.header("X-Expires-In-Ms");
      const payload = payloadOf(isAccountGiven ? told.init : told);
      const flag = w.flag !== undefined ? w.flag : isAccountGiven ? told.init.flag : undefined;
      if (flag !== undefined) payload.flag = flag;
      if (isAccountGiven) login = told.login;
      if (isAccountGiven && !login) {
        const help = "set AUTHSVC_ACCOUNT_KEY there (openssl rand -hex 32), or give login as {username, password}";
        throw new AuthsvcError("the service gives no IM accounts: " + help, { retry: "never" });
      }
      if (isOver) return;
      const isDown = isLost || !(line.opensInInit || JIM.isConnect());
      if (isDown || (livesMs && clock.now() - answer.sentAt > livesMs - MARGIN_MS)) {
        throw new AuthsvcError("the payload has waited too long", { retry: "now" });
      }
      tell("initialising");
      await answered(() => JIM.init(payload));
      if (isOver) return;
      if (JIM.isInit && !JIM.isInit()) throw new AuthsvcError("the SDK did not take the gateway's answer");
      if (login) {
        tell("logging-in");
        line.expectLogin();
        await answered(() => JIM.login(Object.assign({}, login)));
        line.noteLogin();
      }
    }

    /** Waits for the SDK's answer to the call, no longer than the connection lasts: the SDK would wait for minutes. */
    async function answered(call) {
      let outcome = null;
      let wasUp = false;
      const note = (error) => {
        outcome = { error };
        look();
      };
      settled(call).then(() => note(null), note);
      line.hold(); // which may just have opened it
      await until(() => {
        const isDown = wasUp && !JIM.isConnect();
        wasUp = wasUp || JIM.isConnect();
        return outcome || isLost || isDown;
      }, () => WATCH_MS);
      if (!outcome && !isOver) throw new AuthsvcError("the connection broke before the gateway answered");
      if (outcome && outcome.error) throw outcome.error;
    }

    /** Waits until the connection is lost; throws if somebody has logged out, or was logged out from elsewhere. */
    async function hold() {
      const isLoggedOut = () => !isLost && wasLoggedIn && !JIM.isLogin();
      await until(() => {
        wasLoggedIn = wasLoggedIn || Boolean(JIM.isLogin && JIM.isLogin());
        return isLost || isLoggedOut() || !JIM.isConnect();
      }, () => WATCH_MS);
      if (!isOver && isLoggedOut()) throw ended("logged-out");
      wasLoggedIn = false;
    }

    async function run() {
      let mayTryAtOnce = true;
      while (!isOver) {
        try {
          await establish();
          if (isOver) return;
          const since = clock.now();
          isCutOff = renews = false;
          mayTryAtOnce = true;
          tell("ready");
          settle.resolve(connection);
          await hold();
          if (isOver) return;
          failures = clock.now() - since < STEADY_MS ? failures + 1 : 0;
          tell("disconnected");
          await pause(backOff()); // or all pages of a gateway that has restarted would come at once
        } catch (error) {
          if (isOver) return;
          if (isAccountGiven && !renews && !error.status && LOST_ACCOUNT.indexOf(error.code) >= 0) {
            renews = true; // once, until a login has succeeded
            error.retry = "now";
          }
          // What the gateway said while the connection broke may be about the break; what the service says is final.
          const isFinal = error.retry === "never" && (error.status || !isLost);
          if (!isOurs(error) || isFinal) return end(error);
          isCutOff = error.status === 0 && error.code === null;
          if (error.retry === "now" && mayTryAtOnce) {
            mayTryAtOnce = false;
            tell("retrying", { error, delayMs: 0 });
          } else {
            const delayMs = error.retryAfterMs + backOff();
            failures += 1;
            if (error.status) warnTabs(delayMs);
            tell("retrying", { error, delayMs });
            await pause(delayMs);
          }
        }
      }
    }

    /** Milliseconds, drawn anew from 0 up to a limit that doubles with each failure. */
    function backOff() {
      return random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * Math.pow(2, failures));
    }

    function wake(event) {
      if (event.type === "pagehide") return leaveTabs();
      if (event.type === "pageshow") listenToTabs();
      if (event.type === "online" && isCutOff) {
        pausedUntil = Math.min(pausedUntil, clock.now() + random() * FIRST_PAUSE_MS);
      }
      look();
    }

    function end(error) {
      if (isOver) return;
      isOver = true;
      look();
      listen("removeEventListener", wake);
      connects -= 1;
      if (!connects) leaveTabs();
      if (w.signal) w.signal.removeEventListener("abort", connection.stop);
      if (line.lose === lose) line.lose = line.leave = () => {};
      tell("stopped", { error });
      settle.reject(error);
    }

    connects += 1;
    listenToTabs();
    listen("addEventListener", wake);
    line.lose = lose;
    line.leave = leave;
    const promise = new Promise((resolve, reject) => { settle = { resolve, reject }; });
    if (w.signal) w.signal.addEventListener("abort", connection.stop);
    if (w.signal && w.signal.aborted) connection.stop();
    run();
    return promise;
  }

  // ---- tabs: they share how long to wait, and nothing else

  function listenToTabs() {
    if (tabs || typeof BroadcastChannel !== "function") return;
    tabs = new BroadcastChannel("authsvc " + baseUrl);
    tabs.onmessage = (event) => {
      const waitMs = Math.min(Number(event.data && event.data.waitMs) || 0, LONGEST_PAUSE_MS);
      notBefore = Math.max(notBefore, clock.now() + waitMs + random() * FIRST_PAUSE_MS);
    };
    if (tabs.unref) tabs.unref();
  }

  /** An open channel would keep the page out of the back/forward cache. */
  function leaveTabs() {
    if (tabs) tabs.close();
    tabs = null;
  }

  function warnTabs(waitMs) {
    if (tabs) tabs.postMessage({ waitMs });
  }

  // ---- media

  /** Where a media_id's file is now. Calls of one tick become one request; a URL is kept until shortly before it expires. */
  function resourceUrl(mediaId, wanted) {
    const fresh = Boolean(wanted && wanted.fresh);
    const known = urls.get(mediaId);
    if (!fresh && known && clock.now() < known.until) return Promise.resolve(known.url);
    if (!batches[fresh]) {
      batches[fresh] = new Map();
      clock.setTimeout(() => flush(fresh), 0);
    }
    const batch = batches[fresh];
    if (!batch.has(mediaId)) {
      const waiting = {};
      waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
      batch.set(mediaId, waiting);
    }
    return batch.get(mediaId).promise;
  }

  function flush(fresh) {
    const asked = Array.from(batches[fresh]);
    delete batches[fresh];
    while (asked.length) resolveMedia(new Map(asked.splice(0, BATCH)), fresh);
  }

  async function resolveMedia(asked, fresh) {
    try {
      const answer = await ask("/v1/resources", Object.assign({ media_ids: Array.from(asked.keys()) }, fresh && { fresh }));
      const serverMs = answer.header("X-Server-Time-Ms");
      asked.forEach((waiting, mediaId) => {
        const found = (answer.told.results || {})[mediaId] || { message: "the service says nothing of " + mediaId };
        if (found.code !== 0) {
          const retry = found.code >= 882001 ? "after" : "never";
          waiting.reject(new AuthsvcError(found.message, { code: found.code || null, retry, status: 200 }));
          return;
        }
        const livesMs = found.expires_at_ms && serverMs ? found.expires_at_ms - serverMs - MARGIN_MS : UNDATED_MS;
        const known = urls.get(mediaId);
        if (known && known.sentAt > answer.sentAt) return waiting.resolve(known.url); // asked for later, told before
        urls.delete(mediaId);
        urls.set(mediaId, { url: found.url, until: answer.sentAt + livesMs, sentAt: answer.sentAt });
        if (urls.size > KEPT) urls.delete(urls.keys().next().value);
        waiting.resolve(found.url);
      });
    } catch (error) {
      asked.forEach((waiting) => waiting.reject(error));
    }
  }

  /** Shows a media_id's picture in an img element; when its URL has stopped working, once more with a fresh one. */
  async function showImage(img, mediaId) {
    shown.set(img, mediaId);
    for (const fresh of [false, true]) {
      const url = await resourceUrl(mediaId, { fresh }).catch((error) => {
        if (shown.get(img) === mediaId) throw error;
      });
      if (shown.get(img) !== mediaId) return false;
      const isLoaded = await loads(img, url);
      if (shown.get(img) !== mediaId) return false;
      if (isLoaded) return true;
    }
    urls.delete(mediaId);
    throw new AuthsvcError("the picture cannot be loaded: " + mediaId, { retry: "never" });
  }

  return { fetchAuthPayload, bootstrap, connect, resourceUrl, showImage };
}

// ---- what needs no service

const LITTLE_MS = 1000; // by which two clocks may disagree for no reason

/**
 * The page's timers, and a clock for ages: the monotonic one, which on some systems stands still in sleep, put forward by
 * as much as the wall clock has gained on it. Where somebody sets the wall clock forward, ages come out too large, which
 * costs a fresh payload; that it was set back is seen, and makes none too small.
 */
function pageClock() {
  const monotonic = () => (typeof performance === "object" && performance.now ? performance.now() : 0); // mini-programs
  const gap = () => Date.now() - monotonic();
  let slept = 0;
  let known = gap();
  return {
    now() {
      const gained = gap() - known;
      if (gained > 0) slept += gained;
      if (gained > 0 || gained < -LITTLE_MS) known += gained;
      return monotonic() + slept;
    },
    setTimeout: (run, ms) => setTimeout(run, ms),
    clearTimeout: (timer) => clearTimeout(timer),
  };
}

const shown = new WeakMap(); // img -> the media_id that it was last asked to show

function chosen(wanted) {
  return wanted && wanted.appkey ? { appkey: wanted.appkey } : undefined;
}

/** Exactly the SDK's keys: it sends whatever else it is given, and writes into the object. */
function payloadOf(told) {
  const payload = {};
  for (const name of ["appkey", "random_str", "signature", "timestamp"]) {
    if (typeof told[name] !== "string") throw new AuthsvcError(name + " is missing in the answer", { retry: "never" });
    payload[name] = told[name];
  }
  return payload;
}

async function whole(answering) {
  const response = await answering;
  return { status: response.status, headers: response.headers, text: await response.text() };
}

function parse(text) {
  try {
    const told = JSON.parse(text);
    return told && typeof told === "object" ? told : null;
  } catch (error) {
    return null;
  }
}

function refusal(answer, told) {
  const isOurs = told && typeof told.retry === "string";
  const passes = answer.status >= 500 || answer.status === 429 || answer.status === 408; // as a gateway says it
  return new AuthsvcError((isOurs && (told.message || told.detail)) || "the service answered " + answer.status, {
    code: isOurs && typeof told.code === "number" ? told.code : null,
    retry: isOurs ? told.retry : passes ? "after" : "never",
    retryAfterMs: waitMs(answer.headers),
    requestId: (isOurs && told.request_id) || null,
    status: answer.status,
    type: (isOurs && told.type) || null,
  });
}

/** Milliseconds. Retry-After counts seconds, or, as gateways send it, is a date, by the sender's own clock. */
function waitMs(headers) {
  const told = headers.get("Retry-After");
  const isDate = told && isNaN(told);
  const ms = isDate ? Date.parse(told) - (Date.parse(headers.get("Date")) || Date.now()) : 1000 * told;
  return ms > 0 ? ms : 0;
}

/** A promise of the SDK's answer to the call. */
function settled(call) {
  return new Promise((resolve, reject) => {
    call()
      .onSuccess(resolve)
      .onFail((told) => {
        const code = told && typeof told.code === "number" ? told.code : null;
        const retry = AT_ONCE.indexOf(code) >= 0 ? "now" : HOPELESS.indexOf(code) >= 0 ? "never" : "after";
        reject(new AuthsvcError((told && told.message) || "the gateway refused", { code, retry }));
      })
      .onTimeout(() => reject(new AuthsvcError("the gateway did not answer")));
  }).catch((error) => {
    throw isOurs(error) ? error : new AuthsvcError(String((error && error.message) || error));
  });
}

/** Why a connection is over that might go on. */
function ended(reason) {
  return new AuthsvcError("the connection has ended: " + reason, { retry: "never", reason });
}

// ---- the SDK's socket

const lines = new WeakMap(); // JIM -> its line

/**
 * The SDK's socket, one at a time and with each listener once, for as long as the SDK's object lives. Its version 2.6.0
 * makes another socket at each disconnect, and the mini-program's one at each init, and both leave the old one
 * reconnecting: it is closed the moment it is replaced. Version 2.5.0 keeps its socket, but at each login hangs all its
 * listeners on it once more: those of the last login are taken off when the connection is lost, and no others.
 */
function lineOf(JIM) {
  if (lines.has(JIM)) return lines.get(JIM);
  let channel = null;
  let socket = null;
  let before = null; // the listeners just before the SDK takes the answer to a login
  let hung = []; // those that it hung then
  const line = {
    opensInInit: !(JIM.channel && JIM.channel.client), // as the mini-program's SDK does
    lose() {},
    leave() {},

    /** Takes the socket that there is, and each that the SDK makes itself from now on. */
    hold() {
      if (JIM.channel && JIM.channel !== channel) {
        channel = JIM.channel;
        let client = channel.client;
        Object.defineProperty(channel, "client", {
          configurable: true,
          enumerable: true,
          get: () => client,
          set: (made) => take((client = made)),
        });
      }
      if (channel) take(channel.client);
    },

    expectLogin() {
      if (socket) socket.on("login", noteBefore);
    },

    noteLogin() {
      if (before) hung = listeners().filter((listener) => before.indexOf(listener) < 0);
      before = null;
    },
  };
  lines.set(JIM, line);
  return line;

  function take(made) {
    if (made === socket || !made || !made.on || !made.off) return;
    if (socket) {
      socket.off();
      socket.close();
    }
    socket = made;
    hung = [];
    // The SDK tells of a loss only when logged in, and of a kick only to the one handler of the page.
    made.on("disconnect", (reason) => {
      takeOff();
      if (reason !== "io client disconnect") line.lose(); // that one is the SDK's own loginOut
    });
    made.on("event_notification", (told) => {
      const type = Number(told && told.event_type);
      if (type === 1) line.leave(KICKED[told.extra] || "logged-out");
      if (type === 2) line.leave("password-changed");
    });
  }

  function noteBefore() {
    socket.off("login", noteBefore);
    before = listeners();
  }

  function takeOff() {
    const all = socket._callbacks || {};
    for (const name of Object.keys(all)) all[name] = all[name].filter((listener) => hung.indexOf(listener) < 0);
    hung = [];
  }

  function listeners() {
    const all = socket._callbacks || {};
    return [].concat(...Object.keys(all).map((name) => all[name]));
  }
}

function listen(method, wake) {
  if (typeof document === "object" && document[method]) document[method]("visibilitychange", wake);
  if (typeof window !== "object" || !window[method]) return;
  for (const name of ["online", "pagehide", "pageshow"]) window[method](name, wake);
}

function loads(img, url) {
  return new Promise((resolve) => {
    const done = (event) => {
      img.removeEventListener("load", done);
      img.removeEventListener("error", done);
      resolve(event.type === "load");
    };
    img.addEventListener("load", done);
    img.addEventListener("error", done);
    img.src = url;
  });
}

const page = createClient();

export const { fetchAuthPayload, bootstrap, connect, resourceUrl, showImage } = page;
