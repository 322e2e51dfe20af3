// A picture to send for those who have none at hand: hills under a sun, in other colours each time.

const WIDTH = 320;
const HEIGHT = 200;

/** @returns a PNG. */
export function picture() {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  const paint = canvas.getContext("2d");
  const hue = Math.floor(360 * Math.random());
  const sky = paint.createLinearGradient(0, 0, 0, HEIGHT);
  sky.addColorStop(0, `hsl(${hue} 60% 72%)`);
  sky.addColorStop(1, `hsl(${hue + 40} 80% 88%)`);
  paint.fillStyle = sky;
  paint.fillRect(0, 0, WIDTH, HEIGHT);
  paint.fillStyle = `hsl(${hue + 40} 95% 94%)`;
  paint.beginPath();
  paint.arc(WIDTH * (0.25 + 0.5 * Math.random()), HEIGHT * 0.36, 30, 0, 2 * Math.PI);
  paint.fill();
  for (const [place, light] of [[0.55, 52], [0.68, 40], [0.82, 30]].entries()) hill(paint, hue, light[0], light[1], place);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

function hill(paint, hue, top, light, place) {
  paint.fillStyle = `hsl(${hue + 150} 30% ${light}%)`;
  paint.beginPath();
  paint.moveTo(0, HEIGHT);
  for (let x = 0; x <= WIDTH; x += 4) paint.lineTo(x, HEIGHT * (top + 0.1 * Math.sin(x / 45 + 2 * place)));
  paint.lineTo(WIDTH, HEIGHT);
  paint.fill();
}
