"""
Every refusal and its help page in Chinese.

Written from the facts, in the words of Chinese developers' documentation. Imports `language` and `chinese_details`.
"""

from authsvc.web.chinese_details import DETAILS
from authsvc.web.language import Language, PageWords, ProblemText

CHINESE = Language(
    tag="zh-CN",
    name="中文",
    page=PageWords(
        meaning="原因",
        remedy="处理方法",
        code="错误码",
        retry={
            "never": "原样重试仍会被拒绝。",
            "now": "换一份新的 payload，即可立即重试。",
            "after": "等待响应头 `Retry-After` 给出的秒数后重试。",
        },
    ),
    details=DETAILS,
    problems={
        "invalid-request": ProblemText(
            "请求参数错误",
            "请求体不是 JSON 对象，或者有未知字段、缺少字段，或者字段的类型、格式不对；具体字段和规则见 `detail`。",
            "按 `/openapi.yaml` 列出的字段发送 JSON，并带上 `Content-Type: application/json`。时间戳以毫秒为单位，共"
            " 13 位数字。申请 payload 时，用户、时间和签名都由服务端决定，不能在请求体里指定："
            "原来的签名接口要的其他字段、请求封装给每个请求体统一加的字段，都要去掉，请求体为空即可。改法见"
            " docs/zh/recipes/other-answer.md。",
        ),
        "invalid-random-str": ProblemText(
            "random_str 格式错误",
            "随机串 random_str 的长度须为 20 到 36 个字符，只能包含 A-Z a-z 0-9 _ -。",
            "不传即可，由 authsvc 用系统随机源生成。如果必须自己传，每次请求都用 `crypto.getRandomValues` 重新生成。",
        ),
        "not-logged-in": ProblemText(
            "未登录",
            "payload 只发给应用的已登录用户。请求没有携带本服务支持的登录凭据，或者凭据无效；具体原因见 `detail`。",
            "请先登录应用再重试。开发者：页面发送 cookie 要加 `credentials: 'include'`，发送 token 用 `Authorization:"
            " Bearer`；各种登录方式的接入步骤见 docs/zh/login.md。",
        ),
        "not-logged-in-yet": ProblemText(
            "登录凭据尚未生效",
            "以本机时钟为准，登录凭据的时间还没有到：token 的 `iat`、`nbf` 或会话 cookie 的签发时间超前 5 秒以上。",
            "如果一直出现，说明登录服务或本机的时钟不准：请把 `server_time_ms` 与你的时间对比。运维：可用"
            " `AUTHSVC_JWT_LEEWAY_S` 调大允许的偏差。",
        ),
        "cross-site": ProblemText(
            "跨站请求被拒绝",
            "请求带有浏览器自动附加的登录凭据，但来自其他源（origin）的页面。",
            "如果页面与服务同源，检查反向代理是否转发了 `Host` 请求头；是你自己的其他站点，请让运维把它的源加入"
            " `AUTHSVC_ALLOWED_ORIGINS`。",
        ),
        "unknown-appkey": ProblemText(
            "appkey 不存在",
            "本服务没有配置这个 appkey。",
            "请与极光控制台、`AUTHSVC_APPKEY` 或应用配置文件核对；使用默认应用时可以不传。",
        ),
        "invalid-media-id": ProblemText(
            "media_id 格式错误",
            "media_id 的长度须为 1 到 255 个字符，只能包含 A-Z a-z 0-9 _ . / -，不能含有 '..'，不能以 '//' 开头。",
            "原样使用极光消息或用户资料里的 media_id；放在路径或查询参数里时，做一次百分号编码。",
        ),
        "unknown-media": ProblemText(
            "媒体文件不存在",
            "极光没有这个 media_id 对应的文件。",
            "确认它属于当前应用，页面上先显示占位图。10 秒内不会再次向极光查询同一个 media_id。",
        ),
        "account-taken": ProblemText(
            "IM 账号已被占用",
            "该用户的 IM 账号已存在，但本服务没有注册过它的记录：用户名被他人注册了，或者存储中的记录丢失了。用它登录"
            "会失败，甚至登录到别人的账号。",
            "运维：在极光控制台确认账号归谁所有。如果是冒名注册的，请删除；如果已有账号都属于你的用户，可设置"
            " `AUTHSVC_ACCOUNT_ADOPT=true`，在用户登录时把账号密码重置为本服务生成的密码。另外请关闭 SDK 注册（见"
            " docs/zh/accounts.md），或设置 `AUTHSVC_ACCOUNT_NAMES=derived`。",
        ),
        "vendor-refused": ProblemText(
            "极光接口返回错误",
            "极光拒绝了本服务的凭据，或者返回了无法使用的响应：HTML 页面、重定向，或者 URL 的域名不在允许范围内。与用"
            "户自己的登录无关。",
            "运维：用 `authsvc check` 向极光验证 masterSecret，并核对 `AUTHSVC_VENDOR_URL` 和 `AUTHSVC_MEDIA_HOSTS`。",
        ),
        "vendor-busy": ProblemText(
            "极光接口暂不可用",
            "极光的 REST API 不可用，或者本应用的调用额度已用完：极光自身的频率限制，或者比它更低的"
            " `AUTHSVC_VENDOR_BUDGET`。",
            "已缓存的 URL 不受影响。请用 `POST /v1/resources` 批量查询，URL 在 `expires_at_ms` 之前可以一直使用。"
            "payload 的签发和验证不受影响。",
        ),
        "vendor-slow": ProblemText(
            "极光接口超时",
            "极光的 REST API 没有在规定时间内响应。",
            "只有媒体文件和 IM 账号依赖该接口，payload 的签发和验证不受影响。",
        ),
        "replayed": ProblemText(
            "重复使用（重放）",
            "一份 payload 只能使用一次，一个 random_str 只能签名一次；这一个已经用过。",
            "每次调用 `JIM.init` 都获取一份新的 payload，不要保存，也不要在多个标签页之间共用；改法见"
            " docs/zh/recipes/kept-payload.md。",
        ),
        "bad-signature": ProblemText(
            "签名错误",
            "签名与用该应用的 masterSecret 对这些字段计算的 MD5 不一致：字段在传输中被修改过，或者签名用的是另一个密"
            "钥。",
            "原样传递 payload，包括时间戳。如果全部签名都被拒绝，说明本服务的 masterSecret 与极光控制台中的不一致：用"
            " `authsvc verify` 可以查出违反了哪条规则。",
        ),
        "expired": ProblemText(
            "已过期",
            "payload 自时间戳起 10 分钟内有效，精确到毫秒。早于存储现有数据的 payload 也按过期处理，因为它的使用记录可"
            "能已经丢失。",
            "在连接建立之后、调用 `JIM.init` 之前获取新的 payload，改法见 docs/zh/recipes/kept-payload.md。"
            "如果刚签发就过期，说明时钟不准：请把 `server_time_ms` 与你的时间对比。",
        ),
        "not-yet-valid": ProblemText(
            "尚未生效",
            "时间戳比当前时间超前 30 秒以上。",
            "获取一份新的 payload，时间戳由 authsvc 按自己的时钟填写。如果再次出现，说明两台服务器的时钟不一致。",
        ),
        "too-many-requests": ProblemText(
            "请求过于频繁",
            "该用户在本应用的请求已达到频率限制，限制值见响应头 `RateLimit-Policy`。",
            "每次 `JIM.init` 只需要一份 payload，请检查代码是否在循环里反复初始化。",
        ),
        "temporarily-unavailable": ProblemText(
            "服务暂时不可用",
            "处理请求所依赖的组件不可用：存储（没有它就无法保证 payload 只用一次）、登录服务的公钥，或者用来确认登录状"
            "态的应用。在此期间，未经检查的请求一律拒绝。",
            "运维：存储的状态见 `/readyz`；公钥和校验登录状态的应用见日志，或执行 `authsvc check`。",
        ),
        "not-ready": ProblemText(
            "服务未就绪",
            "本实例暂时不应接收新流量：响应里有检查项不是 ok。",
            "运维：`store` 要求存储可写，不可写的原因见日志；`clock` 比较本机与存储的时钟；`background` 是监视密钥文件"
            "的后台线程；`draining` 表示实例正在停止。`secrets` 列出文件当前无法使用的设置项，实例会继续使用之前的值。",
        ),
        "no-such-route": ProblemText(
            "路径不存在",
            "authsvc 没有这个路径。",
            "请与 `/openapi.yaml` 核对路径。如果前面有网关，检查它去掉了哪段前缀。",
        ),
        "method-not-allowed": ProblemText(
            "不支持该请求方法",
            "路径存在，但不支持这个请求方法；支持的方法见响应头 `Allow`。",
            "签发和验证 payload 都用 POST，避免中间环节缓存响应。原来用 GET 的页面只改方法：cookie 或 token"
            " 照旧，请求体可以为空。改法见 docs/zh/recipes/other-answer.md。",
        ),
        "body-too-large": ProblemText(
            "请求体过大",
            "请求体超过 64 KiB。",
            "authsvc 的请求只需要几百字节；只发送 `/openapi.yaml` 列出的字段。",
        ),
        "internal-error": ProblemText(
            "服务内部错误",
            "authsvc 出现了意料之外的故障，原因在服务端；凭请求 ID 可以在日志里查到详情。",
            "如果一直出现，请把请求 ID 提供给本服务的运维。",
        ),
    },
)
