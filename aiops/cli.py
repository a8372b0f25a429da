"""The command line. Imports are made where they are needed: `--help` must not load numba."""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aiops import __version__
from aiops.layout import refuse_strangers

if TYPE_CHECKING:
    from api.client import Client

DEFAULT_ADDRESS = "127.0.0.1:8321"
Command = Callable[[argparse.Namespace], int]


def main() -> None:
    """Entry point of the script `aiops`."""
    refuse_strangers()
    arguments = _parser().parse_args()
    command: Command = arguments.command
    try:
        sys.exit(command(arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aiops", description="Anomaly detection for operations data."
    )
    parser.add_argument("--version", action="version", version=f"aiops {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the engine and its API")
    serve.add_argument("--config.file", dest="config", type=Path, metavar="FILE")
    serve.add_argument("--storage.path", dest="storage", type=Path, default=Path("data"))
    _add_server_options(serve)
    serve.set_defaults(command=_serve)

    demo = commands.add_parser("demo", help="watch a small shop with staged incidents")
    _add_server_options(demo)
    demo.set_defaults(command=_demo)

    check = commands.add_parser("check", help="check files without running anything")
    checks = check.add_subparsers(required=True, metavar="WHAT")
    config = checks.add_parser("config", help="read a settings file and build what it names")
    config.add_argument("file", type=Path)
    config.set_defaults(command=_check_config)

    _add_judging(commands)

    bench = commands.add_parser("bench", help="measure the kinds of models on this machine")
    bench.add_argument("--series", type=int, default=10_000, help="default %(default)s")
    bench.add_argument("--ticks", type=int, default=20, help="ticks measured, default %(default)s")
    bench.add_argument("--kind", action="append", default=[], help="may be repeated; default all")
    bench.add_argument("--json", action="store_true", help="one JSON object a line")
    bench.set_defaults(command=_bench)

    watch = commands.add_parser("watch", help="show the live feed")
    watch.add_argument("--json", action="store_true", help="one JSON message a line")
    _add_client_options(watch)
    watch.set_defaults(command=_watch)

    detectors = commands.add_parser("detectors", help="list, apply and delete detectors")
    verbs = detectors.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="all detectors and how they stand")
    listing.set_defaults(command=_list_detectors)
    apply = verbs.add_parser("apply", help="create or replace what a YAML or JSON file describes")
    apply.add_argument("file", type=Path, help="one detector, a list, or {detectors: [...]}")
    apply.set_defaults(command=_apply_detectors)
    delete = verbs.add_parser("delete", help="stop and forget")
    delete.add_argument("name", nargs="+")
    delete.set_defaults(command=_delete_detectors)
    for verb in (listing, apply, delete):
        _add_client_options(verb)
    return parser


def _add_judging(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    detect = commands.add_parser("detect", help="judge a CSV or Parquet file, without a server")
    detect.add_argument("file", type=Path, help="`timestamp`, and `value` beside labels or columns")
    detect.add_argument("--step", help="distance of two samples, like 1m; found when left out")
    detect.add_argument(
        "--group-by", dest="group_by", metavar="LABELS", help="judge as one what agrees on these"
    )
    detect.add_argument("--out", type=Path, help="write scores to a .csv or .parquet file")
    _add_judging_options(detect)
    detect.set_defaults(command=_detect)

    tune = commands.add_parser("tune", help="compare models on your own history, without labels")
    tune.add_argument("what", help="a CSV or Parquet file, or a detector of --config.file")
    tune.add_argument("--config.file", dest="config", type=Path, metavar="FILE")
    tune.add_argument(
        "--start", default="14d", help="of a detector's history; default %(default)s ago"
    )
    tune.add_argument(
        "--end", default="0s", help="RFC 3339, Unix seconds, or like 7d ago; default now"
    )
    tune.add_argument("--step", help="of a file: distance of two samples; found when left out")
    tune.add_argument("--group-by", dest="group_by", metavar="LABELS", help="of a file")
    tune.add_argument("--budget", help="like 3/week: every model is to tell so much")
    tune.add_argument(
        "--model", action="append", default=[], help="a kind or JSON; may be repeated"
    )
    tune.add_argument("--injections", type=int, default=200, help="default %(default)s")
    tune.add_argument("--seed", type=int, default=1, help="of what is put in, default %(default)s")
    tune.add_argument("--json", action="store_true", help="one JSON object a line")
    tune.set_defaults(command=_tune)

    backtest = commands.add_parser("backtest", help="what a detector would have told in the past")
    backtest.add_argument("name", help="a detector of the server")
    backtest.add_argument("--start", required=True, help="RFC 3339, Unix seconds, or like 7d ago")
    backtest.add_argument("--end", default="0s", help="the same; default now")
    _add_judging_options(backtest)
    _add_client_options(backtest)
    backtest.set_defaults(command=_backtest)


def _add_judging_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help='JSON like {"kind": "mad", "window": "1h"}, or a kind')
    parser.add_argument("--plot", type=Path, help="draw series and anomalies, .png or .html")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--web.listen-address",
        dest="address",
        default=DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help="default %(default)s; port 0 takes a free one",
    )
    parser.add_argument(
        "--log.level", dest="level", default=None, choices=("debug", "info", "warning", "error")
    )
    parser.add_argument("--log.format", dest="format", default="json", choices=("json", "text"))


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default=f"http://{DEFAULT_ADDRESS}", help="default %(default)s")
    parser.add_argument("--token.file", dest="token", type=Path, help="file with a bearer token")


def _serve(arguments: argparse.Namespace) -> int:
    from aiops.logs import set_up_logs
    from aiops.server import parse_address, serve
    from aiops.settings_file import load_settings
    from models.errors import AiopsError

    set_up_logs(arguments.level or "info", arguments.format)
    try:
        settings = load_settings(arguments.config)
        serve(settings, arguments.storage, parse_address(arguments.address))
    except (AiopsError, ImportError) as error:
        return _fail(error)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from aiops.demo.stage import run_demo
    from aiops.logs import set_up_logs
    from aiops.server import parse_address
    from models.errors import AiopsError

    set_up_logs(arguments.level or "warning", arguments.format)
    try:
        run_demo(parse_address(arguments.address), partial(print, flush=True))
    except (AiopsError, ImportError) as error:
        return _fail(error)
    return 0


def _check_config(arguments: argparse.Namespace) -> int:
    from aiops.server import check_settings
    from aiops.settings_file import load_settings
    from models.errors import AiopsError

    try:
        settings = load_settings(arguments.file)
        check_settings(settings)
    except AiopsError as error:
        return _fail(error)
    print(
        f"{arguments.file}: {len(settings.sources)} sources, {len(settings.detectors)} detectors, "
        f"{len(settings.outputs.remote_write)} outputs: good"
    )
    return 0


def _detect(arguments: argparse.Namespace) -> int:
    from aiops.judging import detect
    from models.errors import AiopsError

    try:
        return detect(arguments)
    except (AiopsError, OSError) as error:
        return _fail(error)


def _backtest(arguments: argparse.Namespace) -> int:
    from aiops.judging import backtest
    from models.errors import AiopsError

    try:
        return _with_client(arguments, lambda client: backtest(client, arguments))
    except (AiopsError, OSError) as error:
        return _fail(error)


def _tune(arguments: argparse.Namespace) -> int:
    from aiops.judging import tune
    from models.errors import AiopsError

    try:
        return tune(arguments)
    except (AiopsError, OSError) as error:
        return _fail(error)


def _bench(arguments: argparse.Namespace) -> int:
    import json
    from dataclasses import asdict

    from aiops.bench import measure_kinds
    from models.errors import AiopsError

    if arguments.series < 1 or arguments.ticks < 1:
        return _fail(ValueError("--series and --ticks must be at least 1"))
    if not arguments.json:
        print(f"{'kind':17} {'series':>9} {'ns/sample':>10} {'samples/s':>12} {'bytes/series':>13}")
    try:
        for pace in measure_kinds(arguments.series, arguments.kind, arguments.ticks):
            if arguments.json:
                own = asdict(pace) | {"samples_per_second": round(pace.samples_per_second)}
                print(json.dumps(own), flush=True)
            else:
                print(
                    f"{pace.kind:17} {pace.series:9} {pace.nanoseconds:10.1f} "
                    f"{pace.samples_per_second:12,.0f} {pace.state_bytes:13,.0f}",
                    flush=True,
                )
    except AiopsError as error:
        return _fail(error)
    return 0


def _watch(arguments: argparse.Namespace) -> int:
    import json

    from aiops.terminal import follow

    def show(client: "Client") -> None:
        for message, line in follow(client):
            if arguments.json:
                print(json.dumps(message), flush=True)
            elif line:
                print(line, flush=True)

    return _with_client(arguments, show)


def _list_detectors(arguments: argparse.Namespace) -> int:
    def show(client: "Client") -> None:
        for detector in client.detectors():
            status = client.status(detector.name)
            print(f"{detector.name:32} {status.state:8} {detector.model.kind:10} {status.reason}")

    return _with_client(arguments, show)


def _apply_detectors(arguments: argparse.Namespace) -> int:
    from aiops.settings_file import load_detectors

    def apply(client: "Client") -> None:
        for document in load_detectors(arguments.file):
            client.apply(document)
            print(f"{document.name}: applied")

    return _with_client(arguments, apply)


def _delete_detectors(arguments: argparse.Namespace) -> int:
    def delete(client: "Client") -> None:
        for name in arguments.name:
            client.delete(name)
            print(f"{name}: deleted")

    return _with_client(arguments, delete)


def _with_client(arguments: argparse.Namespace, use: Callable[["Client"], None]) -> int:
    import httpx
    from websockets.exceptions import WebSocketException

    from api.client import Client
    from models.errors import AiopsError

    try:
        token = arguments.token.read_text(encoding="utf-8").strip() if arguments.token else None
        with Client(arguments.url, token) as client:
            use(client)
    except AiopsError as error:
        return _fail(error)
    except (httpx.HTTPError, WebSocketException, OSError) as error:
        print(f"aiops: {arguments.url}: {error}", file=sys.stderr)
        return 1
    return 0


def _fail(error: Exception) -> int:
    print(f"aiops: {error}", file=sys.stderr)
    return 1
