// What lies between the matrix products of a transformer block. Rows are tokens.
#include "numbers.cuh"

// A warp has a row of [rows, width]; statistics [rows, 2] are mean and 1 / deviation.
template <typename T, int N>
__device__ void layer_norm(const T *xs, const float *weight, const float *bias, T *ys, float *statistics, int rows,
                           int width, float eps) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x * N;
    if (row >= rows) return;
    const T *from = xs + (long)row * width;
    float x[N], sum = 0, squares = 0;
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, from + i);
#pragma unroll
        for (int k = 0; k < N; k++) sum += x[k];
    }
    const float mean = warp_sum(sum) / width;
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, from + i);
#pragma unroll
        for (int k = 0; k < N; k++) squares += (x[k] - mean) * (x[k] - mean);
    }
    const float inverse = rsqrtf(warp_sum(squares) / width + eps);
    for (int i = lane; i < width; i += 32 * N) {
        float w[N], b[N];
        load<T, N>(x, from + i);
        load<float, N>(w, weight + i);
        load<float, N>(b, bias + i);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] = (x[k] - mean) * inverse * w[k] + b[k];
        store<T, N>(ys + (long)row * width + i, x);
    }
    if (threadIdx.x == 0) {
        statistics[2 * row] = mean;
        statistics[2 * row + 1] = inverse;
    }
}
#define LAYER_NORM_PARAMETERS(T) \
    (const T *xs, const float *weight, const float *bias, T *ys, float *statistics, int rows, int width, float eps)
FOR_VECTORS(layer_norm, LAYER_NORM_PARAMETERS, (xs, weight, bias, ys, statistics, rows, width, eps))

// The gradient of the input, plus another one that comes around the normalisation.
template <typename T, int N>
__device__ void layer_norm_gradient(const T *grads, const T *xs, const float *weight, const float *statistics,
                                    const T *around, T *x_grads, int rows, int width) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x * N;
    if (row >= rows) return;
    const long start = (long)row * width;
    const float mean = statistics[2 * row], inverse = statistics[2 * row + 1];
    float x[N], g[N], w[N], sum = 0, product = 0;
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, xs + start + i);
        load<T, N>(g, grads + start + i);
        load<float, N>(w, weight + i);
#pragma unroll
        for (int k = 0; k < N; k++) {
            sum += g[k] * w[k];
            product += g[k] * w[k] * (x[k] - mean) * inverse;
        }
    }
    sum = warp_sum(sum) / width;
    product = warp_sum(product) / width;
    for (int i = lane; i < width; i += 32 * N) {
        float more[N] = {};
        load<T, N>(x, xs + start + i);
        load<T, N>(g, grads + start + i);
        load<float, N>(w, weight + i);
        if (around) load<T, N>(more, around + start + i);
#pragma unroll
        for (int k = 0; k < N; k++)
            x[k] = inverse * (g[k] * w[k] - sum - (x[k] - mean) * inverse * product) + more[k];
        store<T, N>(x_grads + start + i, x);
    }
}
#define LAYER_NORM_GRADIENT_PARAMETERS(T)                                                                        \
    (const T *grads, const T *xs, const float *weight, const float *statistics, const T *around, T *x_grads, int rows, \
     int width)
FOR_VECTORS(layer_norm_gradient, LAYER_NORM_GRADIENT_PARAMETERS, (grads, xs, weight, statistics, around, x_grads, rows, width))

// Column sums over a chunk of rows: [chunks, 2, width] of the gradient and of its product with the
// normalised input; without statistics of the gradient alone, [chunks, 1, width].
template <typename T, int N>
__device__ void column_sums(const T *grads, const T *xs, const float *statistics, float *partial, int rows, int width) {
    __shared__ float shared[8][32 * N + 1];
    const int column = (blockIdx.x * 32 + threadIdx.x) * N, kinds = statistics ? 2 : 1;
    const int chunk = (rows + gridDim.y - 1) / gridDim.y, last = min(rows, (int)(blockIdx.y + 1) * chunk);
    float sums[2][N] = {};
    if (column < width)
        for (int row = blockIdx.y * chunk + threadIdx.y; row < last; row += 8) {
            float g[N], x[N];
            load<T, N>(g, grads + (long)row * width + column);
            if (statistics) load<T, N>(x, xs + (long)row * width + column);
#pragma unroll
            for (int k = 0; k < N; k++) {
                sums[0][k] += g[k];
                if (statistics) sums[1][k] += g[k] * (x[k] - statistics[2 * row]) * statistics[2 * row + 1];
            }
        }
    for (int kind = 0; kind < kinds; kind++) {
        __syncthreads();
#pragma unroll
        for (int k = 0; k < N; k++) shared[threadIdx.y][threadIdx.x * N + k] = sums[kind][k];
        __syncthreads();
        for (int i = threadIdx.y * 32 + threadIdx.x; i < 32 * N; i += 256) {
            const int to = blockIdx.x * 32 * N + i;
            if (to >= width) continue;
            float total = 0;
#pragma unroll
            for (int y = 0; y < 8; y++) total += shared[y][i];
            partial[((long)blockIdx.y * kinds + kind) * width + to] = total;
        }
    }
}
#define COLUMN_SUMS_PARAMETERS(T) \
    (const T *grads, const T *xs, const float *statistics, float *partial, int rows, int width)
FOR_VECTORS(column_sums, COLUMN_SUMS_PARAMETERS, (grads, xs, statistics, partial, rows, width))

// Adds up the chunks of [chunks, kinds, width] to an array for each of at most two kinds. A warp has a
// column: its lanes have chunks.
extern "C" __global__ void column_totals(const float *partial, float *first, float *second, int chunks, int width) {
    const int kinds = second ? 2 : 1, i = blockIdx.x * blockDim.y + threadIdx.y;
    if (i >= kinds * width) return;
    float sum = 0;
    for (int c = threadIdx.x; c < chunks; c += 32) sum += partial[(long)c * kinds * width + i];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) (i < width ? first : second - width)[i] = sum;
}

// GELU by its definition, or by the approximation with tanh (Hendrycks and Gimpel 2016).
__device__ __forceinline__ float gelu(float x, int tanh_formula) {
    if (tanh_formula) return 0.5f * x * (1.f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
    return 0.5f * x * (1.f + erff(x * 0.7071067811865476f));
}

__device__ __forceinline__ float gelu_slope(float x, int tanh_formula) {
    if (tanh_formula) {
        const float t = tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x));
        return 0.5f * (1.f + t) + 0.5f * x * (1.f - t * t) * 0.7978845608028654f * (1.f + 3.f * 0.044715f * x * x);
    }
    return 0.5f * (1.f + erff(x * 0.7071067811865476f)) + x * 0.3989422804014327f * expf(-0.5f * x * x);
}

// gelu(x + bias)
template <typename T, int N>
__device__ void bias_gelu(const T *xs, const float *bias, T *ys, int rows, int width, int tanh_formula) {
    const unsigned vectors = (unsigned)rows * width / N;
    for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += gridDim.x * blockDim.x) {
        const unsigned at = v * N, column = at % width;
        float x[N];
        load<T, N>(x, xs + at);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] = gelu(x[k] + (bias ? bias[column + k] : 0.f), tanh_formula);
        store<T, N>(ys + at, x);
    }
}
#define BIAS_GELU_PARAMETERS(T) (const T *xs, const float *bias, T *ys, int rows, int width, int tanh_formula)
FOR_VECTORS(bias_gelu, BIAS_GELU_PARAMETERS, (xs, bias, ys, rows, width, tanh_formula))

template <typename T, int N>
__device__ void bias_gelu_gradient(const T *grads, const T *xs, const float *bias, T *x_grads, int rows, int width,
                                   int tanh_formula) {
    const unsigned vectors = (unsigned)rows * width / N;
    for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += gridDim.x * blockDim.x) {
        const unsigned at = v * N, column = at % width;
        float x[N], grad[N];
        load<T, N>(x, xs + at);
        load<T, N>(grad, grads + at);
#pragma unroll
        for (int k = 0; k < N; k++) grad[k] *= gelu_slope(x[k] + (bias ? bias[column + k] : 0.f), tanh_formula);
        store<T, N>(x_grads + at, grad);
    }
}
#define BIAS_GELU_GRADIENT_PARAMETERS(T) \
    (const T *grads, const T *xs, const float *bias, T *x_grads, int rows, int width, int tanh_formula)
FOR_VECTORS(bias_gelu_gradient, BIAS_GELU_GRADIENT_PARAMETERS, (grads, xs, bias, x_grads, rows, width, tanh_formula))

// x + bias + residual, either of which may be absent.
template <typename T, int N>
__device__ void bias_residual(const T *xs, const float *bias, const T *residual, T *ys, int rows, int width) {
    const unsigned vectors = (unsigned)rows * width / N;
    for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += gridDim.x * blockDim.x) {
        const unsigned at = v * N, column = at % width;
        float x[N], r[N];
        load<T, N>(x, xs + at);
        if (residual) load<T, N>(r, residual + at);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] += (bias ? bias[column + k] : 0.f) + (residual ? r[k] : 0.f);
        store<T, N>(ys + at, x);
    }
}
#define BIAS_RESIDUAL_PARAMETERS(T) \
    (const T *xs, const float *bias, const T *residual, T *ys, int rows, int width)
FOR_VECTORS(bias_residual, BIAS_RESIDUAL_PARAMETERS, (xs, bias, residual, ys, rows, width))

// From [batch, tokens, kinds, heads, size] to [kinds, batch, heads, tokens, size], with the bias
// [kinds, heads, size] added; or, with `back`, the way back.
template <typename T, int N>
__device__ void heads(const T *xs, const float *bias, T *ys, int batch, int tokens, int kinds, int heads, int size,
                      int back) {
    const unsigned vectors = (unsigned)batch * tokens * kinds * heads * size / N;
    for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < vectors; v += gridDim.x * blockDim.x) {
        const unsigned packed = v * N;
        unsigned rest = packed;
        const unsigned s = rest % size; rest /= size;
        const unsigned h = rest % heads; rest /= heads;
        const unsigned k = rest % kinds; rest /= kinds;
        const unsigned t = rest % tokens, b = rest / tokens;
        const unsigned apart = (((k * batch + b) * heads + h) * tokens + t) * size + s;
        float x[N];
        load<T, N>(x, xs + (back ? apart : packed));
        if (bias)
#pragma unroll
            for (int i = 0; i < N; i++) x[i] += bias[(k * heads + h) * size + s + i];
        store<T, N>(ys + (back ? packed : apart), x);
    }
}
#define HEADS_PARAMETERS(T) \
    (const T *xs, const float *bias, T *ys, int batch, int tokens, int kinds, int count, int size, int back)
FOR_VECTORS(heads, HEADS_PARAMETERS, (xs, bias, ys, batch, tokens, kinds, count, size, back))

// softmax(scale · x) of rows, in place. A warp has a row.
template <typename T, int N> __device__ void softmax(T *xs, int rows, int width, float scale) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x * N;
    if (row >= rows) return;
    T *at = xs + (long)row * width;
    float x[N], largest = -INFINITY, sum = 0;
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, at + i);
#pragma unroll
        for (int k = 0; k < N; k++) largest = fmaxf(largest, x[k]);
    }
    largest = warp_max(largest);
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, at + i);
#pragma unroll
        for (int k = 0; k < N; k++) sum += __expf((x[k] - largest) * scale);
    }
    const float share = 1.f / warp_sum(sum);
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(x, at + i);
#pragma unroll
        for (int k = 0; k < N; k++) x[k] = __expf((x[k] - largest) * scale) * share;
        store<T, N>(at + i, x);
    }
}
#define SOFTMAX_PARAMETERS(T) (T *xs, int rows, int width, float scale)
FOR_VECTORS(softmax, SOFTMAX_PARAMETERS, (xs, rows, width, scale))

// The gradient of the scaled scores from that of the softmax, in its place.
template <typename T, int N> __device__ void softmax_gradient(const T *ys, T *grads, int rows, int width, float scale) {
    const int row = blockIdx.x * blockDim.y + threadIdx.y, lane = threadIdx.x * N;
    if (row >= rows) return;
    const long start = (long)row * width;
    float y[N], g[N], sum = 0;
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(y, ys + start + i);
        load<T, N>(g, grads + start + i);
#pragma unroll
        for (int k = 0; k < N; k++) sum += y[k] * g[k];
    }
    sum = warp_sum(sum);
    for (int i = lane; i < width; i += 32 * N) {
        load<T, N>(y, ys + start + i);
        load<T, N>(g, grads + start + i);
#pragma unroll
        for (int k = 0; k < N; k++) g[k] = scale * y[k] * (g[k] - sum);
        store<T, N>(grads + start + i, g);
    }
}
#define SOFTMAX_GRADIENT_PARAMETERS(T) (const T *ys, T *grads, int rows, int width, float scale)
FOR_VECTORS(softmax_gradient, SOFTMAX_GRADIENT_PARAMETERS, (ys, grads, rows, width, scale))
