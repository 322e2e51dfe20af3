// Every export of the module, used as a page in TypeScript would; checked by tsc, never run.

import {
  AuthsvcError, bootstrap, connect, createClient, fetchAuthPayload, resourceUrl, showImage,
  type AuthPayload, type Bootstrap, type Client, type Connection, type JMessage, type Reason, type Retry,
} from "../../authsvc/static/client.js";

declare const JIM: JMessage;
declare const img: HTMLImageElement;

export async function page(): Promise<string> {
  const client: Client = createClient({ baseUrl: "", token: async () => "token", credentials: "include", fetch, timeoutMs: 1 });
  const payload: AuthPayload = await fetchAuthPayload({ appkey: "key" });
  const booted: Bootstrap = await bootstrap();
  const connection: Connection = await connect(JIM, {
    login: true,
    flag: 1,
    onState: ({ name, error, delayMs }) => console.log(name === "retrying" && delayMs, error?.requestId),
    signal: new AbortController().signal,
  });
  connection.stop();
  await client.connect(JIM, { login: () => ({ username: "ming", password: "word" }) });
  try {
    const isShown: boolean = await showImage(img, await resourceUrl("qiniu/a", { fresh: true }));
    return payload.timestamp + booted.login?.username + connection.state + isShown;
  } catch (error) {
    if (!(error instanceof AuthsvcError)) throw error;
    const retry: Retry = error.retry;
    const reason: Reason | null = error.reason;
    return `${error.code} ${retry} ${reason === "logged-in-elsewhere"} ${error.retryAfterMs} ${error.status} ${error.type}`;
  }
}

// @ts-expect-error the password is missing
connect(JIM, { login: { username: "ming" } });
// @ts-expect-error there is no such option
createClient({ url: "" });
// @ts-expect-error a payload's timestamp is a string
fetchAuthPayload().then((payload) => payload.timestamp.toFixed());
