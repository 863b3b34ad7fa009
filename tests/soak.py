#!/usr/bin/env python3
"""A service under load for a long time, with everything that happens to one: is each call answered, and does it grow?

    python3 tests/soak.py --binary target/release/jiesu --minutes 30

The service has TLS, API keys, records and a shadow model. How much it can answer is measured first; then it is asked for
a share of that (calls of one text and of many), while each second a client is killed in the middle of its calls, each
minute everything is loaded again (by `jiesu admin reload-model` and by SIGHUP in turn), and each fifth minute certificate
and key are replaced. Memory and file descriptors are read each second; the slopes are least squares over the medians of
the minutes after the first three, with 95 % intervals (Student's t).

Needs Python 3.9 and openssl, on Linux. Exits with 1 if a call failed, or the service grew.
"""

import argparse
import itertools
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WARM_UP_MINUTES = 3
# What may be blamed on chance and on the allocator: half an hour of this is a hundredth of the service's memory.
FLAT_MEMORY_KIB_PER_MINUTE = 100
FLAT_DESCRIPTORS_PER_MINUTE = 0.1
BATCH = 16

PLACES = ["东门", "西门", "北区", "三期", "菜市场旁", "学校门口", "公交站", "地下车库", "河边", "广场"]
THINGS = ["路灯", "电梯", "井盖", "垃圾桶", "暖气", "自来水", "健身器材", "停车位", "下水道", "宽带"]
FAULTS = ["坏了一个月没人修", "总是停用", "收费不合理", "半夜噪音很大", "漏水", "被人占用", "异味很重", "存在安全隐患"]
WISHES = ["请尽快处理", "希望有关部门来看看", "打过几次电话都没有结果", "影响老人和孩子出行", "请问由谁负责", "谢谢"]


class Deployment:
    """The files of who runs the service, and the service."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, Path(folder)
        self.generation = 0
        self.openssl("ca", "/CN=soak authority", "basicConstraints=critical,CA:TRUE")
        self.write_certificate()
        self.key = self.add_key()
        texts = [{"text": f"{p}的{t}{f}，{w}，{n}号"} for n in range(5) for p, t, f, w in
                 itertools.product(PLACES, THINGS, FAULTS, WISHES)]
        random.Random(1).shuffle(texts)
        self.texts = self.folder / "texts.jsonl"
        self.texts.write_text("\n".join(json.dumps(text, ensure_ascii=False) for text in texts), "utf-8")

    def path(self, name):
        return str(self.folder / name)

    def write_certificate(self):
        """A new certificate and key; the service may see the one before the other."""
        self.openssl("new", "/CN=localhost", "basicConstraints=CA:FALSE", "-addext", "subjectAltName=DNS:localhost",
                     "-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"))
        os.replace(self.path("new.pem"), self.path("server.pem"))
        os.replace(self.path("new.key"), self.path("server.key"))

    def openssl(self, name, subject, constraints, *more):
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "90", "-subj", subject, "-addext", constraints, *more,
                "-keyout", self.path(f"{name}.key"), "-out", self.path(f"{name}.pem")]
        subprocess.run(made, check=True, capture_output=True)

    def add_key(self):
        self.generation += 1
        scopes = ["--scope", "classify", "--scope", "admin"]
        added = [self.binary, "keys", "add", self.path("keys.toml"), "--id", f"soak-{self.generation}", *scopes]
        return subprocess.run(added, check=True, capture_output=True, text=True).stdout.strip()

    def change_key(self):
        """Adds a key, and hands it out once the service knows it."""
        new = self.add_key()
        for _ in range(60):
            if self.client("admin", "models", key=new).wait() == 0:
                self.key = new
                return
            time.sleep(0.2)
        sys.exit("the service does not take the new key")

    def drop_old_keys(self):
        text = Path(self.path("keys.toml")).read_text()
        kept = text[text.rindex("[[key]]"):]
        Path(self.path("keys.new")).write_text(kept)
        os.chmod(self.path("keys.new"), 0o600)
        os.replace(self.path("keys.new"), self.path("keys.toml"))

    def start(self):
        self.log = open(self.path("log"), "wb")
        command = [self.binary, "serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--cache-mib", "4",
                   "--tls-cert", self.path("server.pem"), "--tls-key", self.path("server.key"),
                   "--keys", self.path("keys.toml"), "--records", self.path("records"),
                   "--decision-mib", "64", "--shadow-model", "built-in"]
        self.process = subprocess.Popen(command, stderr=self.log)
        while True:
            if self.process.poll() is not None:
                sys.exit(f"the service does not start:\n{Path(self.path('log')).read_text()}")
            for line in Path(self.path("log")).read_text().splitlines():
                fields = json.loads(line)["fields"]
                if fields["message"] == "serving":
                    self.uri = "https://localhost:" + fields["address"].rsplit(":", 1)[1]
                    return
            time.sleep(0.1)

    def client(self, *arguments, key=None):
        environment = dict(os.environ, JIESU_API_KEY=key or self.key, JIESU_CA=self.path("ca.pem"))
        command = [self.binary, *arguments, "--endpoint", self.uri]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def bench(self, seconds, *arguments):
        return self.client("bench", "--file", str(self.texts), "--json", "--timeout", "10000",
                           "--duration", str(seconds), *arguments)

    def memory_kib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def finish(process):
    out, err = process.communicate()
    if process.returncode != 0:
        return {"texts_per_s": 0, "calls": 1, "outcomes": {"client: " + err.strip(): 1}}
    return json.loads(out)


def capacity(deployment):
    """Texts a second at most, by the same clients."""
    figures = finish(deployment.bench(20, "--concurrency", "64"))
    print(f"capacity {figures['texts_per_s']:.0f} texts/s, outcomes {figures['outcomes']}", flush=True)
    if set(figures["outcomes"]) != {"Ok"}:
        sys.exit("the service does not answer")
    return figures["texts_per_s"]


def slope(points):
    """Least squares: the slope and its 95 % interval."""
    n = len(points)
    if n < 4:
        return float("nan"), float("nan"), float("nan")
    xs, ys = zip(*points)
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    sxx = sum((x - mean_x) ** 2 for x in xs)
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / sxx
    rest = sum((y - mean_y - b * (x - mean_x)) ** 2 for x, y in points)
    # The quantile of Student's t at 0.975, to a hundredth from 8 degrees of freedom on.
    t = 1.96 + 2.4 / (n - 2) + 3.3 / (n - 2) ** 2
    half = t * (rest / (n - 2) / sxx) ** 0.5
    return b, b - half, b + half


def per_minute(samples, warm_up):
    minutes = {}
    for at, value in samples:
        minutes.setdefault(int(at // 60), []).append(value)
    return [(minute, statistics.median(values)) for minute, values in sorted(minutes.items()) if minute >= warm_up]


class Loads:
    """The calls that must not fail, a minute at a time: who begins anew takes the key of the moment."""

    def __init__(self, deployment, rate, seconds):
        self.outcomes, self.p99, self.texts = {}, [], 0
        self.end = time.monotonic() + seconds
        single, many = 0.7 * rate, 0.3 * rate / BATCH
        kinds = [["--rate", f"{single:.1f}"], ["--rate", f"{many:.1f}", "--batch-size", str(BATCH)]]
        self.threads = [threading.Thread(target=self.run, args=(deployment, kind)) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def run(self, deployment, kind):
        while (left := self.end - time.monotonic()) > 1:
            seconds = min(30, left)
            figures = finish(deployment.bench(f"{seconds:.1f}", *kind))
            for outcome, calls in figures["outcomes"].items():
                self.outcomes[outcome] = self.outcomes.get(outcome, 0) + calls
            self.texts += figures["texts_per_s"] * seconds
            if "answered_ms" in figures:
                self.p99.append((kind[-1], figures["answered_ms"]["p99"]))

    def wait(self):
        for thread in self.threads:
            thread.join()


def disturb(deployment, seconds, samples, events):
    """Each second a killed client; each minute a reload; each fifth minute another certificate and key."""
    begin = time.monotonic()
    for second in itertools.count():
        if time.monotonic() - begin >= seconds:
            return
        victim = deployment.bench(60, "--rate", "10", "--batch-size", "32")
        time.sleep(0.5)
        victim.kill()
        victim.communicate()
        events["clients killed"] += 1
        if second % 60 == 30:
            if (second // 60) % 2:
                deployment.process.send_signal(signal.SIGHUP)
            else:
                out, err = (admin := deployment.client("admin", "reload-model")).communicate()
                if admin.returncode != 0:
                    events["failed reloads"] += 1
                    print(f"reload failed: {out}{err}", flush=True)
            events["reloads"] += 1
        if second % 300 == 240:
            deployment.write_certificate()
            deployment.change_key()
            events["rotations"] += 1
        # Who began with the old key has finished by now.
        if second % 300 == 295:
            deployment.drop_old_keys()
        now = time.monotonic() - begin
        samples.append((now, deployment.memory_kib(), deployment.descriptors()))
        time.sleep(max(0, begin + second + 1 - time.monotonic()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/jiesu")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--load", type=float, default=0.7, help="share of what the service can answer")
    arguments = parser.parse_args()
    binary = str(Path(arguments.binary).resolve())
    with tempfile.TemporaryDirectory() as folder:
        deployment = Deployment(binary, folder)
        deployment.start()
        try:
            sys.exit(soak(deployment, arguments))
        finally:
            deployment.process.kill()


def soak(deployment, arguments):
    rate = arguments.load * capacity(deployment)
    seconds = 60 * arguments.minutes
    samples, events = [], {"clients killed": 0, "reloads": 0, "failed reloads": 0, "rotations": 0}
    loads = Loads(deployment, rate, seconds)
    disturb(deployment, seconds, samples, events)
    loads.wait()
    models = deployment.client("admin", "models").communicate()[0]
    deployment.process.send_signal(signal.SIGTERM)
    code = deployment.process.wait(60)
    log = Path(deployment.path("log")).read_text()
    panics = log.count('"a panic"')

    warm_up = WARM_UP_MINUTES if arguments.minutes > 2 * WARM_UP_MINUTES else 0
    memory = per_minute([(at, kib) for at, kib, _ in samples], warm_up)
    descriptors = per_minute([(at, count) for at, _, count in samples], warm_up)
    print(f"asked for {rate:.0f} texts/s, answered {loads.texts / seconds:.0f} texts/s for {arguments.minutes:g} min")
    print(f"outcomes {loads.outcomes}; events {events}; panics {panics}; exit status {code}")
    for kind in sorted({kind for kind, _ in loads.p99}):
        print(f"p99 ({kind}): median of runs {statistics.median(p for k, p in loads.p99 if k == kind):.1f} ms, "
              f"worst run {max(p for k, p in loads.p99 if k == kind):.1f} ms")
    print(models, end="")
    good = set(loads.outcomes) == {"Ok"} and not panics and code == 0 and not events["failed reloads"]
    for what, points, unit, flat in [("memory", memory, "KiB", FLAT_MEMORY_KIB_PER_MINUTE),
                                     ("file descriptors", descriptors, "", FLAT_DESCRIPTORS_PER_MINUTE)]:
        b, low, high = slope(points)
        values = [value for _, value in points]
        print(f"{what}: {min(values):.0f} to {max(values):.0f} {unit}; slope {b:.3f} {unit}/min, "
              f"95 % interval {low:.3f} to {high:.3f}")
        good &= not low > flat
    print("passed" if good else "FAILED")
    return 0 if good else 1


if __name__ == "__main__":
    main()
