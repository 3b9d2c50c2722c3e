/* winograd_matrix: the constants of minimal filtering, made of its points (Toom 1963, Cook 1966).
 *
 * Outputs and filter are polynomials of degrees m - 1 and r - 1; their product, transposed, is what
 * a tile of m + r - 1 inputs needs. It is known by its values at as many points, infinity one of
 * them: filter and output matrix hold the points' powers, the input's those of Lagrange's basis. */
#include "winograd.h"

/* All but infinity, which is the last one. Six have products and powers that floats hold exactly,
 * and half of the error that 0, 1, -1, 2 and -2 bring. */
static const double most[MOST_POINTS - 1] = {0, 0.625, -0.625, 1.5, -1.5};
static const double few[FEW_POINTS - 1] = {0, 1, -1};

static const double *points_of(int points) { return points == FEW_POINTS ? few : most; }

static Matrix matrix_of(Arena *a, double *at, int rows, int cols)
{
	uint8_t *mask = NEWS(a, uint8_t, rows * cols);
	for (int i = 0; i < rows * cols; i++) mask[i] = at[i] != 0;
	return (Matrix){at, mask, rows, cols};
}

/* Row j: the coefficients of the product of (x - p) over all points p but the j-th. */
static Matrix input_matrix(Arena *a, int points)
{
	const double *point = points_of(points);
	double *at = NEWS(a, double, points *points);
	for (int j = 0; j < points; j++) {
		double *row = &at[j * points];
		int degree = 0;
		row[0] = 1;
		for (int k = 0; k < points - 1; k++) {
			if (k == j) continue;
			row[++degree] = 0;
			for (int d = degree; d > 0; d--) row[d] = row[d - 1] - point[k] * row[d];
			row[0] *= -point[k];
		}
	}
	return matrix_of(a, at, points, points);
}

/* Row j: the powers of the j-th point over the product of its distances to all others. `turned`:
 * taps from the last to the first. */
static Matrix filter_matrix(Arena *a, int points, int taps, bool turned)
{
	const double *point = points_of(points);
	double *at = NEWS(a, double, points *taps);
	for (int j = 0; j < points; j++) {
		double power = 1;
		for (int k = 0; k < points - 1 && j < points - 1; k++)
			if (k != j) power /= point[j] - point[k];
		for (int k = 0; k < taps; k++) {
			double value = j == points - 1 ? k == taps - 1 : power;
			at[j * taps + (turned ? taps - 1 - k : k)] = value;
			power *= point[MIN(j, points - 2)];
		}
	}
	return matrix_of(a, at, points, taps);
}

/* Row i: the i-th powers of the points; of infinity 0, but 1 in the last row. */
static Matrix output_matrix(Arena *a, int points, int m)
{
	const double *point = points_of(points);
	double *at = NEWS(a, double, m *points);
	for (int j = 0; j < points; j++) {
		double power = 1;
		for (int i = 0; i < m; i++) {
			at[i * points + j] = j == points - 1 ? i == m - 1 : power;
			power *= point[MIN(j, points - 2)];
		}
	}
	return matrix_of(a, at, m, points);
}

static Matrix transposed(Arena *a, Matrix m)
{
	double *at = NEWS(a, double, m.rows *m.cols);
	for (int i = 0; i < m.rows; i++)
		for (int j = 0; j < m.cols; j++) at[j * m.rows + i] = m.at[i * m.cols + j];
	return matrix_of(a, at, m.cols, m.rows);
}

Matrix winograd_make_matrix(Arena *a, MatrixKind kind, int points, int taps, bool turned)
{
	bool is_filter = kind == MATRIX_FILTER || kind == MATRIX_FILTER_BACK;
	if (kind == MATRIX_INPUT) return input_matrix(a, points);
	Matrix m = is_filter ? filter_matrix(a, points, taps, turned)
	                     : output_matrix(a, points, points + 1 - taps);
	return kind == MATRIX_FILTER_BACK || kind == MATRIX_OUTPUT_BACK ? transposed(a, m) : m;
}
