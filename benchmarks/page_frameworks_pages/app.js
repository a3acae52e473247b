import { draw, drawn, measured } from './drawing.js'

const canvas = document.querySelector('canvas')
const next = async () => {
  measured.asked = performance.now()
  const values = new Int16Array(await (await fetch('/traces')).arrayBuffer())
  draw(canvas, values)
  if (measured.stop) drawn(next)
}
globalThis.start = (seconds) => {
  Object.assign(measured, { stop: performance.now() + 1000 * seconds, times: [] })
  next()
}
document.querySelector('button').addEventListener('click', async () => {
  const count = await (await fetch('/count', { method: 'POST' })).json()
  document.querySelector('output').textContent = `asked ${count}`
})
const body = document.querySelector('tbody')
for (const { name, value } of await (await fetch('/rows')).json()) {
  const row = body.insertRow()
  row.insertCell().textContent = name
  row.insertCell().textContent = value
}
await next()
measured.ready = true
