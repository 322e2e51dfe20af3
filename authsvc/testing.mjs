// For tests in Node of an app and its pages: a sandbox, and a service that signs and verifies, on free ports.
// Copy this file beside the tests. It needs a Python with authsvc installed, and nothing of npm.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

const TOKEN_S = 3600;

/**
 * Starts both; they are ready when the promise is fulfilled. They end with stop(), and with this process however it ends.
 *
 * @param {{ python?: string }} [options] the program of that Python
 */
export async function start({ python = process.env.PYTHON ?? "python3" } = {}) {
  const child = spawn(python, ["-m", "authsvc.testing"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const first = new Promise((resolve) => createInterface(child.stdout).once("line", resolve));
  const line = await Promise.race([first, ended]);
  if (typeof line !== "string") throw new Error(`${python} -m authsvc.testing ended with ${line}`);
  const { service, sandbox, appkey, jwt_key } = JSON.parse(line);

  /** Returns a token that the service takes for a login of this user, for an hour. */
  function token(userId) {
    const claims = { sub: userId, exp: Math.floor(Date.now() / 1000) + TOKEN_S };
    const signed = [{ alg: "HS256", typ: "JWT" }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    return `${signed}.${createHmac("sha256", jwt_key).update(signed).digest("base64url")}`;
  }

  async function ask(url, request) {
    const answer = await fetch(url, request);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error.message);
    return told;
  }

  return {
    service,
    sandbox,
    appkey,
    token,
    /** Asks it of the sandbox, as POST /sandbox describes it. */
    change: (members) =>
      ask(`${sandbox}/sandbox`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(members),
      }),
    /** Returns what pages have sent: of a username, of an event, since a number. */
    events: async (query = {}) => (await ask(`${sandbox}/sandbox/events?${new URLSearchParams(query)}`)).events,
    /** Ends both; nothing of them is left when the promise is fulfilled. */
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
