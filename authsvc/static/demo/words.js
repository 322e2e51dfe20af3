// What refusals, states and codes are called, in Chinese and English.

export const LOGIN_FIRST = "/problems/not-logged-in";

export const REFUSED = {
  [LOGIN_FIRST]: ["未登录，拒绝。", "Not logged in: refused."],
  "/problems/replayed": ["这份 payload 已经用过，拒绝。", "This payload was used before: refused."],
  "/problems/bad-signature": ["签名不符，拒绝。", "The signature does not fit the fields: refused."],
  "/problems/expired": ["已过期，拒绝。", "Expired: refused."],
  "/problems/too-many-requests": ["请求太频繁，请稍候。", "Too many requests; wait a little."],
};

export const STATES = {
  "logged-out": ["未登录", "Not logged in"],
  "offline": ["离线", "Offline"],
  "connecting": ["等 SDK 的 WebSocket 连通", "Waiting for the SDK’s socket"],
  "signing": ["向 authsvc 要一份新的 payload", "Asking authsvc for a fresh payload"],
  "initialising": ["JIM.init：网关在验证", "JIM.init: the gateway verifies it"],
  "logging-in": ["JIM.login：登录 IM 帐号", "JIM.login: the IM account"],
  "ready": ["已连接", "Connected"],
  "disconnected": ["连接断开了", "The connection broke"],
  "retrying": ["没有成功，再试", "Failed, trying again"],
  "stopped": ["结束", "Ended"],
};

export const CODES = {
  0: ["通过", "Accepted"],
  880101: ["appkey 不对，拒绝", "Refused: no such appkey"],
  880102: ["签名不符，拒绝", "Refused: the signature does not fit"],
  880106: ["已过期，拒绝", "Refused: expired"],
  880203: ["对方还没有 IM 帐号，先让对方登录一次", "The other one has no IM account yet: log in there first"],
  880206: ["消息太长", "The message is too long"],
  881401: ["超过 3 分钟，不能撤回", "Older than 3 minutes: too late to retract"],
  889001: ["已经用过，拒绝", "Refused: used before"],
  898061: ["文件超过 8 MB", "The file has more than 8 MB"],
};

export const REASONS = {
  "logged-in-elsewhere": ["在别处登录，这里下线了", "Logged in elsewhere, and so logged out here"],
};

/** What an error is called: one of the vendor's or authsvc's, or of an upload, which comes in the REST API's shape. */
export function wordsOf(error) {
  const told = error.error ?? error;
  return REASONS[told.reason] ?? REFUSED[told.type] ?? CODES[told.code] ?? [told.message ?? "", told.message ?? ""];
}

export const codeOf = (error) => String((error.error ?? error).code ?? error.status ?? "");
