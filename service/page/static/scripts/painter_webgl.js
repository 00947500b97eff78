// Paints the visible part of a photo with WebGL 2. Grading a frame takes the GPU one pass over the canvas, whatever the
// size of the photo. `painter_canvas.js` has the same interface.

import { GRADE_SHADER, GRADE_UNIFORMS, UNCHANGED, uniforms } from "./grading.js";

const VERTICES = `#version 300 es
  void main() {
    // One triangle that covers the canvas.
    gl_Position = vec4(gl_VertexID == 1 ? 3 : -1, gl_VertexID == 2 ? 3 : -1, 0, 1);
  }
`;

const FRAGMENTS = `#version 300 es
  precision highp float;
  uniform sampler2D before, after;
  uniform vec2 photoSize, corner;
  uniform float canvasHeight, scale, divider, shift;
  uniform vec2 levels;
  out vec4 colour;
  ${GRADE_SHADER}

  void main() {
    vec2 dot = vec2(gl_FragCoord.x, canvasHeight - gl_FragCoord.y);
    bool isBefore = dot.x < divider;
    vec2 place = (dot - vec2(isBefore ? 0.0 : shift, 0) - corner) / (scale * photoSize);
    vec4 x = textureLod(before, place, levels.x);
    vec3 y = textureLod(after, place, levels.y).rgb;
    vec3 result = isBefore ? x.rgb : grade(x.rgb, y, place);
    bool outside = any(lessThan(place, vec2(0))) || any(greaterThanEqual(place, vec2(1)));
    float alpha = outside ? 0.0 : x.a;
    colour = vec4(floor(result * 255.0 + 0.5) / 255.0 * alpha, alpha);
  }
`;

const UNIFORMS = ["photoSize", "corner", "canvasHeight", "scale", "divider", "shift", "levels", ...GRADE_UNIFORMS];

export class WebGLPainter {
  /** Throws an Error if WebGL 2 is not available. */
  constructor(canvas) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.longestSide = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.prepare();
  }

  /** Create the program and the textures. Call this again when a lost context has been restored. */
  prepare() {
    const { gl } = this;
    const program = link(gl);
    gl.useProgram(program);
    gl.uniform1i(gl.getUniformLocation(program, "before"), 0);
    gl.uniform1i(gl.getUniformLocation(program, "after"), 1);
    this.uniform = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)]));
    gl.uniform1i(gl.getUniformLocation(program, "field"), 2);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.LINEAR);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    this.field = null;
    for (const unit of [gl.TEXTURE0, gl.TEXTURE1]) {
      gl.activeTexture(unit);
      gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
      this.#upload(unit, new ImageData(1, 1));
    }
  }

  /** Load the photo, an ImageBitmap, and close it. */
  loadBefore(bitmap) {
    this.widths = [bitmap.width, this.widths?.[1] ?? 1];
    this.#upload(this.gl.TEXTURE0, bitmap);
    bitmap.close();
  }

  /** Load the network's answer, an ImageBitmap, and close it. */
  loadAfter(bitmap) {
    this.widths[1] = bitmap.width;
    this.#upload(this.gl.TEXTURE1, bitmap);
    bitmap.close();
  }

  /**
   * Paint. The view is {photo, scale, left, top}: the size of the photo, its scale, and its position in canvas pixels.
   * `grading` is as for `gradePixels`, or null to show the original. The answer is shown from the column `divider` on,
   * moved to the right by `shift` canvas pixels.
   */
  paint({ photo, scale, left, top }, grading, { divider, shift }) {
    const { gl, uniform } = this;
    const { width, height } = gl.canvas;
    gl.viewport(0, 0, width, height);
    gl.uniform2f(uniform.photoSize, photo.width, photo.height);
    gl.uniform2f(uniform.corner, left, top);
    gl.uniform1f(uniform.canvasHeight, height);
    gl.uniform1f(uniform.scale, scale);
    gl.uniform1f(uniform.divider, divider);
    gl.uniform1f(uniform.shift, shift);
    // Canvas pixels per bitmap pixel; a bitmap may be smaller than the photo.
    const dots = this.widths.map((pixels) => (scale * photo.width) / pixels);
    gl.uniform2f(uniform.levels, ...dots.map((dot) => -Math.log2(dot)));
    const numbers = uniforms(grading ?? UNCHANGED);
    for (const name of GRADE_UNIFORMS) gl.uniform1f(uniform[name], numbers[name]);
    if (grading?.field && grading.field !== this.field) this.#uploadField(grading.field);
    dots.forEach((dot, unit) => {
      gl.activeTexture(gl.TEXTURE0 + unit);
      // Zoomed in beyond actual size, individual pixels are to be visible.
      const magnify = scale >= 2 && dot === scale ? gl.NEAREST : gl.LINEAR;
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, magnify);
    });
    gl.drawArrays(gl.TRIANGLES, 0, 3);
  }

  #uploadField(field) {
    const { gl } = this;
    const { width, height, values } = field;
    gl.activeTexture(gl.TEXTURE2);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RG16F, width, height, 0, gl.RG, gl.FLOAT, values);
    this.field = field;
  }

  #upload(unit, pixels) {
    const { gl } = this;
    gl.activeTexture(unit);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.generateMipmap(gl.TEXTURE_2D);
  }
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, VERTICES],
    [gl.FRAGMENT_SHADER, FRAGMENTS],
  ]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "no program");
  return program;
}
