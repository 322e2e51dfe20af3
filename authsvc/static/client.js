// The page's half of authsvc: a fresh payload just before JIM.init, a connection that comes back by itself, and media.
// It signs nothing and knows no secret. Syntax up to ES2017 only, and nothing of the browser that it cannot do without:
// the oldest browsers with ES modules run it, and so does a WeChat mini-program.

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

/** Why something did not work: what authsvc or the vendor said, or that nobody answered. */
export class AuthsvcError extends Error {
  /**
   * @param {string} message
   * @param {object} [told]
   * @param {number|null} [told.code] the vendor's code, or authsvc's 889xxx; null if nobody gave one
   * @param {"never"|"now"|"after"} [told.retry] whether to try again: "now" with a fresh payload, "after" a while
   * @param {number} [told.retryAfterMs] milliseconds that the service asks to wait, 0 if it does not say
   * @param {string|null} [told.requestId] what to look for in the service's log
   * @param {number} [told.status] of the HTTP answer; 0 if there was none
   * @param {string|null} [told.type] of the refusal, the path of its help page
   */
  constructor(message, told) {
    super(message);
    this.name = "AuthsvcError";
    Object.assign(this, { code: null, retry: "after", retryAfterMs: 0, requestId: null, status: 0, type: null }, told);
  }
}

/**
 * Returns the functions below, bound to one service.
 *
 * @param {object} [options]
 * @param {string} [options.baseUrl] where the service is, without a slash at the end; "" is this page's own origin
 * @param {string|function(): (string|Promise<string>)} [options.token] Bearer token, asked for before each request
 * @param {"omit"|"same-origin"|"include"} [options.credentials] whether cookies go along; as of fetch
 * @param {typeof fetch} [options.fetch] in the place of the page's own
 * @param {number} [options.timeoutMs] milliseconds that one request may take
 * @param {object} [options.clock] for tests: now() in milliseconds of no certain origin, setTimeout, clearTimeout
 * @param {function(): number} [options.random] for tests
 */
export function createClient(options) {
  const given = options || {};
  const baseUrl = given.baseUrl || "";
  const timeoutMs = given.timeoutMs || REQUEST_MS;
  const random = given.random || Math.random;
  const clock = given.clock || CLOCK;
  const urls = new Map(); // of media: media_id -> {url, until}, oldest first
  let batch = null; // the media_ids asked for in this tick: media_id -> {promise, resolve, reject}
  let notBefore = -Infinity; // another tab was told to wait until then
  let tabs = null;

  // ---- requests

  async function ask(path, body) {
    const headers = { Accept: "application/json" };
    const text = body && Object.keys(body).length ? JSON.stringify(body) : undefined;
    if (text) headers["Content-Type"] = "application/json";
    const token = typeof given.token === "function" ? await given.token() : given.token;
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
    let timer;
    const late = new Promise((_, reject) => {
      timer = clock.setTimeout(() => {
        reject(new AuthsvcError("the service did not answer within " + timeoutMs + " ms"));
        if (stop) stop.abort();
      }, timeoutMs);
    });
    const extra = { credentials: given.credentials || "same-origin", cache: "no-store" };
    if (stop) extra.signal = stop.signal;
    try {
      return await Promise.race([whole((given.fetch || fetch)(url, Object.assign(request, extra))), late]);
    } catch (error) {
      throw error instanceof AuthsvcError ? error : new AuthsvcError("the service cannot be reached: " + error.message);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** @returns a signed payload, ready for JIM.init and good once; ask just before it is needed. */
  async function fetchAuthPayload(wanted) {
    return payloadOf((await ask("/v1/auth-payload", chosen(wanted))).told);
  }

  /** @returns all that a page needs to boot: sdk, init, server_time_ms, expires_in_ms and login. */
  async function bootstrap(wanted) {
    return (await ask("/v1/bootstrap", chosen(wanted))).told;
  }

  // ---- the connection

  /**
   * Initialises the SDK and keeps it initialised: after each break of the connection with a fresh payload.
   *
   * @param JIM the SDK's object. Its onDisconnect is taken; listen to onState instead.
   * @param {object} [wanted]
   * @param {string} [wanted.appkey] which app, if it is not the service's default
   * @param {boolean|object|function} [wanted.login] true: with the account that the service gives;
   *   or {username, password, is_md5}; or a function that returns that or a promise of it
   * @param {0|1} [wanted.flag] message roaming; left out: what the service says if it logs in, else what the SDK does
   * @param {function({name: string, error?: AuthsvcError, delayMs?: number})} [wanted.onState] hears of every step
   * @param {AbortSignal} [wanted.signal] ends it, as stop() does
   * @returns {Promise<{stop: function(), state: string}>} when it first stands; rejects with an AuthsvcError when that
   *   cannot be. What may pass is waited for.
   */
  function connect(JIM, wanted) {
    const w = wanted || {};
    for (const name of ["init", "login", "isConnect", "onDisconnect"]) {
      if (!JIM || typeof JIM[name] !== "function") throw new TypeError("JIM." + name + " is no function; is it the SDK?");
    }
    let socket = null; // the SDK's, while it has the same
    let listeners = null; // that were on it before the first login
    let isLost = false;
    let wasLoggedIn = false;
    let isOver = false;
    let failures = 0;
    let pausedUntil = 0;
    let isCutOff = false; // the last failure was that nobody answered
    let look = () => {}; // checks what is being waited for
    let settle; // the promise
    const connection = { state: "connecting", stop: () => end(new AuthsvcError("stopped", { retry: "never" })) };

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

    /**
     * Listens for the loss of the SDK's socket itself, because the SDK tells of it only when logged in. And cleans up
     * after the SDK: where it has made itself another socket it leaves the old one reconnecting for ever, so that each
     * break would double them; where it has not, what it hung on it at the last login would deliver each message twice.
     */
    function holdSocket() {
      const current = JIM.channel && JIM.channel.client;
      if (!current || !current._callbacks || !current.on) return;
      if (socket && current !== socket) {
        socket.off();
        socket.close();
      }
      if (current === socket) current._callbacks = copied(listeners);
      else listeners = copied(current._callbacks);
      socket = current;
      socket.on("disconnect", (reason) => {
        if (current === socket && reason !== "io client disconnect") lose(); // that one is the SDK's own loginOut
      });
    }

    async function establish() {
      tell("connecting");
      await until(() => JIM.isConnect(), () => SOCKET_POLL_MS);
      await until(() => clock.now() >= notBefore, () => notBefore - clock.now());
      if (isOver) return;
      holdSocket();
      JIM.onDisconnect(lose);
      isLost = false;
      tell("signing");
      const isAccountGiven = w.login === true;
      const answer = await ask(isAccountGiven ? "/v1/bootstrap" : "/v1/auth-payload", chosen(w));
      const told = answer.told;
      const livesMs = isAccountGiven ? told.expires_in_ms : answer.header("X-Expires-In-Ms");
      const payload = payloadOf(isAccountGiven ? told.init : told);
      const flag = w.flag !== undefined ? w.flag : isAccountGiven ? told.init.flag : undefined;
      if (flag !== undefined) payload.flag = flag;
      if (isAccountGiven && !told.login) {
        throw new AuthsvcError("the service gives no IM accounts; login must be {username, password}", { retry: "never" });
      }
      const login = await (isAccountGiven ? told.login : typeof w.login === "function" ? w.login() : w.login);
      if (isOver) return;
      if (isLost || !JIM.isConnect() || (livesMs && clock.now() - answer.sentAt > livesMs - MARGIN_MS)) {
        throw new AuthsvcError("the payload has waited too long", { retry: "now" });
      }
      tell("initialising");
      await settled(() => JIM.init(payload));
      if (JIM.isInit && !JIM.isInit()) throw new AuthsvcError("the SDK did not take the gateway's answer");
      if (login && !isOver) {
        tell("logging-in");
        await settled(() => JIM.login(Object.assign({}, login)));
      }
    }

    /** Waits until the connection is lost; throws if somebody has logged out, or was logged out from elsewhere. */
    async function hold() {
      const isLoggedOut = () => !isLost && wasLoggedIn && !JIM.isLogin();
      await until(() => {
        wasLoggedIn = wasLoggedIn || Boolean(JIM.isLogin && JIM.isLogin());
        return isLost || isLoggedOut() || !JIM.isConnect();
      }, () => WATCH_MS);
      if (!isOver && isLoggedOut()) throw new AuthsvcError("logged out", { retry: "never" });
      wasLoggedIn = false;
    }

    async function run() {
      let mayTryAtOnce = true;
      while (!isOver) {
        try {
          await establish();
          if (isOver) return;
          const since = clock.now();
          isCutOff = false;
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
          // What the gateway said while the connection broke may be about the break; what the service says is final.
          const isFinal = error.retry === "never" && (error.status || !isLost);
          if (!(error instanceof AuthsvcError) || isFinal) return end(error);
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

    /** @returns milliseconds, drawn anew from 0 up to a limit that doubles with each failure. */
    function backOff() {
      return random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * Math.pow(2, failures));
    }

    function wake(event) {
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
      if (w.signal) w.signal.removeEventListener("abort", connection.stop);
      tell("stopped", { error });
      settle.reject(error);
    }

    listenToTabs();
    listen("addEventListener", wake);
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

  function warnTabs(waitMs) {
    if (tabs) tabs.postMessage({ waitMs });
  }

  // ---- media

  /**
   * Where a media_id's file is now. Calls of one tick become one request; a URL is kept until shortly before it expires.
   *
   * @param {string} mediaId
   * @returns {Promise<string>} the URL; rejects with an AuthsvcError, code 880005 if there is no such file
   */
  function resourceUrl(mediaId) {
    const known = urls.get(mediaId);
    if (known && clock.now() < known.until) return Promise.resolve(known.url);
    if (!batch) {
      batch = new Map();
      clock.setTimeout(flush, 0);
    }
    if (!batch.has(mediaId)) {
      const waiting = {};
      waiting.promise = new Promise((resolve, reject) => Object.assign(waiting, { resolve, reject }));
      batch.set(mediaId, waiting);
    }
    return batch.get(mediaId).promise;
  }

  function flush() {
    const asked = Array.from(batch);
    batch = null;
    while (asked.length) resolveMedia(new Map(asked.splice(0, BATCH)));
  }

  async function resolveMedia(asked) {
    try {
      const answer = await ask("/v1/resources", { media_ids: Array.from(asked.keys()) });
      const serverMs = answer.header("X-Server-Time-Ms");
      asked.forEach((waiting, mediaId) => {
        const found = (answer.told.results || {})[mediaId] || { message: "the service says nothing of " + mediaId };
        if (found.code !== 0) {
          const retry = found.code >= 882001 ? "after" : "never";
          waiting.reject(new AuthsvcError(found.message, { code: found.code || null, retry, status: 200 }));
          return;
        }
        const livesMs = found.expires_at_ms && serverMs ? found.expires_at_ms - serverMs - MARGIN_MS : UNDATED_MS;
        urls.delete(mediaId);
        urls.set(mediaId, { url: found.url, until: answer.sentAt + livesMs });
        if (urls.size > KEPT) urls.delete(urls.keys().next().value);
        waiting.resolve(found.url);
      });
    } catch (error) {
      asked.forEach((waiting) => waiting.reject(error));
    }
  }

  /**
   * Shows a media_id's picture in an img element; when its URL has gone stale, once more with a fresh one.
   *
   * @returns {Promise<boolean>} when it is loaded; false if the element was meanwhile given another picture
   */
  async function showImage(img, mediaId) {
    shown.set(img, mediaId);
    for (const isLast of [false, true]) {
      const url = await resourceUrl(mediaId);
      if (shown.get(img) !== mediaId) return false;
      if (await loads(img, url)) return shown.get(img) === mediaId;
      if (shown.get(img) !== mediaId) return false;
      urls.delete(mediaId);
      if (isLast) throw new AuthsvcError("the picture cannot be loaded: " + mediaId, { retry: "never" });
    }
  }

  return { fetchAuthPayload, bootstrap, connect, resourceUrl, showImage };
}

// ---- what needs no service

const CLOCK = {
  // A mini-program has no performance.now; only ages are counted, never moments.
  now: () => (typeof performance === "object" && performance.now ? performance.now() : Date.now()),
  setTimeout: (run, ms) => setTimeout(run, ms),
  clearTimeout: (timer) => clearTimeout(timer),
};

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
    retryAfterMs: 1000 * (Number(answer.headers.get("Retry-After")) || 0),
    requestId: (isOurs && told.request_id) || null,
    status: answer.status,
    type: (isOurs && told.type) || null,
  });
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
    throw error instanceof AuthsvcError ? error : new AuthsvcError(String((error && error.message) || error));
  });
}

function copied(callbacks) {
  const copy = {};
  for (const name of Object.keys(callbacks)) copy[name] = callbacks[name].slice();
  return copy;
}

function listen(method, wake) {
  if (typeof document === "object" && document[method]) document[method]("visibilitychange", wake);
  if (typeof window === "object" && window[method]) window[method]("online", wake);
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
