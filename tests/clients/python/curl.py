"""Calls by curl: one process a call, or one process for several calls on one connection."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from common import Plan, arguments, facts_of, headers, path_and_body, report

ARGS = arguments()
PLAN = Plan(ARGS)
MARK = "\n%{http_code} end-of-call\n"


def options(model):
    path, body = path_and_body(ARGS, model)
    line = [ARGS.base + path, "-sSN", "--data-binary", json.dumps(body), "-w", MARK]
    for name, value in headers(ARGS).items():
        line += ["-H", f"{name}: {value}"]
    return line


def run(models):
    command = ["curl", "-q"]
    for number, model in enumerate(models):
        command += (["--next"] if number else []) + options(model)
    start = time.monotonic_ns()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out, _ = child.communicate()
    answers = out.split(b" end-of-call\n")
    for model, answer in zip(models, answers):
        body, _, status = answer.rpartition(b"\n")
        facts = {"status": int(status or 0), **facts_of(body)}
        report({"asked": model, "held": False, "pid": child.pid, "start": start,
                "end": time.monotonic_ns(), **facts})


per_process = 1 if ARGS.no_keepalive else 10
models = [PLAN.model(n, False) for n in range(ARGS.count)]
groups = [models[at:at + per_process] for at in range(0, len(models), per_process)]
with ThreadPoolExecutor(max_workers=ARGS.concurrency) as pool:
    list(pool.map(run, groups))
