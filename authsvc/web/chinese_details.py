"""
The details of refusals in Chinese, by the English templates at the places that raise them.

A template without words, such as `{reason}`, needs no other one. Pure; imports nothing of the project.
"""

from collections.abc import Mapping

DETAILS: Mapping[str, str] = {
    # What sentences are made of.
    "{field}: {rule}": "{field}：{rule}",
    "{what}; try again in {retry_after_s} s": "{what}，请在 {retry_after_s} 秒后重试",
    "{one}, or {other}": "{one}、{other}",
    "{wrong}": "未通过的检查项：{wrong}",
    "the vendor": "极光接口",
    "the app that checks logins": "校验登录状态的应用",
    # The request, its body and its fields.
    "is malformed, or ends before its Content-Length": "格式错误，或者实际长度小于 Content-Length",
    "this path does not accept this method; use {accepted}": "该路径不支持这个请求方法，请使用 {accepted}",
    "must be JSON, with Content-Type: application/json": "必须是 JSON，并带有 Content-Type: application/json",
    "must be empty, or JSON with Content-Type: application/json": (
        "必须为空，或者是 JSON 并带有 Content-Type: application/json"
    ),
    "is not JSON": "不是合法的 JSON",
    "must be a JSON object": "必须是 JSON 对象",
    "contains an unpaired surrogate, which is not valid text": "含有不成对的代理字符（surrogate），不是合法文本",
    "has the same name twice in one object": "同一个对象里有重复的字段名",
    "is larger than 64 KiB": "超过 64 KiB",
    "took longer than {most_s} s to arrive": "超过 {most_s} 秒才收完",
    "is not a known field; known fields: {known}": "未知字段，支持的字段：{known}",
    "is not a known parameter; known parameters: {known}": "未知参数，支持的参数：{known}",
    "is not a field of an auth payload": "不是 auth_payload 的字段",
    "is given twice": "重复出现",
    "is missing": "缺少该字段",
    "must be a string": "必须是字符串",
    "must be a string or a whole number": "必须是字符串或整数",
    "must be true or false": "必须是 true 或 false",
    "must be a list of 1 to {most} strings": "必须是由 1 到 {most} 个字符串组成的数组",
    "must be 32 hexadecimal characters": "必须是 32 位十六进制字符",
    "must be Unix milliseconds, 13 digits": "必须是毫秒级 Unix 时间戳，共 13 位数字",
    "is in seconds (10 digits); it must be in milliseconds (13 digits)": "单位是秒（10 位），应为毫秒（13 位）",
    "must be 1 to 128 printable ASCII characters without spaces": "须为 1 到 128 个可打印 ASCII 字符，不能含空格",
    "must not be in the body together with the header {header}, which the verifier sets": (
        "不能与验证方设置的请求头 {header} 同时出现在请求体里"
    ),
    "contains a comma or was sent twice": "含有逗号，或者发送了两次",
    "is required, because this service has several apps and no default app": (
        "必填：本服务配置了多个应用，没有设置默认应用"
    ),
    "appkey: is not configured on this service": "appkey：本服务没有配置这个应用",
    "{name}: must be 20 to 36 characters long, this one has {length}": (
        "{name}：长度须为 20 到 36 个字符，当前为 {length} 个"
    ),
    "{name}: may contain only A-Z a-z 0-9 _ -": "{name}：只能包含 A-Z a-z 0-9 _ -",
    "{what}; it is set in jchat-web's configuration": "{what}；该值在 jchat-web 的配置里设置",
    # Payloads.
    "signature: does not match the other fields and the app's masterSecret": (
        "signature：签名与其他字段和该应用的 masterSecret 不一致"
    ),
    "timestamp: the payload is {age_ms} ms old and expires after {max_age_ms} ms": (
        "timestamp：payload 已签发 {age_ms} 毫秒，有效期为 {max_age_ms} 毫秒"
    ),
    "timestamp: the payload is older than the store's records, which begin at {born_ms}; get a fresh one": (
        "timestamp：payload 早于存储现有的数据（从 {born_ms} 开始），请重新获取"
    ),
    "timestamp: is {age_ms} ms old; at most {most_ms} ms are allowed; check the browser's clock": (
        "timestamp：比当前时间早 {age_ms} 毫秒，最多允许 {most_ms} 毫秒，请检查浏览器所在设备的时钟"
    ),
    "timestamp: is {ahead_ms} ms in the future; at most {most_ms} ms are allowed": (
        "timestamp：比当前时间超前 {ahead_ms} 毫秒，最多允许 {most_ms} 毫秒"
    ),
    "timestamp: is {ahead_ms} ms in the future; at most {most_ms} ms are allowed; check the browser's clock": (
        "timestamp：比当前时间超前 {ahead_ms} 毫秒，最多允许 {most_ms} 毫秒，请检查浏览器所在设备的时钟"
    ),
    "the payload was already used": "payload 已被使用过",
    "random_str: was already signed; send a new one, or none": "random_str：已经签过名，请换一个，或者不传",
    "randomStr: was already signed by POST /v1/auth-payload; generate another one for jchat-web": (
        "randomStr：已由 POST /v1/auth-payload 签过名，请为 jchat-web 重新生成一个"
    ),
    "timestamp, randomStr: this pair was already signed; read the clock again for each request": (
        "timestamp、randomStr：这一组已经签过名，每次请求都要重新取当前时间"
    ),
    "more than {limit} requests in {window_s} s; try again in {retry_after_s} s": (
        "{window_s} 秒内的请求超过 {limit} 次，请在 {retry_after_s} 秒后重试"
    ),
    "the store is unavailable": "存储不可用",
    # Logging in.
    "the request has no credentials; accepted: {brings}": "请求没有携带登录凭据，支持的登录方式：{brings}",
    "Authorization: Bearer <token>": "Authorization: Bearer <token>",
    "the cookie {cookie}": "cookie {cookie}",
    "{header} from the gateway": "网关发送的请求头 {header}",
    "an Authorization header that the app accepts": "应用认可的 Authorization 请求头",
    "a cookie that the app accepts": "应用认可的 cookie",
    "is empty, or contains non-ASCII bytes, which the server removes": "为空，或者含有会被服务器丢弃的非 ASCII 字节",
    "{header} contains a comma or was sent twice": "请求头 {header} 含有逗号，或者发送了两次",
    "{header} is not UTF-8 text": "请求头 {header} 不是 UTF-8 文本",
    "the server did not decode {header} as WSGI requires": "服务器没有按 WSGI 规范解码请求头 {header}",
    "{what} must be 1 to {most} printable characters, not spaces alone": (
        "{what} 须为 1 到 {most} 个可打印字符，且不能全是空格"
    ),
    "{what}: it is {ahead_s:.0f} s ahead; compare the clocks of both hosts": (
        "{what}：时间超前 {ahead_s:.0f} 秒，请检查两台主机的时钟"
    ),
    "the request comes from another site, and its Origin is not in AUTHSVC_ALLOWED_ORIGINS": (
        "请求来自其他站点，且它的 Origin 不在 AUTHSVC_ALLOWED_ORIGINS 中"
    ),
    "the request comes from another origin of this site and has no Origin header": (
        "请求来自同站的其他源，且没有 Origin 请求头"
    ),
    "the request's Origin is null (a sandboxed page or a local file), which is never allowed": (
        "请求的 Origin 为 null（沙箱页面或本地文件），一律不允许"
    ),
    "the request's Origin matches neither its Host header nor AUTHSVC_ALLOWED_ORIGINS; "
    "a reverse proxy must forward the Host header": (
        "请求的 Origin 与 Host 请求头不一致，也不在 AUTHSVC_ALLOWED_ORIGINS 中；反向代理必须转发 Host 请求头"
    ),
    "a verifier key is required: Authorization: Bearer <one of AUTHSVC_VERIFIER_KEYS>": (
        "需要验证密钥：Authorization: Bearer <AUTHSVC_VERIFIER_KEYS 中的一个>"
    ),
    "the Bearer token is not one of AUTHSVC_VERIFIER_KEYS": "Bearer token 不在 AUTHSVC_VERIFIER_KEYS 中",
    # Tokens.
    "the Authorization header must be Bearer, a space and the token, and nothing else": (
        "Authorization 请求头只能是 Bearer、一个空格和 token，不能有其他内容"
    ),
    "the Authorization header has no token after Bearer": "Authorization 请求头的 Bearer 后面没有 token",
    "the token is longer than {most} bytes": "token 超过 {most} 字节",
    "the token is malformed": "token 格式错误",
    "the token has expired": "token 已过期",
    "the token is not valid yet": "token 尚未生效",
    "the token has no {claim}": "token 缺少 {claim}",
    "the token's {claim}": "token 的 {claim}",
    "the token's {claim} must be a number of seconds since 1970": "token 的 {claim} 必须是 Unix 时间戳，以秒为单位",
    "the token's {claim} must be a string or a whole number": "token 的 {claim} 必须是字符串或整数",
    "the token's iss must be a string": "token 的签发者（iss）必须是字符串",
    "the token is for another audience (aud)": "token 的受众（aud）不符",
    "the token has an audience (aud), but AUTHSVC_JWT_AUDIENCE is not set": (
        "token 带有受众（aud），但没有设置 AUTHSVC_JWT_AUDIENCE"
    ),
    "the token is from another issuer (iss)": "token 的签发者（iss）不符",
    "the token's signature does not match": "token 的签名不正确",
    "the token's algorithm (alg) is not accepted for its key": "token 的算法（alg）不能用于这个密钥",
    "the token's type is {type}; send an access token (see AUTHSVC_JWT_ALLOWED_TYPES)": (
        "token 的类型是 {type}，请发送 access token（见 AUTHSVC_JWT_ALLOWED_TYPES）"
    ),
    "the token has no key id (kid), and the login service publishes several keys": (
        "token 没有密钥 ID（kid），而登录服务发布了多个公钥"
    ),
    "the token's key id (kid) is not among the login service's keys": "token 的密钥 ID（kid）不在登录服务的公钥中",
    "the token's key id (kid) was not among the login service's keys at the last fetch": (
        "登录服务的公钥在上次获取时还没有 token 的密钥 ID（kid）"
    ),
    "the login service's JWKS URL is unavailable": "登录服务的 JWKS URL 不可用",
    "the token must have a jti of 1 to {most} characters, because it can be used only once": (
        "token 只能使用一次，必须带有 1 到 {most} 个字符的 jti"
    ),
    "the token was already used; get a fresh token": "token 已被使用过，请获取新的 token",
    "the token is older than the store's records; get a fresh token": "token 早于存储现有的数据，请获取新的 token",
    # Cookies and the gateway.
    "the request has more than {most} cookies named {name}": "请求中名为 {name} 的 cookie 超过 {most} 个",
    "the request has several cookies named {name}, of different users": (
        "请求中有多个名为 {name} 的 cookie，属于不同的用户"
    ),
    "the session cookie is malformed or signed with another key": "会话 cookie 格式错误，或者不是用当前密钥签名的",
    "the session cookie is older than {max_age_s} s": "会话 cookie 的签发时间已超过 {max_age_s} 秒",
    "the session cookie is dated in the future": "会话 cookie 的签发时间在未来",
    "the session cookie contains no session": "会话 cookie 里没有会话数据",
    "the session's {field}": "会话里的 {field}",
    "{what} must be a string, a whole number or a UUID": "{what} 必须是字符串、整数或 UUID",
    "the X-Gateway-Secret header does not match AUTHSVC_GATEWAY_SECRET": (
        "请求头 X-Gateway-Secret 与 AUTHSVC_GATEWAY_SECRET 不一致"
    ),
    "the gateway names no user: the header {header} is missing": "网关没有给出用户：缺少请求头 {header}",
    "this server cannot distinguish {header} from its underscore twin; have the gateway send a signed assertion, use a"
    " header name without a hyphen, or serve with gunicorn": (
        "当前服务器无法区分请求头 {header} 和把连字符换成下划线的同名请求头；请让网关发送签名断言，或者改用不含连字符的"
        "请求头，或者改用 gunicorn 运行"
    ),
    # Asking the app.
    "AUTHSVC_LOGIN_URL points to authsvc itself, not to the app": "AUTHSVC_LOGIN_URL 指向了 authsvc 自己，而不是应用",
    "Cookie or Authorization contains a character that HTTP does not allow in a header": (
        "Cookie 或 Authorization 含有 HTTP 请求头不允许的字符"
    ),
    "the app rejects this login (status {status})": "应用没有认可该登录凭据（状态码 {status}）",
    "the app redirects (status {status}), probably to a login form; it should answer 401": (
        "应用返回了重定向（状态码 {status}），可能是跳转到登录页；应改为返回 401"
    ),
    "the app redirects AUTHSVC_LOGIN_URL (status {status}) to another form of it; set that form": (
        "应用把 AUTHSVC_LOGIN_URL 重定向到了它的另一种写法（状态码 {status}），请直接设置为那种写法"
    ),
    "the app answers AUTHSVC_LOGIN_URL with status {status}": "应用在 AUTHSVC_LOGIN_URL 返回了状态码 {status}",
    "the app answers AUTHSVC_LOGIN_URL with status 200, but the body is not JSON": (
        "应用在 AUTHSVC_LOGIN_URL 返回了状态码 200，但响应体不是 JSON"
    ),
    "the app answers AUTHSVC_LOGIN_URL with status 200 and no {where}, which names the user; if nobody is logged in, it"
    " must answer 401": (
        "应用在 AUTHSVC_LOGIN_URL 返回了状态码 200，但没有用来给出用户的 {where}；用户未登录时，应用必须返回 401"
    ),
    "{name} header": "响应头 {name}",
    "the app's {name}": "应用返回的 {name}",
    "the app's {name} header contains a comma or was sent twice": "应用返回的响应头 {name} 含有逗号，或者出现了两次",
    "the app's {name} is not UTF-8 text": "应用返回的 {name} 不是 UTF-8 文本",
    "the app's {name} is neither a string nor a whole number": "应用返回的 {name} 既不是字符串也不是整数",
    "the app at AUTHSVC_LOGIN_URL {what}": "AUTHSVC_LOGIN_URL 指向的应用{what}",
    "the app's answer from AUTHSVC_LOGIN_URL {what}": "应用在 AUTHSVC_LOGIN_URL 返回的响应{what}",
    # Whatever is asked over the network.
    "cannot be reached": "无法连接",
    "closed the connection early": "提前断开了连接",
    "did not answer in time": "没有在规定时间内响应",
    "timed out: no complete answer within {within_s:.1f} s": "响应超时：{within_s:.1f} 秒内没有返回完整内容",
    "is an interim response (status {status})": "是临时响应（状态码 {status}）",
    "is compressed, which was not requested": "经过压缩，而请求没有要求压缩",
    "is larger than {max_bytes} bytes": "超过 {max_bytes} 字节",
    "has more than {max_bytes} bytes beside its content": "除正文以外超过 {max_bytes} 字节",
    "{service} is unavailable": "{service}不可用",
    "too many requests are waiting for {service}": "等待{service}的请求过多",
    # The vendor, media and IM accounts.
    "the vendor {what}": "极光接口{what}",
    "the vendor's answer {what}": "极光接口的响应{what}",
    "the vendor did not answer in time": "极光接口没有在规定时间内响应",
    "the vendor reports an error of its own ({answer})": "极光接口出现内部错误（{answer}）",
    "the vendor's rate limit is exhausted": "已达到极光接口的频率限制",
    "the budget of vendor calls (AUTHSVC_VENDOR_BUDGET) is exhausted": (
        "极光接口的调用额度（AUTHSVC_VENDOR_BUDGET）已用完"
    ),
    "the vendor refuses this service's credentials for appkey {appkey} ({answer})": (
        "极光接口拒绝了本服务为 appkey {appkey} 提供的凭据（{answer}）"
    ),
    "the answer is not from the vendor's API (status {status}, {kind!a})": (
        "响应不是来自极光接口（状态码 {status}，{kind!a}）"
    ),
    "status {status}, code {code}": "状态码 {status}，错误码 {code}",
    "the vendor's answer for this media_id has an unknown form": "极光接口对该 media_id 的响应格式无法识别",
    "the host of the vendor's URL is not in AUTHSVC_MEDIA_HOSTS": "极光返回的 URL 的域名不在 AUTHSVC_MEDIA_HOSTS 中",
    "the vendor's URL has already expired; compare this host's clock with the vendor's": (
        "极光返回的 URL 已经过期，请对比本机与极光的时钟"
    ),
    "media_id: must be 1 to 255 of A-Z a-z 0-9 _ . / - without '..' and without a leading '//'": (
        "media_id：须为 1 到 255 个字符，只能包含 A-Z a-z 0-9 _ . / -，不能含有 '..'，不能以 '//' 开头"
    ),
    "media_id: is not known to the vendor": "media_id：极光没有对应的文件",
    "the user's IM account already exists and was not registered by this service": (
        "该用户的 IM 账号已存在，且不是由本服务注册的"
    ),
    "the vendor did not register the user ({answer})": "极光接口没有注册该用户（{answer}）",
    "the vendor did not set the password ({answer})": "极光接口没有设置密码（{answer}）",
    "another worker is registering this user": "另一个 worker 正在注册该用户",
}
