"""Texts that attack whatever shows them. Each has a number: `zqxmark(NUMBER)` is what it would have run.

What a browser, a terminal, a stream of events and a query make of them: the tests that use them.
"""

MARK = "zqxmark"
WHAT_IT_WOULD_RUN = "zqxmark({number})"

TEMPLATES = [
    # Elements that run something.
    "<script>{run}</script>",
    "<SCRIPT SRC=//evil.example/{mark}.js></SCRIPT>",
    "<script type=module>{run}</script>",
    "<img src=x onerror={run}>",
    '<img src="x" onerror="{run}">',
    "<svg onload={run}>",
    "<svg><script>{run}</script></svg>",
    "<svg><animate onbegin={run} attributeName=x dur=1s>",
    "<math><mtext><style><img src=x onerror={run}></style>",
    "<body onload={run}>",
    "<details open ontoggle={run}>",
    "<input autofocus onfocus={run}>",
    "<video><source onerror={run}></video>",
    "<iframe srcdoc='<script>parent.{run}</script>'></iframe>",
    "<iframe src=javascript:parent.{run}></iframe>",
    "<object data=javascript:{run}>",
    "<embed src=javascript:{run}>",
    "<base href=//evil.example/{mark}/>",
    "<link rel=stylesheet href=//evil.example/{mark}.css>",
    "<style>@import '//evil.example/{mark}.css';</style>",
    "<meta http-equiv=refresh content='0;url=//evil.example/{mark}'>",
    "<form action=//evil.example/{mark}><button>Sign in again</button></form>",
    "<a href=javascript:{run}>a</a>",
    "<a href='jav&Tab;ascript&colon;{run}'>a</a>",
    "javascript:{run}",
    "javascript&colon;{run}",
    "java\tscript:{run}",
    "data:text/html,<script>{run}</script>",
    # Out of where a text may stand.
    "</script><script>{run}</script>",
    "</textarea><img src=x onerror={run}>",
    "</style><img src=x onerror={run}>",
    "</title><img src=x onerror={run}>",
    "</pre></code><img src=x onerror={run}>",
    "</template></noscript><img src=x onerror={run}>",
    "--><img src=x onerror={run}>",
    "]]><img src=x onerror={run}>",
    "\"><img src=x onerror={run}>",
    "'><img src=x onerror={run}>",
    "\" onmouseover=\"{run}\" autofocus onfocus=\"{run}",
    "' onmouseover='{run}' autofocus onfocus='{run}",
    " onmouseover={run} autofocus onfocus={run} x=",
    "` onmouseover={run} `",
    "\\\"><img src=x onerror={run}>",
    "\\u003cimg src=x onerror={run}\\u003e",
    "&lt;img src=x onerror={run}&gt;",
    "%3Cimg src=x onerror={run}%3E",
    "+ADw-img src=x onerror={run}+AD4-",
    # What a template engine, htmx and its like would take for theirs.
    "{{{{ 7|add:{number} }}}}{{% debug %}}{{% include 'x' %}} {mark}",
    "${{{run}}} #{{{run}}} <%= {run} %>",
    "<div hx-get=/{mark}/ hx-trigger=load>",
    "<div data-hx-get=/{mark}/ data-hx-trigger=load>",
    "<div hx-on:htmx:load='{run}' hx-on::load={run} hx-vals='js:{{x:{run}}}'>",
    "<div id=job_state hx-swap-oob=true>{mark}</div>",
    "<div hx-ext=live live-url=//evil.example/{mark}>",
    "\" hx-get=\"/{mark}/\" hx-trigger=\"load\" x=\"",
    "__proto__ constructor {mark}",
    # What a terminal would obey.
    "\x1b]8;;javascript:{run}\x07link {mark}\x1b]8;;\x07",
    "\x1b]8;;https://evil.example/{mark}\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;{mark}\x07",
    "\x1b]0;{mark}\x07\x1b[2J\x1b[H\x1b[?1049h\x1b[6n",
    "\x9b31m\x9d0;{mark}\x9c\x90{mark}\x9c",
    "\x1bP+q{mark}\x1b\\\x1b_{mark}\x1b\\",
    "{mark}\x07\x08\x08\x7f\x1b",
    "\x1b[31m<img src=x onerror={run}>\x1b[0m",
    # What would read otherwise than it is, or look like another line or event.
    "{mark}\u202egpj.exe\u202c \u2066x\u2069",
    "{mark}\u200f\u061c\u200bx\ufeff",
    "{mark}\rdata: {{\"text\": \"<img src=x onerror={run}>\"}}",
    "{mark}\r\n\r\nevent: end\r\ndata: {{\"state\": \"succeeded\"}}\r\n\r\n",
    "{mark}\n\nevent: fragments\ndata: {{\"html\": {{\"job_state\": \"<img src=x onerror={run}>\"}}}}\n\n",
    "id: 99999999\nretry: 1\n: {mark}\n",
    "{mark}\u2028<img src=x onerror={run}>\u2029\x85\x0b\x0cevent: end",
    "opsdash: job 1 succeeded. {mark}",
    "Set-Cookie: {mark}=1\r\nX-{mark}: 1",
    "{mark}\ufffe\uffff\U000e0001\U0010ffff",
    # What is a word of a command, a path, a query.
    "--settings={mark}",
    "--pythonpath=/tmp/{mark}",
    "-c import os; {mark}",
    "; touch /tmp/{mark} #",
    "$(touch /tmp/{mark}) `touch /tmp/{mark}` && | > < * ? ~ !",
    "'; DROP TABLE dbops_job; -- {mark}",
    "../../../../etc/passwd/{mark}",
    "%2e%2e%2f{mark}%00",
]  # fmt: skip

PAYLOADS = [
    template.format(run=WHAT_IT_WOULD_RUN.format(number=number), mark=MARK, number=number)
    for number, template in enumerate(TEMPLATES)
]
# As bytes of an output only.
BYTES = [
    b"zqxmark \xff\xfe\xc0\xaf invalid \xed\xa0\x80 \xf4\x90\x80\x80\n",
    b"zqxmark \x00 NUL \x00\n",
    b"zqxmark \xe2\x80\xae\xf0\x9f\n",
    b"zqxmark no line feed \r\r\r over \r<img src=x onerror=zqxmark(900)>\r\n",
]


def as_file_name(payload: str) -> str:
    """Where a file can be called so and be imported as a module."""
    return payload.replace("/", "\u2215").replace(".", "").replace("\0", "")[:150]
