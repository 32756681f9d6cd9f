#!/usr/bin/env python3
"""A producer and a group of one on librdkafka, for the fault runs: load/librdkafka.go starts it and reads what it did from its standard
output. Lines are S partition (a record is about to be sent; they are numbered from 0), A number offset (it was acknowledged; -2: somewhere), G partition (the
partition is the consumer's), P partition offset:value … (a poll), E text (an error that the application sees), B and C partition offset (a commit is begun, is acknowledged). It stops sending
when its standard input ends, and ends when all is acknowledged."""

import os
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

BOOTSTRAP, TOPIC = os.environ["FAULTS_BOOTSTRAP"], os.environ["FAULTS_TOPIC"]
PARTITIONS, RATE = int(os.environ["FAULTS_PARTITIONS"]), float(os.environ["FAULTS_RATE"])
PROCESS = int(os.environ["FAULTS_PROCESS"])
STEADY = os.environ.get("FAULTS_STEADY") == "true"  # librdkafka's own settings, and an even pace
MASK = (1 << 64) - 1
DAMAGED = MASK

enough = threading.Event()
done = threading.Event()
out_lock = threading.Lock()


def say(*fields):
    line = " ".join(map(str, fields)) + "\n"
    with out_lock:
        sys.stdout.write(line)
        sys.stdout.flush()


def encode(value):
    """The bytes of a record, as load/record.go makes them."""
    x = (value * 0x9E3779B97F4A7C15 + 1) & MASK
    parts = [value.to_bytes(8, "big")]
    for _ in range(4 + (x >> 32) % 32):
        x ^= (x << 13) & MASK
        x ^= x >> 7
        x ^= (x << 17) & MASK
        parts.append(x.to_bytes(8, "big"))
    return b"".join(parts)


def decode(data):
    if data is None or len(data) < 8:
        return DAMAGED
    value = int.from_bytes(data[:8], "big")
    return value if encode(value) == data else DAMAGED


def produce():
    settings = {"bootstrap.servers": BOOTSTRAP, "enable.idempotence": True, "acks": "all"}
    producer = Producer(settings if STEADY else settings | {
        "linger.ms": 5,
        "message.timeout.ms": 0,  # never given up
        "request.timeout.ms": 5000,
        "socket.timeout.ms": 7000,
        "retry.backoff.ms": 50,
        "topic.metadata.refresh.interval.ms": 5000,
        "queue.buffering.max.messages": 5000,
    })

    def delivered(number):
        def callback(error, message):
            if error is None:
                # A record that was sent twice, and refused as known the second time, is there, but where is not told.
                say("A", number, -2 if message.offset() is None else message.offset())
            else:
                say("E", "a record is given up:", error)
        return callback

    number = 0
    while not enough.is_set():
        burst = 1 if STEADY else random.randint(1, 16)
        for _ in range(burst):
            partition = number % PARTITIONS if STEADY else random.randrange(PARTITIONS)
            say("S", partition)
            while True:
                try:
                    producer.produce(TOPIC, encode(PROCESS << 40 | number), partition=partition, on_delivery=delivered(number))
                    break
                except BufferError:
                    producer.poll(0.1)
            number += 1
        producer.poll(0)
        time.sleep(burst / RATE)
    left = producer.flush(30)
    if left:
        print(f"{left} records are not acknowledged half a minute after the last fault", file=sys.stderr)
    done.set()


def consume():
    settings = {"bootstrap.servers": BOOTSTRAP, "group.id": "librdkafka", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    consumer = Consumer(settings if STEADY else settings | {
        "session.timeout.ms": 10000,
        "heartbeat.interval.ms": 1000,
        "socket.timeout.ms": 7000,
        "retry.backoff.ms": 50,
        "check.crcs": True,
    })
    consumer.subscribe([TOPIC], on_assign=lambda _, tps: [say("G", tp.partition) for tp in tps])
    while not done.is_set():
        polled = {}
        for m in consumer.consume(500, 0.2):
            if m.error():
                say("E", "a poll:", m.error())
            else:
                polled.setdefault(m.partition(), []).append((m.offset(), decode(m.value())))
        for partition, reads in polled.items():
            say("P", partition, *(f"{offset}:{value}" for offset, value in reads))
        ends = [TopicPartition(TOPIC, partition, reads[-1][0] + 1) for partition, reads in polled.items()]
        if not ends:
            continue
        for tp in ends:
            say("B", tp.partition, tp.offset)
        try:
            for tp in consumer.commit(offsets=ends, asynchronous=False):
                if tp.error is None:
                    say("C", tp.partition, tp.offset)
                else:
                    say("E", "a commit:", tp.error)
        except KafkaException as e:
            say("E", "a commit:", e)  # it may have happened or not
    consumer.close()


threads = [threading.Thread(target=produce), threading.Thread(target=consume)]
for t in threads:
    t.start()
sys.stdin.read()
enough.set()
for t in threads:
    t.join()
