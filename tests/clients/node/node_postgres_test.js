// node-postgres: parameters, portals read in pieces, COPY streams, a pool.
'use strict'

const assert = require('assert')
const fs = require('fs')
const path = require('path')
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const { from: copyFrom, to: copyTo } = require('pg-copy-streams')

const url = process.argv[2]
const schema = fs.readFileSync(path.join(__dirname, '..', 'shop.sql'), 'utf8')

// Runs for minutes everywhere.
const slow =
  'WITH d AS (SELECT * FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) d(n)) ' +
  'SELECT count(*) FROM d a, d b, d c, d d, d e, d f, d g, d h, d i, d j ' +
  'WHERE a.n + b.n + c.n + d.n + e.n + f.n + g.n + h.n + i.n + j.n = 45'

async function browses(client) {
  const { rows, fields } = await client.query(
    'SELECT table_name, column_name, udt_name FROM information_schema.columns ' +
      'WHERE table_schema = $1 AND ordinal_position <= $2 ORDER BY table_name, ordinal_position',
    ['shop', 2]
  )
  assert.deepStrictEqual(rows.map((r) => `${r.table_name}.${r.column_name} ${r.udt_name}`), [
    'cheap.id int8', 'cheap.name varchar',
    'every_type.id int4', 'every_type.a_boolean bool',
    'item.id int8', 'item.name varchar',
  ])
  assert.strictEqual(fields[0].name, 'table_name')
}

async function keepsEveryType(client) {
  const row = [
    1, true, -32768, 2147483647, '-9223372036854775808', 1.5, -2.25e-300, '-123456789012345.67890',
    'it\'s a "text" ü 🦅', 'ten chars!', 'five!', Buffer.from([0, 1, 255]), '1999-12-31', '23:59:59.999999',
    '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56+00', '3 days 04:05:06', '01234567-89ab-cdef-0123-456789abcdef',
  ]
  const places = row.map((_, i) => `$${i + 1}`).join(', ')
  const insert = { name: 'insert', text: `INSERT INTO shop.every_type VALUES (${places})` }
  await client.query({ ...insert, values: row })
  await client.query({ ...insert, values: [2, ...Array(17).fill(null)] })
  for (const binary of [false, true]) {
    const { rows, fields } = await client.query({
      text: 'SELECT id, a_boolean, a_smallint, a_integer, a_bigint, a_real, a_double, a_text, a_bytea ' +
        'FROM shop.every_type ORDER BY id',
      rowMode: 'array', binary,
    })
    const expected = [...row.slice(0, 7), row[8], row[11]]
    assert.deepStrictEqual(rows[0].map((v) => (typeof v === 'bigint' ? String(v) : v)), expected)
    assert.deepStrictEqual(rows[1], [2, ...Array(8).fill(null)])
    assert.deepStrictEqual(fields.map((f) => f.dataTypeID), [23, 16, 21, 23, 20, 700, 701, 25, 17])
  }
  const { rows } = await client.query({
    text: 'SELECT a_numeric, a_varchar, a_char, a_date::text, a_time, a_timestamp::text, a_timestamptz, a_interval::text, a_uuid ' +
      'FROM shop.every_type WHERE id = $1', values: [1], rowMode: 'array',
  })
  assert.deepStrictEqual(rows[0].map((v) => (v instanceof Date ? v.toISOString() : v)), [
    row[7], row[9], row[10], row[12], row[13], row[14], '2024-02-29T12:34:56.000Z', row[16], row[17],
  ])
}

async function streams(client) {
  await client.query('BEGIN')
  const cursor = client.query(new Cursor('SELECT id FROM shop.item WHERE id > $1 ORDER BY id', [0]))
  assert.deepStrictEqual((await cursor.read(2)).map((r) => r.id), ['1', '2'])
  assert.deepStrictEqual((await cursor.read(2)).map((r) => r.id), ['3'])
  assert.deepStrictEqual(await cursor.read(2), [])
  await cursor.close()
  const early = client.query(new Cursor('SELECT id FROM shop.item'))
  assert.strictEqual((await early.read(1)).length, 1)
  await early.close()
  await client.query('COMMIT')
}

async function copies(client) {
  await new Promise((resolve, reject) => {
    const stream = client.query(copyFrom('COPY shop.item (id, name) FROM STDIN'))
    stream.on('finish', resolve).on('error', reject)
    for (let i = 100; i < 5100; i++) stream.write(`${i}\tcopied ${i}\n`)
    stream.end()
  })
  let bytes = 0
  const out = client.query(copyTo('COPY (SELECT id FROM shop.item WHERE id >= 100) TO STDOUT'))
  for await (const piece of out) bytes += piece.length
  assert.strictEqual(bytes, 900 * 4 + 4100 * 5)
}

async function reportsErrors(client) {
  for (const [sql, code] of [
    ['SELECT * FROM shop.missing', '42P01'],
    ['SELECT 1 / (id - 1) FROM shop.item', '22012'],
    ["INSERT INTO shop.item VALUES (1, 'again', 1, NULL)", '23505'],
  ]) {
    await assert.rejects(client.query(sql), { code, severity: 'ERROR' })
    await assert.rejects(client.query({ text: sql, values: [], queryMode: 'extended' }), { code })
  }
  await assert.rejects(client.query('SELECT $1::int', ['x']), { code: '22P02' })
  await assert.rejects(client.query({ name: 'typo', text: 'SELECT nam FROM shop.item' }), {
    code: '42703', position: '8', hint: 'Perhaps you meant to reference the column "item.name".',
  })
  // Several statements in one text: all their results, or none of their effects.
  const results = await client.query('SELECT 1 AS a; SELECT 2 AS b')
  assert.deepStrictEqual(results.map((r) => r.rows), [[{ a: 1 }], [{ b: 2 }]])
  await assert.rejects(client.query("INSERT INTO shop.item VALUES (70, 'x', 1, NULL); SELECT 1 / 0"), { code: '22012' })
  const { rows } = await client.query('SELECT count(*)::int AS n FROM shop.item WHERE id = 70')
  assert.deepStrictEqual(rows, [{ n: 0 }])
}

async function cancels(client) {
  const other = new Client(url)
  await other.connect()
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid')
  const query = assert.rejects(client.query(slow), { code: '57014' })
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.strictEqual((await other.query('SELECT pg_cancel_backend($1) AS done', [rows[0].pid])).rows[0].done, true)
  await query
  await other.end()
  const impatient = new Client({ connectionString: url, statement_timeout: 300 })
  await impatient.connect()
  await assert.rejects(impatient.query(slow), { code: '57014' })
  await impatient.end()
}

async function pools() {
  const pool = new Pool({ connectionString: url, max: 3, application_name: 'shop pool' })
  const names = await Promise.all([1, 2, 3, 1, 2, 3].map((id) => pool.query('SELECT name FROM shop.item WHERE id = $1', [id])))
  assert.deepStrictEqual(names.map((r) => r.rows[0].name), ['apple', 'bread', 'wine', 'apple', 'bread', 'wine'])
  const client = await pool.connect()
  await client.query('BEGIN')
  await assert.rejects(client.query('SELECT 1 / 0'), { code: '22012' })
  await assert.rejects(client.query('SELECT 1'), { code: '25P02' })
  await client.query('ROLLBACK')
  const { rows } = await client.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'shop pool'")
  assert.strictEqual(rows[0].n, 3)
  client.release()
  await pool.end()
}

async function main() {
  const client = new Client(url)
  await client.connect()
  await client.query(schema)
  await client.query("SET TIME ZONE 'UTC'")
  for (const part of [browses, keepsEveryType, streams, copies, reportsErrors, cancels, pools]) {
    try {
      await part(client)
      console.log(part.name)
    } catch (error) {
      console.log(part.name, 'FAILED', error)
      process.exitCode = 1
    }
  }
  await client.end()
  if (!process.exitCode) console.log('ok')
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
