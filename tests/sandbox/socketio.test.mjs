// The gateway by an independent client of its generation, socket.io-client 2, as the vendor's SDK would use it.
// Started by test_socketio.py, which says in the environment where everything is.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

const io = createRequire(process.env.MODULES + "/")("socket.io-client");
const { SANDBOX, SERVICE, TOKEN } = process.env;
const opened = [];

after(() => opened.forEach((socket) => socket.close()));

function connect(options) {
  const socket = io(SANDBOX, { forceNew: true, reconnection: false, ...options });
  opened.push(socket);
  return new Promise((resolve, reject) => {
    socket.on("connect", () => resolve(socket));
    socket.on("connect_error", reject);
  });
}

async function payload() {
  const answer = await fetch(`${SERVICE}/v1/auth-payload`, { method: "POST", headers: { Authorization: `Bearer ${TOKEN}` } });
  assert.equal(answer.status, 200);
  return answer.json();
}

/** Everything that comes in answer to an event, until its answer of the same name is there. */
function ask(socket, event, data) {
  return new Promise((resolve) => {
    const heard = [];
    const ack = (told) => heard.push(["ack", told]);
    socket.on("ack", ack);
    socket.once(event, (told) => {
      socket.off("ack", ack);
      resolve([...heard, [event, told]]);
    });
    socket.emit(event, data);
  });
}

const accepted = (rid) => [["ack", { rid }], ["c_init", { rid, code: 0, message: "success" }]];

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"], ["websocket", "polling"]]) {
  test(`init over ${transports.join(", then ")}`, { timeout: 60000 }, async () => {
    const socket = await connect({ transports });
    const upgraded = new Promise((resolve) => socket.io.engine.once("upgrade", resolve));
    if (transports.join() === "polling,websocket") await upgraded;
    const init = { ...(await payload()), fromPlatForm: "j", rid: 816607399 };
    assert.deepEqual(await ask(socket, "c_init", init), accepted(init.rid));
    assert.deepEqual(await ask(socket, "c_init", { ...init, rid: 5 }), accepted(5));
    const text = "小明 😀".repeat(2000);
    const [, [, told]] = await ask(socket, "get_resource", { media_id: text, rid: 6 });
    assert.equal(told.code, 882004);
  });
}

test("what is emitted before the connection stands is answered after it", async () => {
  const init = { ...(await payload()), rid: 1 };
  const socket = io(SANDBOX, { forceNew: true, reconnection: false, transports: ["websocket"] });
  opened.push(socket);
  const heard = [];
  for (const event of ["ack", "c_init"]) socket.on(event, (told) => heard.push([event, told.code]));
  for (let times = 0; times < 5; times++) socket.emit("c_init", init);
  while (heard.length < 10) await sleep(20);
  assert.equal(heard.filter(([event, code]) => event === "c_init" && code === 0).length, 5);
});

test("the SDK's retransmissions at 0, 5, 10, 15 and 20 s are one use, and a replay elsewhere is refused", async () => {
  const socket = await connect({ transports: ["websocket"] });
  const init = { ...(await payload()), fromPlatForm: "j", rid: 7 };
  const begun = performance.now();
  for (let times = 0; times < 5; times++) {
    await sleep(Math.max(0, 5000 * times - (performance.now() - begun)));
    assert.deepEqual(await ask(socket, "c_init", init), accepted(7));
  }
  const other = await connect({ transports: ["websocket"] });
  const [, [, told]] = await ask(other, "c_init", init);
  assert.equal(told.code, 889001);
});

test("a gateway that restarts: the client comes back as somebody new", async () => {
  const socket = await connect({ transports: ["websocket"], reconnection: true, reconnectionDelay: 10 });
  const init = { ...(await payload()), rid: 8 };
  assert.deepEqual(await ask(socket, "c_init", init), accepted(8));
  const back = new Promise((resolve) => socket.once("reconnect", resolve));
  await fetch(`${SANDBOX}/sandbox`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ drop: true }),
  });
  await back;
  const [, [, told]] = await ask(socket, "c_init", init);
  assert.equal(told.code, 889001);
  assert.deepEqual(await ask(socket, "c_init", { ...(await payload()), rid: 9 }), accepted(9));
});

test("a ping keeps the connection", async () => {
  const socket = await connect({ transports: ["websocket"] });
  socket.io.engine.pingInterval = 10;
  const pong = new Promise((resolve) => socket.io.engine.once("pong", resolve));
  socket.io.engine.setPing();
  await pong;
});
