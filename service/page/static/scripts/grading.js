// What happens after the network, as service/rendering/_grade.py defines it, for the browser: strength, the gate for
// bright pictures and the protection of lamps change the picture here, at once, without a request.
//
//     out = x + blend * (1 - protect * s(l)) * (y - x),    s(l) = c / sqrt((1 - l)^2 + c^2)
//
// x is the photo, y the network's answer at strength 1, protect 0, gate off; l the luminance of x; all from 0 to 1.

const SHADOW_FLOOR = 0.15;
export const LUMINANCE = [0.2126, 0.7152, 0.0722];

/** What the photo itself is, and what the answer itself is: a file that is finished already. */
export const UNCHANGED = { blend: 0, protect: 0 };
export const FINISHED = { blend: 1, protect: 0 };

/** The numbers that the formula needs, from a photo's settings and from what the service measured: {gate}. */
export function grading({ strength, protect, gate }, measured) {
  return { blend: strength * (gate ? measured.gate : 1), protect };
}

/** Their names, those of the shader's uniforms. */
export const GRADE_UNIFORMS = ["blend", "protect"];

/** Grade pixels: RGBA of x and y in, as the clamped, rounding bytes of ImageData, and out (`result` may be `x` or `y`). */
export function gradePixels(x, y, { blend, protect }, result) {
  const [red, green, blue] = LUMINANCE.map((weight) => weight / 255);
  for (let i = 0; i < x.length; i += 4) {
    const darkness = 1 - (red * x[i] + green * x[i + 1] + blue * x[i + 2]);
    const share = blend * (1 - (protect * SHADOW_FLOOR) / Math.sqrt(darkness * darkness + SHADOW_FLOOR ** 2));
    result[i] = x[i] + share * (y[i] - x[i]);
    result[i + 1] = x[i + 1] + share * (y[i + 1] - x[i + 1]);
    result[i + 2] = x[i + 2] + share * (y[i + 2] - x[i + 2]);
    result[i + 3] = x[i + 3];
  }
}

/** The same for a fragment shader: `vec3 grade(vec3 x, vec3 y, vec2 place)`, the place in the photo from 0 to 1. */
export const GRADE_SHADER = `
  uniform float blend, protect;

  vec3 grade(vec3 x, vec3 y, vec2 place) {
    float darkness = 1.0 - dot(x, vec3(${LUMINANCE.join(", ")}));
    float share = blend * (1.0 - protect * ${SHADOW_FLOOR} * inversesqrt(darkness * darkness + ${SHADOW_FLOOR ** 2}));
    return x + share * (y - x);
  }
`;
