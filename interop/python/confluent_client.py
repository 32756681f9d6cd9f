#!/usr/bin/env python3
"""Performs the suite's scenario with confluent-kafka; the argument is the group protocol: classic or consumer."""

import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import play


class Client:
    def __init__(self, protocol):
        self.protocol = protocol

    def create_topic(self):
        admin = AdminClient({"bootstrap.servers": play.BOOTSTRAP})
        topic = NewTopic(play.TOPIC, play.PARTITIONS, 1, config=play.CONFIG)
        admin.create_topics([topic])[play.TOPIC].result(30)

    def produce(self, codec, rows):
        producer = Producer({
            "bootstrap.servers": play.BOOTSTRAP,
            "compression.type": codec,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 1_000_000,
        })
        errors = []
        acked = 0

        def delivered(error, _):
            nonlocal acked
            if error:
                errors.append(error)
            acked += 1

        for i, (stamp, key, value, headers) in enumerate(rows):
            producer.produce(play.TOPIC, value, key, timestamp=stamp, headers=headers, on_delivery=delivered)
            if i % 1000 == 0:
                producer.poll(0)
        left = producer.flush(60)
        if left or errors or acked != len(rows):
            raise RuntimeError(f"{left} not sent, {len(errors)} errors: {errors[:1]}")

    def consume(self, member):
        config = {
            "bootstrap.servers": play.BOOTSTRAP,
            "group.id": play.GROUP,
            "group.protocol": self.protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        if self.protocol == "classic":
            config["heartbeat.interval.ms"] = 500  # in the other protocol the broker says
        consumer = Consumer(config)
        try:
            consumer.subscribe(
                [play.TOPIC],
                on_assign=lambda _, tps: member.gained([tp.partition for tp in tps]),
                on_revoke=lambda _, tps: member.lost([tp.partition for tp in tps]),
            )
            while not member.stopped:
                self.batch(consumer, member)
        finally:
            consumer.close()

    def batch(self, consumer, member):
        messages = consumer.consume(2000, 0.1)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
        if not messages:
            return
        ends = member.records([
            (m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()) for m in messages
        ])
        try:
            consumer.commit(offsets=[TopicPartition(play.TOPIC, p, end) for p, end in ends.items()], asynchronous=False)
            member.committed(ends)
        except KafkaException as e:
            # A commit is refused during a rebalance; the next owner is then given these records again.
            play.log.info("member %s could not commit: %s", member.name, e)
        time.sleep(member.pause(len(messages)))


if __name__ == "__main__":
    play.main(Client(sys.argv[1]))
