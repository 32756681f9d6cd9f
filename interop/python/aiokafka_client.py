#!/usr/bin/env python3
"""Performs the suite's scenario with aiokafka, each member with an event loop of its own."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError

import play


class Listener(ConsumerRebalanceListener):
    def __init__(self, member):
        self.member = member

    async def on_partitions_assigned(self, assigned):
        self.member.gained([tp.partition for tp in assigned])

    async def on_partitions_revoked(self, revoked):
        self.member.lost([tp.partition for tp in revoked])


class Client:
    def create_topic(self):
        asyncio.run(self._create_topic())

    async def _create_topic(self):
        admin = AIOKafkaAdminClient(bootstrap_servers=play.BOOTSTRAP)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(play.TOPIC, play.PARTITIONS, 1, topic_configs=play.CONFIG)])
            if answer.topic_errors[0][1]:
                raise RuntimeError(answer)
        finally:
            await admin.close()

    def produce(self, codec, rows):
        asyncio.run(self._produce(codec, rows))

    async def _produce(self, codec, rows):
        producer = AIOKafkaProducer(
            bootstrap_servers=play.BOOTSTRAP,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=200_000,
        )
        await producer.start()
        try:
            sent = [
                await producer.send(play.TOPIC, value, key, timestamp_ms=stamp, headers=headers)
                for stamp, key, value, headers in rows
            ]
            await producer.flush()
            for future in sent:
                future.result()
        finally:
            await producer.stop()

    def consume(self, member):
        asyncio.run(self._consume(member))

    async def _consume(self, member):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=play.BOOTSTRAP,
            group_id=play.GROUP,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=500,
        )
        consumer.subscribe([play.TOPIC], listener=Listener(member))
        await consumer.start()
        try:
            while not member.stopped:
                await self.batch(consumer, member)
        finally:
            await consumer.stop()

    async def batch(self, consumer, member):
        polled = await consumer.getmany(timeout_ms=100, max_records=2000)
        messages = [m for part in polled.values() for m in part]
        if not messages:
            return
        ends = member.records([(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers) for m in messages])
        try:
            await consumer.commit({TopicPartition(play.TOPIC, p): end for p, end in ends.items()})
            member.committed(ends)
        except CommitFailedError as e:
            # A commit is refused during a rebalance; the next owner is then given these records again.
            play.log.info("member %s could not commit: %s", member.name, e)
        await asyncio.sleep(member.pause(len(messages)))


if __name__ == "__main__":
    play.main(Client())
