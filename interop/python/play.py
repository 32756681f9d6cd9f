"""The suite's scenario for Python clients; its steps and the event log are described in go/play/play.go."""

import logging
import os
import threading
import time

PARTITIONS = 4
CONFIG = {"retention.ms": "-1", "segment.ms": "315360000000"}
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
TAIL = 1000
JOIN_BATCH = 2000
SLOW_RATE = 8000
DEADLINE = 90

BOOTSTRAP = os.environ["INTEROP_BOOTSTRAP"]
TOPIC = os.environ["INTEROP_TOPIC"]
GROUP = os.environ["INTEROP_GROUP"]

NULL = b"\\N"
log = logging.getLogger("play")


def read_rows(path):
    """Return the data set as tuples of timestamp, key, value and headers."""
    rows = []
    with open(path, "rb") as source:
        for line in source:
            stamp, key, value, headers = line.rstrip(b"\n").split(b"\t")
            pairs = [pair.split(b"=") for pair in headers.split(b",")]
            rows.append((
                int(stamp),
                None if key == NULL else key,
                None if value == NULL else value,
                [(name.decode(), content) for name, content in pairs],
            ))
    return rows


class Scenario:
    """What the members share. A client has create_topic(), produce(codec, rows) and consume(member)."""

    def __init__(self, client, out):
        self.client = client
        self.out = out
        self.changed = threading.Condition()
        # What follows is guarded by changed.
        self.next = [0] * PARTITIONS
        self.taken = {}
        self.slow = False

    def perform(self, rows):
        self.client.create_topic()
        body = len(rows) - TAIL
        for i, codec in enumerate(CODECS):
            self.produce(codec, rows, i * body // len(CODECS), (i + 1) * body // len(CODECS))
        self.first_life(body)
        self.event(b"S\n")
        self.produce(CODECS[0], rows, body, len(rows))
        with Member(self, "A2") as a:
            self.wait_for(a, lambda: sum(self.next) >= len(rows))

    def produce(self, codec, rows, first, end):
        start = time.monotonic()
        self.client.produce(codec, rows[first:end])
        log.info("produced %d records with %s in %.1f s", end - first, codec, time.monotonic() - start)
        self.event(f"P\t{codec}\t{first}\t{end}\n".encode())

    def first_life(self, want):
        with Member(self, "A") as a:
            self.wait_for(a, lambda: sum(self.next) >= want // 3)
            self.slow = True
            with Member(self, "B") as b:
                self.wait_for(b, lambda: self.taken.get("B", 0) >= JOIN_BATCH)
            self.slow = False
            self.wait_for(a, lambda: sum(self.next) >= want)

    def wait_for(self, member, done):
        end = time.monotonic() + DEADLINE
        with self.changed:
            while not done():
                self.changed.wait(1)
                if member.failure or time.monotonic() > end:
                    raise RuntimeError(f"member {member.name} stopped; seen by member {self.taken}") from member.failure
            log.info("seen by member %s", self.taken)

    def event(self, line):
        with self.changed:
            self.out.write(line)


class Member:
    """One consumer of the group, in a thread of its own; the client's consume() loops until it is stopped."""

    def __init__(self, scenario, name):
        self.scenario = scenario
        self.name = name
        self.prefix = f"M\t{name}".encode()
        self.stopped = False
        self.failure = None
        self.owned = set()
        self.thread = threading.Thread(target=self.run, name=name)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.stopped = True
        self.thread.join()
        if self.failure and not error:
            raise RuntimeError(f"member {self.name} failed") from self.failure

    def run(self):
        try:
            self.scenario.client.consume(self)
        except BaseException as e:
            log.exception("member %s", self.name)
            self.failure = e

    def gained(self, partitions):
        self.owned.update(partitions)
        self.report()

    def lost(self, partitions):
        self.owned.difference_update(partitions)
        self.report()

    def report(self):
        owned = ",".join(map(str, sorted(self.owned)))
        self.scenario.event(f"J\t{self.name}\t{owned}\n".encode())

    def records(self, batch):
        """Report a list of (partition, offset, timestamp, key, value, headers)."""
        lines = []
        ends = {}
        for partition, offset, stamp, key, value, headers in batch:
            key = NULL if key is None else key
            value = NULL if value is None else value
            packed = b",".join([b"%b=%b" % (name.encode(), NULL if content is None else content) for name, content in headers or ()])
            lines.append(b"%b\t%d\t%d\t%d\t%b\t%b\t%b\n" % (self.prefix, partition, offset, stamp, key, value, packed))
            ends[partition] = offset + 1
        with self.scenario.changed:
            self.scenario.out.writelines(lines)
            for partition, end in ends.items():
                self.scenario.next[partition] = max(self.scenario.next[partition], end)
            self.scenario.taken[self.name] = self.scenario.taken.get(self.name, 0) + len(batch)
        return ends

    def committed(self, ends):
        for partition, offset in ends.items():
            self.scenario.event(f"C\t{self.name}\t{partition}\t{offset}\n".encode())

    def pause(self, n):
        """Return how long to wait after a batch of n records whose commit is done."""
        with self.scenario.changed:
            self.scenario.changed.notify_all()
            return n / SLOW_RATE if self.scenario.slow else 0


def main(client):
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with open(os.environ["INTEROP_EVENTS"], "wb", buffering=1 << 20) as out:
        Scenario(client, out).perform(read_rows(os.environ["INTEROP_ROWS"]))
