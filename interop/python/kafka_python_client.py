#!/usr/bin/env python3
"""Performs the suite's scenario with kafka-python."""

import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import CommitFailedError, RebalanceInProgressError
from kafka.structs import OffsetAndMetadata

import play


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    def on_partitions_assigned(self, assigned):
        self.member.gained([tp.partition for tp in assigned])

    def on_partitions_revoked(self, revoked):
        self.member.lost([tp.partition for tp in revoked])


class Client:
    def create_topic(self):
        admin = KafkaAdminClient(bootstrap_servers=play.BOOTSTRAP)
        admin.create_topics([NewTopic(play.TOPIC, play.PARTITIONS, 1, topic_configs=play.CONFIG)])
        admin.close()

    def produce(self, codec, rows):
        producer = KafkaProducer(
            bootstrap_servers=play.BOOTSTRAP,
            compression_type=None if codec == "none" else codec,
            acks="all",
            linger_ms=20,
            batch_size=200_000,
        )
        sent = [
            producer.send(play.TOPIC, value=value, key=key, headers=headers, timestamp_ms=stamp)
            for stamp, key, value, headers in rows
        ]
        producer.flush(60)
        for future in sent:
            future.get(0)
        producer.close()

    def consume(self, member):
        consumer = KafkaConsumer(
            bootstrap_servers=play.BOOTSTRAP,
            group_id=play.GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=500,
        )
        try:
            # A member that joins before it knows the topic joins twice, and if a poll's time runs out in the second join,
            # kafka-python 3.0.12 hangs in it (one in 60 with polls of 100 ms, also against Apache Kafka).
            consumer.partitions_for_topic(play.TOPIC)
            consumer.subscribe([play.TOPIC], listener=Listener(member))
            while not member.stopped:
                self.batch(consumer, member)
        finally:
            consumer.close()

    def batch(self, consumer, member):
        messages = [m for part in consumer.poll(500, max_records=2000).values() for m in part]
        if not messages:
            return
        ends = member.records([(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers) for m in messages])
        try:
            consumer.commit({TopicPartition(play.TOPIC, p): OffsetAndMetadata(end, "", -1) for p, end in ends.items()})
            member.committed(ends)
        except (CommitFailedError, RebalanceInProgressError) as e:
            # A commit is refused during a rebalance; the next owner is then given these records again.
            play.log.info("member %s could not commit: %s", member.name, e)
        time.sleep(member.pause(len(messages)))


if __name__ == "__main__":
    play.main(Client())
