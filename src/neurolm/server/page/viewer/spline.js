/**
 * Values of electrodes between them: spherical splines after Perrin et al. (1989), doi:10.1016/0013-4694(89)90180-6.
 */

const ORDER = 4;
const TERMS = 12;
/** Keeps electrodes that lie close from asking for wild values between them. */
const SMOOTHING = 1e-4;

/** A place of the head seen from above (unit disk, its rim the equator through nasion and inion) on the unit sphere. */
function onSphere({ x, y }) {
  const radius = Math.hypot(x, y);
  const polar = (radius * Math.PI) / 2;
  const share = radius ? Math.sin(polar) / radius : 0;
  return [x * share, y * share, Math.cos(polar)];
}

/** g of the cosine between two places: a sum of Legendre polynomials. */
function kernel(cosine) {
  let [before, now, sum] = [1, cosine, 0];
  for (let n = 1; n <= TERMS; n++) {
    sum += ((2 * n + 1) / (n * (n + 1)) ** (ORDER - 1)) * now;
    [before, now] = [now, ((2 * n + 1) * cosine * now - n * before) / (n + 1)];
  }
  return sum / (4 * Math.PI);
}

const dot = (one, other) => one[0] * other[0] + one[1] * other[1] + one[2] * other[2];

/**
 * A function of (x, y) that takes the values of the electrodes at their places.
 *
 * @param {{x: number, y: number, effect: number}[]} electrodes at least one
 */
export function interpolate(electrodes) {
  const places = electrodes.map(onSphere);
  const count = places.length;
  // [G 1; 1ᵀ 0] [c; c₀] = [v; 0]
  const rows = places.map((place, i) => [
    ...places.map((other, j) => kernel(dot(place, other)) + (i === j ? SMOOTHING : 0)),
    1,
    electrodes[i].effect,
  ]);
  rows.push([...places.map(() => 1), 0, 0]);
  const weights = solve(rows);
  return (x, y) => {
    const place = onSphere({ x, y });
    let sum = weights[count];
    for (let i = 0; i < count; i++) sum += weights[i] * kernel(dot(place, places[i]));
    return sum;
  };
}

/** Solves linear equations, the right side in the last column; by elimination with the largest pivot. */
function solve(rows) {
  const count = rows.length;
  for (let i = 0; i < count; i++) {
    let pivot = i;
    for (let j = i + 1; j < count; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[pivot][i])) pivot = j;
    [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
    if (Math.abs(rows[i][i]) < 1e-14) continue;
    for (let j = 0; j < count; j++) {
      if (j === i) continue;
      const share = rows[j][i] / rows[i][i];
      for (let k = i; share && k <= count; k++) rows[j][k] -= share * rows[i][k];
    }
  }
  return rows.map((row, i) => (Math.abs(row[i]) < 1e-14 ? 0 : row[count] / row[i]));
}
