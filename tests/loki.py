"""A small server that behaves as Loki 3.7.6 was recorded to; what was not recorded it refuses.

It knows selectors, line filters, `count_over_time`, `rate` and `bytes_over_time`, plain or under
`sum` and `sum by`. `tests/ingest/test_loki_double.py` holds it to the recordings.
"""

import json
import re
import threading

from models.labels import Labels, parse_selector
from tests.upstream import Upstream

NS = 1_000_000_000
ENTRIES_MAX = 5_000
QUOTED = r'("(?:[^"\\]|\\.)*"|`[^`]*`)'
FILTER = re.compile(rf"\s*(\|=|!=|\|~|!~|\|>)\s*{QUOTED}")
SELECTOR = re.compile(r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}')
METRIC = re.compile(
    r"(?:(sum)(?: by \(([^)]*)\))? ?\()?(count_over_time|rate|bytes_over_time)\((.*)\[(\d+)(ms|s|m)\]\)(\))?",
    re.DOTALL,
)
UNITS = {"ms": 10**6, "s": NS, "m": 60 * NS}
BAD_MATCHER = (
    "parse error : queries require at least one regexp or equality matcher that does not have an "
    'empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will'
)


class Refused(Exception):
    def __init__(self, status, words):
        self.status, self.words = status, words


class FakeLoki(Upstream):
    """Keeps lines that are pushed; `refuse` is how many of the next queries fail with 503."""

    def __init__(self):
        self.entries = []
        self.refuse = 0
        self.broken = 0
        self.entries_max = ENTRIES_MAX
        self._lock = threading.Lock()
        super().__init__()

    def load(self, corpus):
        for stream in corpus["streams"]:
            for ns, line, *more in stream["values"]:
                metadata = more[0].get("structuredMetadata", {}) if more else {}
                self.push(stream["stream"] | metadata, int(ns), line)

    def push(self, labels, ns, line):
        entry = (ns, Labels(labels), line)
        with self._lock:
            if entry not in self.entries[-2000:]:
                self.entries.append(entry)

    def answer(self, request):
        try:
            return self._answer(request)
        except Refused as refused:
            return refused.status, {"Content-Type": "text/plain"}, refused.words.encode()

    def _answer(self, request):
        path = request.path.removeprefix("/loki/api/v1")
        if self.refuse:
            self.refuse -= 1
            raise Refused(503, "empty ring")
        if path == "/push" and request.method == "POST":
            for stream in json.loads(request.body)["streams"]:
                for ns, line, *_ in stream["values"]:
                    self.push(stream["stream"], int(ns), line)
            return 204, {}, b""
        if path == "/labels":
            names = sorted({name for _, labels, _ in self.entries for name in labels})
            return _json({"status": "success"} | ({"data": names} if names else {}))
        if path != "/query_range" or request.method != "GET":
            raise Refused(404, "404 page not found\n")
        body = _json(self._query_range(request.parameters))
        if self.broken:
            self.broken -= 1
            return 200, body[1], body[2][: len(body[2]) // 2]
        return body

    def _query_range(self, asked):
        if "interval" in asked or "since" in asked:
            raise Refused(501, "not recorded")
        query = asked["query"]
        start, end = _time(asked["start"], "start"), _time(asked["end"], "end")
        if end <= start and not METRIC.fullmatch(query):
            raise Refused(400, "end timestamp must not be before or equal to start time")
        limit, direction = int(asked.get("limit", 100)), asked.get("direction", "backward")
        if limit <= 0:
            raise Refused(400, "limit must be a positive value")
        if limit > self.entries_max:
            words = f"limit > max_entries_limit_per_query ({limit} > {self.entries_max})"
            raise Refused(400, f"max entries limit per query exceeded, {words}")
        if direction not in ("forward", "backward"):
            raise Refused(400, f"invalid direction '{direction}'")
        metric = METRIC.fullmatch(query)
        if metric:
            return _success("matrix", self._matrix(metric, start, end, asked))
        return _success("streams", self._streams(query, start, end, limit, direction))

    def _streams(self, query, start, end, limit, direction):
        found = [e for e in self._select(query) if start <= e[0] < end]
        found.sort(key=lambda e: e[0], reverse=direction == "backward")
        streams = {}
        for ns, labels, line in found[:limit]:
            streams.setdefault(labels, []).append([str(ns), line])
        return [{"stream": dict(labels), "values": values} for labels, values in streams.items()]

    def _matrix(self, metric, start, end, asked):
        whole, by, function, query, number, unit, closed = metric.groups()
        if bool(whole) != bool(closed):
            raise Refused(400, "parse error : syntax error: unexpected )")
        step = _duration(asked.get("step", str(max((end - start) // NS // 250, 1))))
        if step <= 0:
            raise Refused(
                400,
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            )
        if (end - start) / step > 11_000:
            raise Refused(
                400,
                "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
            )
        span = int(number) * UNITS[unit]
        series = {}
        names = None if by is None else [name.strip() for name in by.split(",")]
        for ns, labels, line in self._select(query):
            key = labels
            if whole:
                key = Labels({n: v for n, v in labels.items() if n in (names or ())})
            series.setdefault(key, []).append((ns, len(line.encode())))
        return [
            {"metric": dict(labels), "values": values}
            for labels, lines in sorted(series.items(), key=lambda item: item[0].pairs)
            if (
                values := _points(
                    lines, function, span, start // step * step, -(-end // step) * step, step
                )
            )
        ]

    def _select(self, query):
        selector = SELECTOR.match(query.strip())
        if selector is None:
            raise Refused(400, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER")
        try:
            wanted = parse_selector(selector[0])
        except ValueError as error:
            if selector[0] == "{}":
                raise Refused(400, BAD_MATCHER) from error
            raise Refused(400, f"parse error : {error}") from error
        if all(m.operator.startswith("!") or m.matches({}) for m in wanted.matchers):
            raise Refused(400, BAD_MATCHER)
        rest, tests = query.strip()[selector.end() :].strip(), []
        while rest:
            found = FILTER.match(rest)
            if found is None:
                raise Refused(501, f"not recorded: {rest}")
            tests.append(_line_filter(found[1], found[2]))
            rest = rest[found.end() :].strip()
        with self._lock:
            entries = list(self.entries)
        return [e for e in entries if wanted.matches(e[1]) and all(test(e[2]) for test in tests)]


def _points(lines, function, span, start, end, step):
    lines.sort()
    values = []
    for at in range(start, end + 1, step):
        inside = [size for ns, size in lines if at - span < ns <= at]
        if inside:
            value = sum(inside) if function == "bytes_over_time" else len(inside)
            if function == "rate":
                value /= span / NS
            values.append(
                [at / NS if at % NS else at // NS, repr(value) if value % 1 else str(int(value))]
            )
    return values


def _line_filter(operator, quoted):
    text = quoted[1:-1] if quoted[0] == "`" else json.loads(quoted)
    if operator == "|>":
        parts = [re.escape(part) for part in text.split("<_>")]
        pattern = re.compile(".+?".join(parts), re.DOTALL)  # A place is never empty.
        return lambda line: pattern.fullmatch(line) is not None
    if operator in ("|=", "!="):
        return lambda line: (text in line) == (operator == "|=")
    return lambda line: (re.search(text, line) is not None) == (operator == "|~")


def _time(text, name):
    try:
        if re.fullmatch(r"\d+\.\d+", text):
            return round(float(text) * NS)
        return int(text) * (NS if len(text) <= 10 else 1)
    except ValueError as error:
        words = f"could not parse '{name}' parameter: strconv.ParseInt: parsing \"{text}\": invalid syntax"
        raise Refused(400, words) from error


def _duration(text):
    found = re.fullmatch(r"([\d.]+)(ms|s|m)?", text)
    return round(float(found[1]) * UNITS[found[2] or "s"])


def _success(kind, result):
    return {"status": "success", "data": {"resultType": kind, "result": result, "stats": {}}}


def _json(value):
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
