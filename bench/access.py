"""What access control costs: the ledger's share of a mutating request, and a good caller beside a flood of bad signatures."""
import json
import statistics
import subprocess
import sys
import threading
import time

from support import BIN, Service, Signer


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def ledger(service, wire, folder, record, quick):
    vm = service.create("ledger", start=False).json["id"]
    raws = [wire.prepared("PATCH", f"/vms/{vm}", {"labels": {"n": str(n)}}) for n in range(100 if quick else 500)]
    patch = statistics.median(wire.timed(raw)[0] for raw in raws)
    out = subprocess.run([BIN / "bench_ledger", folder, str(2000 if quick else 6000)], capture_output=True, text=True, check=True)
    cost = json.loads(out.stdout)
    added = (cost["with"] - cost["without"]) / 1000
    share = added / patch
    record("the ledger's part of a mutating request (PATCH): opened in the intent's commit, sealed beside the next one's",
           f"{added * 1000:.0f} µs of {patch:.2f} ms",
           f"commit {cost['without']:.0f} µs without, {cost['with']:.0f} µs with; without any pause between requests {cost['busy_without']:.0f} and "
           f"{cost['busy_with']:.0f} µs",
           f"{share * 100:.1f} %", "≤ 10 %", share <= 0.10)
    service.call("DELETE", f"/vms/{vm}")


FLOOD = """
import http.client, json, sys, time
port, seconds, headers = int(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
until, count = time.time() + seconds, 0
while time.time() < until:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/vms", headers=headers)
        connection.getresponse().read()
        count += 1
    except OSError:
        pass
print(count)
"""


def flood(folder, record, quick):
    """A hundred connections of one source send bad signatures; a good caller of another measures its own time."""
    service = Service(folder / "flood", trusted_proxies="127.0.0.1", api_workers=2, log_level="info", rate_limit_failures=20, rate_limit_source=1000)
    (folder / "flood").mkdir(exist_ok=True)
    service.start()
    try:
        service.create("web", start=False)
        headers = {**service.signed_headers("GET", "/vms"), "X-Forwarded-For": "198.51.100.1"}
        bad = {**service.signed_headers("GET", "/vms", signer=Signer()), "X-Forwarded-For": "203.0.113.66"}

        def p99(seconds):
            times, until = [], time.time() + seconds
            while time.time() < until:
                began = time.perf_counter()
                assert service.raw("GET", "/vms", headers).status == 200
                times.append((time.perf_counter() - began) * 1000)
                time.sleep(0.004)
            return percentile(times, 0.99), len(times)

        seconds = 3 if quick else 10
        quiet, n = p99(seconds)
        workers = 20 if quick else 100
        counts = []

        def attack():
            # Threads of one process would slow the measurement down by their lock; few processes hold many.
            out = subprocess.run([sys.executable, "-c", FLOOD, str(service.port), str(seconds + 2), json.dumps(bad)], capture_output=True, text=True)
            counts.append(int(out.stdout or 0))

        threads = [threading.Thread(target=attack) for _ in range(workers)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        busy, m = p99(seconds)
        for thread in threads:
            thread.join()
        ratio = busy / quiet
        record(f"p99 of a good caller while {workers} connections of another source send bad signatures / without them",
               f"{busy:.2f} ms, n={m}, {sum(counts)} answered", f"{quiet:.2f} ms, n={n}", f"{ratio:.2f}×", "≤ 2×", ratio <= 2)
    finally:
        service.close()
