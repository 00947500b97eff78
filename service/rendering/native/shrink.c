/* A picture made small, and the light of one that is. */
#include "kernels.h"

/* Pixels whose columns are added up at a time. */
#define SPAN 512

/* Three channels, and one value of the next pixel: a vector that may lie anywhere. */
typedef float Pixel __attribute__((vector_size(16), aligned(4), may_alias));

/* sums += share * codes, value by value. */
#define ADD_ROW(name, Code)                                                                       \
    static void name(const Code *restrict codes, float share, int64_t values, float *restrict sums) { \
        for (int64_t j = 0; j < values; j++) sums[j] += share * (float)codes[j];                  \
    }
ADD_ROW(add_row, uint8_t)
ADD_ROW(add_deep_row, uint16_t)

/* The same for what alpha lets through, and the sums of alpha itself. */
#define ADD_VISIBLE_ROW(name, Code)                                                                            \
    static void name(const Code *restrict codes, const Code *restrict alpha, float share, int64_t pixels,      \
                     float *restrict sums, float *restrict alpha_sums) {                                       \
        for (int64_t x = 0; x < pixels; x++) {                                                                 \
            float visible = share * (float)alpha[x];                                                           \
            alpha_sums[x] += visible;                                                                          \
            sums[3 * x] += visible * (float)codes[3 * x];                                                      \
            sums[3 * x + 1] += visible * (float)codes[3 * x + 1];                                              \
            sums[3 * x + 2] += visible * (float)codes[3 * x + 2];                                              \
        }                                                                                                      \
    }
ADD_VISIBLE_ROW(add_visible_row, uint8_t)
ADD_VISIBLE_ROW(add_visible_deep_row, uint16_t)

/* Where the columns of a smaller picture lie, of which those from `column` on reach into [left, right). */
typedef struct {
    const int32_t *begins, *ends;
    const float *heads, *tails;
    int64_t column, columns, left, right;
} Cells;

/* Add up sums of columns under each pixel of a row: of colour, and where there is an alpha of that. */
INLINE void add_cells(const Cells *cells, const float *sums, const float *alpha_sums, float *mean, float *visible) {
    for (int64_t here = cells->column; here < cells->columns && cells->begins[here] < cells->right; here++) {
        int64_t begin = cells->begins[here], last = cells->ends[here] - 1;
        int64_t x = at_least(begin, cells->left), to = at_most(last, cells->right - 1), inner = at_most(to, last - 1);
        Pixel total = {mean[3 * here], mean[3 * here + 1], mean[3 * here + 2], 0};
        float through = alpha_sums ? visible[here] : 0;
        if (x == begin) {
            total += cells->heads[here] * *(const Pixel *)(sums + 3 * (x - cells->left));
            if (alpha_sums) through += cells->heads[here] * alpha_sums[x - cells->left];
            x++;
        }
        for (; x <= inner; x++) {
            total += *(const Pixel *)(sums + 3 * (x - cells->left));
            if (alpha_sums) through += alpha_sums[x - cells->left];
        }
        if (x == to && x == last) {
            total += cells->tails[here] * *(const Pixel *)(sums + 3 * (x - cells->left));
            if (alpha_sums) through += cells->tails[here] * alpha_sums[x - cells->left];
        }
        for (int c = 0; c < 3; c++) mean[3 * here + c] = total[c];
        if (alpha_sums) visible[here] = through;
    }
}

/* Average the pixels under each pixel of a smaller picture, exactly: partly covered ones count by their share.
 *
 * pixels   [height, width, 3], code values
 * alpha    the same type [height, width], or null for an opaque picture
 * edges    [rows + 1], borders of the small picture's rows in rows of the large one, from 0 to height
 * begins, ends   [columns], the columns [begin, end) of the large picture under each of the small one
 * heads, tails   [columns], how much of the first of them lies there, and of the last, if that is another
 * white    the largest code
 * colour   [rows, columns, 3], written: mean of the code values over white, times alpha's code where there is one
 * weight   [rows, columns], written: mean of alpha's codes over white, or 1
 */
KERNEL(shrink)
(const void *pixels, const void *alpha, int32_t deep, int64_t height, int64_t width, int64_t rows, int64_t columns,
 const double *edges, const int32_t *begins, const int32_t *ends, const float *heads, const float *tails, float white,
 float *colour, float *weight, int64_t *next) {
    float sums[3 * SPAN + 1], alpha_sums[SPAN];
    double stretch = (double)width / (double)columns;
    for (int64_t first; (first = take_strip(next)) < rows;) {
        for (int64_t row = first; row < at_most(first + STRIP, rows); row++) {
            double top = edges[row], bottom = edges[row + 1];
            int64_t start = (int64_t)top, stop = (int64_t)bottom;
            stop = at_most(stop + (bottom > (double)stop), height);
            float scale = (float)(1.0 / ((bottom - top) * stretch * (double)white));
            float *restrict mean = colour + 3 * row * columns, *restrict visible = weight + row * columns;
            for (int64_t j = 0; j < 3 * columns; j++) mean[j] = 0;
            for (int64_t j = 0; j < columns; j++) visible[j] = 0;
            int64_t column = 0;
            for (int64_t left = 0; left < width; left += SPAN) {
                int64_t right = at_most(left + SPAN, width), count = right - left;
                for (int64_t j = 0; j < 3 * count + 1; j++) sums[j] = 0;
                for (int64_t j = 0; j < count; j++) alpha_sums[j] = 0;
                for (int64_t y = start; y < stop; y++) {
                    double above = (double)y > top ? (double)y : top;
                    double below = (double)(y + 1) < bottom ? (double)(y + 1) : bottom;
                    float share = (float)(below - above);
                    int64_t at = y * width + left;
                    if (alpha == 0) {
                        if (deep)
                            add_deep_row((const uint16_t *)pixels + 3 * at, share, 3 * count, sums);
                        else
                            add_row((const uint8_t *)pixels + 3 * at, share, 3 * count, sums);
                    } else if (deep) {
                        add_visible_deep_row((const uint16_t *)pixels + 3 * at, (const uint16_t *)alpha + at, share,
                                             count, sums, alpha_sums);
                    } else {
                        add_visible_row((const uint8_t *)pixels + 3 * at, (const uint8_t *)alpha + at, share, count,
                                        sums, alpha_sums);
                    }
                }
                while (column < columns && ends[column] <= left) column++;
                Cells cells = {begins, ends, heads, tails, column, columns, left, right};
                if (alpha == 0)
                    add_cells(&cells, sums, 0, mean, 0);
                else
                    add_cells(&cells, sums, alpha_sums, mean, visible);
            }
            for (int64_t j = 0; j < 3 * columns; j++) mean[j] *= scale;
            for (int64_t j = 0; j < columns; j++) visible[j] = alpha == 0 ? 1 : scale * visible[j];
        }
    }
}

/* Add up the light of a picture.
 *
 * colour      [pixels, 3], code values from 0 to 1
 * weight      [pixels], how much each pixel counts
 * dark, lit   luminance up to which a pixel is wholly dark, and from which it is not dark at all
 * sums        [3], written: of the weights, of luminance and of darkness times weight
 */
KERNEL(add_light)
(const float *restrict colour, const float *restrict weight, int64_t pixels, float dark, float lit, double *sums) {
    double totals[3] = {0, 0, 0};
    for (int64_t start = 0; start < pixels; start += SPAN) {
        float visible = 0, light = 0, darkness = 0;
        for (int64_t x = start; x < at_most(start + SPAN, pixels); x++) {
            float luminance = RED * colour[3 * x] + GREEN * colour[3 * x + 1] + BLUE * colour[3 * x + 2];
            float part = limited((luminance - dark) / (lit - dark), 1);
            visible += weight[x];
            light += weight[x] * luminance;
            darkness += weight[x] * (1 - part * part * (3 - 2 * part));
        }
        totals[0] += visible;
        totals[1] += light;
        totals[2] += darkness;
    }
    for (int i = 0; i < 3; i++) sums[i] = totals[i];
}
