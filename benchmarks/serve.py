"""Serve a run in a process of its own, ask it over loopback, and print how fast and how steadily it answers.

    tlmed train feature_extractor --data busi --set backbone=MobileNetV2 --out runs/busi
    python benchmarks/serve.py runs/busi --data busi

It measures the first start, with an empty cache, and a later one; one image at a time, 20 at once, 200 requests a
second for some seconds, and the memory over 5,000 requests. What is wanted stands beside each figure. Clients and
server share the processor: with anything else running, times are longer, so the load of the machine is printed.
"""

import argparse
import collections
import http.client
import json
import os
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PLACE, TYPE = "127.0.0.1", {"Content-Type": "application/octet-stream"}
WARM = 300  # requests before memory is looked at: threads and their stacks are made by then
UNTIMED = 10  # requests over each connection that do not count
READY = 120  # seconds for a start


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        process: It.
        port: Where it listens.
        start: Seconds from the start of Python until it answered.
        work: Seconds of the processor that this took.
    """

    process: subprocess.Popen
    port: int
    start: float
    work: float

    def look(self, name: str) -> int:
        """Return a number of kilobytes from `/proc/PID/status`."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    def written(self) -> int:
        """Return how many bytes the process has written to disks."""
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))

    def stop(self) -> int:
        """End it, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def start(run: Path, port: int, engine: str) -> Server:
    """Start a server, and wait until it answers."""
    begun = time.perf_counter()
    script = "import sys; from tlmed.cli import main; sys.exit(main())"  # `tlmed`, by this Python
    process = subprocess.Popen(
        [sys.executable, "-c", script, "serve", str(run), "--port", str(port), "--engine", engine]
    )
    while time.perf_counter() - begun < READY:
        try:
            if ask(port, "GET", "/health")[0] == 200:
                break
        except OSError:
            time.sleep(0.02)
        if process.poll() is not None:
            raise SystemExit("The server must start.")
    seconds = time.perf_counter() - begun
    times = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return Server(process, port, seconds, (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"))


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Return the status and the content of an answer, over a connection of its own."""
    connection = http.client.HTTPConnection(PLACE, port, timeout=60)
    try:
        connection.request(method, path, body, TYPE)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def measure_single(port: int, images: list[bytes], requests: int) -> list[float]:
    """Return the milliseconds of requests one after the other, over one connection."""
    connection, found = http.client.HTTPConnection(PLACE, port, timeout=60), []
    for number in range(requests + UNTIMED):
        begun = time.perf_counter()
        connection.request("POST", "/predict", images[number % len(images)], TYPE)
        reply = connection.getresponse()
        content = reply.read()
        found.append(1000 * (time.perf_counter() - begun))
        if reply.status != 200:
            raise SystemExit(f"An image must be answered. Received: {reply.status} {content!r}.")
    return sorted(found[UNTIMED:])


def measure_together(port: int, images: list[bytes], clients: int, rounds: int) -> collections.Counter:
    """Return how many requests had which status, where some clients ask at the same moment."""
    found = collections.Counter()
    gate = threading.Barrier(clients)

    def work(number: int) -> list[int]:
        statuses = []
        for turn in range(rounds):
            gate.wait()
            statuses.append(ask(port, "POST", "/predict", images[(number + turn) % len(images)])[0])
        return statuses

    with ThreadPoolExecutor(clients) as pool:
        for statuses in pool.map(work, range(clients)):
            found.update(statuses)
    return found


def measure_flood(port: int, images: list[bytes], rate: int, seconds: int) -> tuple[collections.Counter, list[float]]:
    """Return statuses, and seconds of what was answered, where requests come at a rate, whether answered or not."""
    found, times, lock = collections.Counter(), [], threading.Lock()
    due, begun = queue.Queue(), time.perf_counter() + 0.5
    for number in range(rate * seconds):
        due.put(number)

    def work():
        while True:
            try:
                number = due.get_nowait()
            except queue.Empty:
                return
            time.sleep(max(begun + number / rate - time.perf_counter(), 0))
            asked = time.perf_counter()
            try:
                status = ask(port, "POST", "/predict", images[number % len(images)])[0]
            except OSError as error:
                status = type(error).__name__
            with lock:
                found[status] += 1
                if status == 200:
                    times.append(time.perf_counter() - asked)

    threads = [threading.Thread(target=work) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, sorted(times)


def measure_memory(server: Server, images: list[bytes], requests: int) -> list[int]:
    """Return the resident kilobytes of the server, before some requests and after each tenth of them."""
    found, clients = [server.look("VmRSS")], 4
    for _ in range(10):
        with ThreadPoolExecutor(clients) as pool:
            amounts = [requests // 10 // clients - UNTIMED] * clients
            list(pool.map(lambda amount: measure_single(server.port, images, amount), amounts))
        found.append(server.look("VmRSS"))
    return found


def report(run: Path, data: Path, port: int, engine: str, requests: int) -> None:
    """Print all figures as a table."""
    images = [file.read_bytes() for file in sorted(data.rglob("*.png"))[::10][:60]]
    rows = []

    def add(what: str, wanted: str, found: str) -> None:
        rows.append((what, wanted, found))
        print(f"{what}: {found} (wanted: {wanted}; load {os.getloadavg()[0]:.1f})", flush=True)

    with tempfile.TemporaryDirectory() as cache:
        os.environ["TLMED_CACHE_DIR"] = cache
        first = start(run, port, engine)
        first.stop()
        add("first start", "6 s", f"{first.start:.1f} s")
        server = start(run, port, engine)
    engine = json.loads(ask(port, "GET", "/model")[1])["engine"]
    add("later start", "6 s", f"{server.start:.1f} s, of which the processor worked {server.work:.1f} s")
    single = measure_single(port, images, 200)
    tail = single[int(0.95 * len(single))]
    add("one image, median", "60 ms", f"{statistics.median(single):.1f} ms; 95 % within {tail:.1f} ms")
    add("20 at once, 10 times", "no error", say(measure_together(port, images, 20, 10)))
    add("50 at once, 4 times", "no error", say(measure_together(port, images, 50, 4)))
    statuses, times = measure_flood(port, images, 200, 10)
    add("200 a second, 10 s", "200 or 503", f"{say(statuses)}; answered within {times[len(times) // 2]:.2f} s (median)")
    measure_single(port, images, WARM)
    before = server.written()
    memory = measure_memory(server, images, requests)
    growth = 100 * (memory[-1] / memory[0] - 1)
    add(f"memory over {requests:,} requests", "5 %", f"{memory[0] / 1024:.0f} MB, then {growth:+.1f} %")
    add("written to disks meanwhile", "nothing", f"{server.written() - before:,} bytes")
    add("exit status after SIGTERM", "0", str(server.stop()))
    print(
        f"\nEngine: {engine}. Images: {len(images)}, of {sum(map(len, images)) // len(images) // 1024} KB on average.\n"
    )
    print("| what | wanted | found |\n| :-- | :-- | :-- |")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def say(statuses: collections.Counter) -> str:
    """Return how many answers had which status."""
    return ", ".join(f"{number:,} x {status}" for status, number in sorted(statuses.items(), key=str))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("run", type=Path, help="a run of MobileNetV2 at 224 px")
    parser.add_argument("--data", type=Path, required=True, help="a folder of PNG files")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--requests", type=int, default=5000, help="for the memory")
    given = parser.parse_args()
    report(given.run, given.data, given.port, given.engine, given.requests)
