// Performs the suite's scenario with kafkajs; its steps and the event log are described in go/play/play.go.
'use strict'

const fs = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require('kafkajs')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

const PARTITIONS = 4
const CONFIG = { 'retention.ms': '-1', 'segment.ms': '315360000000' }
const TAIL = 1000
const JOIN_BATCH = 2000
const SLOW_RATE = 8000
const DEADLINE_MS = 90_000
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}

const { INTEROP_BOOTSTRAP: bootstrap, INTEROP_TOPIC: topic, INTEROP_GROUP: group } = process.env
const kafka = new Kafka({ clientId: 'interop', brokers: [bootstrap], logLevel: logLevel.WARN })
const out = fs.openSync(process.env.INTEROP_EVENTS, 'w')

// What the members share.
const next = new Array(PARTITIONS).fill(0)
const taken = {}
let slow = false

async function addCodecs() {
  CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: encoder => lz4.compressFrame(encoder.buffer),
    decompress: buffer => lz4.decompressFrame(buffer),
  })
  const zstd = await new Promise(resolve => ZstdCodec.run(codec => resolve(new codec.Simple())))
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async encoder => Buffer.from(zstd.compress(encoder.buffer, 3)),
    decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
  })
}

function readRows(path) {
  const orNull = field => (field === '\\N' ? null : field)
  return fs.readFileSync(path, 'utf8').trimEnd().split('\n').map(line => {
    const [timestamp, key, value, pairs] = line.split('\t')
    const headers = {}
    for (const pair of pairs.split(',')) {
      const [name, content] = pair.split('=')
      headers[name] = name in headers ? [].concat(headers[name], content) : content
    }
    return { timestamp, key: orNull(key), value: orNull(value), headers }
  })
}

function event(...fields) {
  fs.writeSync(out, fields.join('\t') + '\n')
}

const log = text => console.error(new Date().toISOString(), text)
const seen = () => next.reduce((sum, n) => sum + n, 0)

async function createTopic() {
  const admin = kafka.admin()
  await admin.connect()
  const configEntries = Object.entries(CONFIG).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1, configEntries }] })
  await admin.disconnect()
}

async function produce(codec, rows, from, to) {
  const begin = Date.now()
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  for (let i = from; i < to; i += 10_000) {
    const messages = rows.slice(i, Math.min(i + 10_000, to))
    await producer.send({ topic, acks: -1, compression: CODECS[codec], messages })
  }
  await producer.disconnect()
  log(`produced ${to - from} records with ${codec} in ${Date.now() - begin} ms`)
  event('P', codec, from, to)
}

// A member of the group, from start() to stop().
class Member {
  constructor(name) {
    this.name = name
    this.stopping = false
    this.failure = null
    this.consumer = kafka.consumer({ groupId: group, heartbeatInterval: 500, maxWaitTimeInMs: 200 })
    this.consumer.on(this.consumer.events.GROUP_JOIN, ({ payload }) => {
      event('J', name, (payload.memberAssignment[topic] ?? []).toSorted().join(','))
    })
    this.consumer.on(this.consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) this.failure = payload.error
    })
  }

  async start() {
    await this.consumer.connect()
    await this.consumer.subscribe({ topics: [topic], fromBeginning: true })
    await this.consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: batch => this.batch(batch) })
  }

  async stop() {
    this.stopping = true
    await this.consumer.disconnect()
    if (this.failure) throw this.failure
  }

  // Takes a fetched batch in parts, each committed before the next. An error makes kafkajs join again, and whoever owns
  // the partition then is given the records after the committed offset.
  async batch({ batch, resolveOffset, heartbeat, isRunning, isStale }) {
    const { partition, messages } = batch
    for (let i = 0; i < messages.length && isRunning() && !isStale() && !this.stopping; i += 1000) {
      const part = messages.slice(i, i + 1000)
      this.report(partition, part)
      const end = Number(part.at(-1).offset) + 1
      await this.consumer.commitOffsets([{ topic, partition, offset: String(end) }])
      event('C', this.name, partition, end)
      resolveOffset(part.at(-1).offset)
      if (slow) await sleep((part.length * 1000) / SLOW_RATE)
      await heartbeat()
    }
  }

  report(partition, messages) {
    const text = content => (content === null ? '\\N' : content.toString())
    const lines = messages.map(m => {
      const pairs = Object.entries(m.headers).flatMap(([name, content]) => [content].flat().map(c => `${name}=${text(c)}`))
      return `M\t${this.name}\t${partition}\t${m.offset}\t${m.timestamp}\t${text(m.key)}\t${text(m.value)}\t${pairs.join(',')}\n`
    })
    fs.writeSync(out, lines.join(''))
    next[partition] = Math.max(next[partition], Number(messages.at(-1).offset) + 1)
    taken[this.name] = (taken[this.name] ?? 0) + messages.length
  }

  async waitFor(done) {
    const end = Date.now() + DEADLINE_MS
    while (!done()) {
      await sleep(20)
      if (this.failure) throw this.failure
      if (Date.now() > end) throw new Error(`too slow; seen by member ${JSON.stringify(taken)}`)
    }
    log(`seen by member ${JSON.stringify(taken)}`)
  }
}

async function firstLife(want) {
  const a = new Member('A')
  await a.start()
  await a.waitFor(() => seen() >= want / 3)
  slow = true
  const b = new Member('B')
  await b.start()
  await b.waitFor(() => (taken.B ?? 0) >= JOIN_BATCH)
  await b.stop()
  slow = false
  await a.waitFor(() => seen() >= want)
  await a.stop()
}

async function secondLife(want) {
  const a = new Member('A2')
  await a.start()
  await a.waitFor(() => seen() >= want)
  await a.stop()
}

async function main() {
  await addCodecs()
  const rows = readRows(process.env.INTEROP_ROWS)
  await createTopic()
  const body = rows.length - TAIL
  const codecs = Object.keys(CODECS)
  for (const [i, codec] of codecs.entries()) {
    const at = n => Math.floor((n * body) / codecs.length)
    await produce(codec, rows, at(i), at(i + 1))
  }
  await firstLife(body)
  event('S')
  await produce('none', rows, body, rows.length)
  await secondLife(rows.length)
}

main().then(() => process.exit(0), error => {
  console.error(error)
  process.exit(1)
})
