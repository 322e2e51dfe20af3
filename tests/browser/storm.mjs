// Many pages at once: each has the module and the SDK's generation of socket client, all reconnect when their gateway
// and their service restart. Started by test_storm.py; says in one line of JSON how it went.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

import { createClient } from "../../authsvc/static/client.js";

const io = createRequire(import.meta.url)("socket.io-client");
const { SANDBOX, SERVICE, TOKENS } = process.env;
const statuses = {}; // of the service's answers, how many
let payloads = []; // asked for, by page

/** As much of the vendor's SDK as the module needs, over a real connection. */
function sdk() {
  const socket = io(SANDBOX, { forceNew: true, transports: ["websocket"], reconnectionDelay: 1000, reconnectionDelayMax: 5000 });
  let calls = new Map();
  let isInit = false;
  socket.on("c_init", ({ rid, ...told }) => calls.get(rid)?.(told));
  socket.on("disconnect", () => {
    isInit = false;
    calls = new Map();
  });
  return {
    channel: { client: socket },
    isConnect: () => socket.connected,
    isInit: () => isInit,
    isLogin: () => false,
    onDisconnect() {},
    login() {},
    init(payload) {
      const rid = 1 + Math.floor(Math.random() * 0x7ffffffe);
      const hears = {};
      const late = setTimeout(() => hears.onTimeout(), 25000);
      calls.set(rid, (told) => {
        clearTimeout(late);
        isInit = !told.code;
        (told.code ? hears.onFail : hears.onSuccess)(told);
      });
      socket.emit("c_init", { ...payload, rid });
      const chain = {};
      for (const name of ["onSuccess", "onFail", "onTimeout"]) chain[name] = (then) => ((hears[name] = then), chain);
      return chain;
    },
  };
}

const pages = TOKENS.split(",").map((token, number) => {
  const counting = async (url, request) => {
    if (url.endsWith("/v1/auth-payload")) payloads[number] = (payloads[number] || 0) + 1;
    let answer;
    try {
      answer = await fetch(url, request);
    } catch (error) {
      statuses.unreachable = (statuses.unreachable || 0) + 1;
      throw error;
    }
    statuses[answer.status] = (statuses[answer.status] || 0) + 1;
    return answer;
  };
  const page = { state: "connecting", sdk: sdk() };
  const client = createClient({ baseUrl: SERVICE, token, fetch: counting });
  client
    .connect(page.sdk, { onState: ({ name }) => (page.state = name) })
    .then((connection) => (page.stop = connection.stop), (error) => (page.error = error));
  return page;
});

async function settled(withinMs) {
  const begun = performance.now();
  while (pages.some(({ state }) => state !== "ready")) {
    if (performance.now() - begun > withinMs) break;
    await sleep(50);
  }
  const asked = pages.map((_, number) => payloads[number] || 0);
  const told = {
    ready: pages.filter(({ state }) => state === "ready").length,
    took_ms: Math.round(performance.now() - begun),
    most: Math.max(...asked),
    all: asked.reduce((sum, count) => sum + count, 0),
    statuses: { ...statuses },
  };
  payloads = [];
  console.log(JSON.stringify(told));
}

await settled(60000);
for await (const line of createInterface({ input: process.stdin })) { // a line: the servers have just restarted
  if (line === "end") break;
  await settled(90000);
}
process.exit(0);
