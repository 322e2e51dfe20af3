/** Why something did not work: what authsvc or the vendor said, or that nobody answered. */
export class AuthsvcError extends Error {
  constructor(message: string, told?: Partial<Told>);
  /** The vendor's code, or authsvc's 889xxx; null if nobody gave one. */
  readonly code: number | null;
  /** Whether to try again: "now" with a fresh payload, "after" a while. */
  readonly retry: Retry;
  /** Milliseconds that the service asks to wait; 0 if it does not say. */
  readonly retryAfterMs: number;
  /** What to look for in the service's log. */
  readonly requestId: string | null;
  /** Of the HTTP answer; 0 if there was none, and for what the gateway said. */
  readonly status: number;
  /** Of the refusal: the path of its help page. */
  readonly type: string | null;
  /** Why a connection is over that might go on; null for any other error. */
  readonly reason: Reason | null;
}

export type Reason =
  | "stopped"
  | "logged-out"
  | "logged-in-elsewhere"
  | "account-disabled"
  | "account-deleted"
  | "password-changed";

export type Retry = "never" | "now" | "after";

export interface Told {
  code: number | null;
  retry: Retry;
  retryAfterMs: number;
  requestId: string | null;
  status: number;
  type: string | null;
  reason: Reason | null;
}

/** Exactly what JIM.init takes; good once, for ten minutes. */
export interface AuthPayload {
  appkey: string;
  random_str: string;
  signature: string;
  /** Unix milliseconds, 13 digits. */
  timestamp: string;
}

/** What JIM.login takes. The SDK writes into it. */
export interface Login {
  username: string;
  password: string;
  is_md5?: boolean;
}

export interface Bootstrap {
  sdk: { script: string | null; integrity: string | null; options: Record<string, unknown> };
  init: AuthPayload & { flag: 0 | 1 };
  /** Unix milliseconds by the service's clock. */
  server_time_ms: number;
  /** Milliseconds from server_time_ms for which the payload is valid. */
  expires_in_ms: number;
  /** The user's IM account; null where the service gives none. */
  login: Login | null;
}

/** As much of fetch as is used: what wx.request can be made into. */
export type Fetch = (
  url: string,
  request: {
    method: string;
    headers: Record<string, string>;
    body?: string;
    credentials?: "omit" | "same-origin" | "include";
    cache?: "no-store";
    signal?: AbortSignal;
  },
) => Promise<{ status: number; headers: { get(name: string): string | null }; text(): Promise<string> }>;

export interface ClientOptions {
  /** Where the service is, without a slash at the end; "" is this page's own origin. */
  baseUrl?: string;
  /**
   * Bearer token, asked for before each request. A function that throws, rejects or takes longer than timeoutMs is tried
   * again later, as a service that does not answer; to end it, throw an AuthsvcError with retry "never".
   */
  token?: string | null | (() => string | null | undefined | Promise<string | null | undefined>);
  /** Whether cookies go along, as of fetch; "same-origin" if left out. */
  credentials?: "omit" | "same-origin" | "include";
  /** In the place of the page's own. */
  fetch?: Fetch;
  /** Milliseconds that one request may take; 10 000 if left out. */
  timeoutMs?: number;
  /** For tests. now() is in milliseconds of no certain origin. */
  clock?: {
    now(): number;
    setTimeout(run: () => void, ms: number): unknown;
    clearTimeout(timer: unknown): void;
  };
  /** For tests: from 0 up to 1. */
  random?: () => number;
}

/** Which app, if it is not the service's default. */
export interface Wanted {
  appkey?: string;
}

/** A chain as the SDK's calls return it. */
export interface Chain {
  onSuccess(then: (told: any) => void): Chain;
  onFail(then: (told: any) => void): Chain;
  onTimeout(then: (told: any) => void): Chain;
}

/** As much of the vendor's SDK as is used. */
export interface JMessage {
  init(payload: any): Chain;
  login(login: any): Chain;
  isConnect(): boolean;
  isInit?(): boolean;
  isLogin?(): boolean;
  /** Called where connect is to log in and the SDK is logged in already: the gateway refuses a second login. */
  loginOut?(): void;
  onDisconnect(then: () => void): void;
}

export interface State {
  name:
    | "connecting"
    | "signing"
    | "initialising"
    | "logging-in"
    | "ready"
    | "disconnected"
    | "retrying"
    | "stopped";
  /** Why, for "retrying" and "stopped". */
  error?: AuthsvcError;
  /** Milliseconds until the next try, for "retrying". */
  delayMs?: number;
}

export interface ConnectOptions extends Wanted {
  /**
   * true: with the account that the service gives; or that of the page, or how to get it. A function may take its time, and
   * is tried again if it throws or rejects, unless with an AuthsvcError whose retry is "never".
   */
  login?: boolean | Login | (() => Login | Promise<Login>);
  /** Message roaming; left out: what the service says if it logs in, else what the SDK does. */
  flag?: 0 | 1;
  /** Hears of every step. */
  onState?: (state: State) => void;
  /** Ends it, as stop() does; a page may connect again with the same SDK. */
  signal?: AbortSignal;
}

export interface Connection {
  readonly state: State["name"];
  /** Ends the care for the connection; the SDK is left as it is. */
  stop(): void;
}

export interface Client {
  /** A signed payload, ready for JIM.init and good once; ask just before it is needed. */
  fetchAuthPayload(wanted?: Wanted): Promise<AuthPayload>;
  /** All that a page needs to boot. */
  bootstrap(wanted?: Wanted): Promise<Bootstrap>;
  /**
   * Initialises the SDK and keeps it initialised: after each break of the connection with a fresh payload.
   * Resolves when it first stands; rejects with an AuthsvcError when that cannot be. What may pass is waited for. It is
   * over, and says so by onState, when the gateway has logged the user out: see the error's reason.
   * JIM.onDisconnect is taken; listen to onState instead. Register handlers with JIM.onMsgReceive and the like, at any
   * time: they stay. The SDK's socket may be another after each break, and listeners on it are gone then.
   */
  connect(JIM: JMessage, wanted?: ConnectOptions): Promise<Connection>;
  /**
   * Where a media_id's file is now. Calls of one tick become one request; a URL is kept until shortly before it
   * expires; `fresh` says that the one given before has stopped working, and asks for another. Rejects with an AuthsvcError,
   * code 880005 if there is no such file.
   */
  resourceUrl(mediaId: string, wanted?: { fresh?: boolean }): Promise<string>;
  /**
   * Shows a media_id's picture; when its URL has stopped working, once more with a fresh one. Resolves when it is loaded,
   * with false if the element was meanwhile given another picture.
   */
  showImage(img: HTMLImageElement, mediaId: string): Promise<boolean>;
}

/** Returns the functions below, bound to one service. */
export function createClient(options?: ClientOptions): Client;

export const fetchAuthPayload: Client["fetchAuthPayload"];
export const bootstrap: Client["bootstrap"];
export const connect: Client["connect"];
export const resourceUrl: Client["resourceUrl"];
export const showImage: Client["showImage"];
