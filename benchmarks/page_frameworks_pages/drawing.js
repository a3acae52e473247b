// 32 traces of int16 on a canvas, min to max at each column: the same for both pages
export function draw(canvas, values, channels = 32) {
  const context = canvas.getContext('2d')
  const columns = values.length / channels / 2
  const step = canvas.width / columns
  const row = canvas.height / channels
  context.clearRect(0, 0, canvas.width, canvas.height)
  context.beginPath()
  for (let channel = 0; channel < channels; channel++) {
    const middle = (channel + 0.5) * row
    for (let column = 0; column < columns; column++) {
      const at = 2 * (channel * columns + column)
      context.moveTo(column * step, middle + values[at] / 200)
      context.lineTo(column * step, middle + values[at + 1] / 200)
    }
  }
  context.stroke()
}

export const measured = { asked: 0, times: [], stop: 0, ready: false }
globalThis.measured = measured

// Called when an update is drawn: notes how long it took, and asks for the next one at the next frame until `stop`.
export function drawn(ask) {
  measured.times.push(performance.now() - measured.asked)
  if (performance.now() < measured.stop) requestAnimationFrame(ask)
}
