// Instance normalisation of feature maps with channels last, [images, pixels, channels], with the sum
// with a shortcut and the leaky ReLU that follow it. A thread has N channels of some pixels:
// threadIdx.x and blockIdx.z say which channels, threadIdx.y and blockIdx.x which pixels.
#include "numbers.cuh"

struct Place {
    int channel, first, last, step;
    bool inside;
};

template <int N> __device__ __forceinline__ Place place(int pixels, int channels) {
    Place p;
    p.channel = (blockIdx.z * blockDim.x + threadIdx.x) * N;
    p.inside = p.channel < channels;
    const int chunk = (pixels + gridDim.x - 1) / gridDim.x;
    p.first = blockIdx.x * chunk + threadIdx.y;
    p.last = min(pixels, (int)(blockIdx.x + 1) * chunk);
    p.step = blockDim.y;
    return p;
}

// Sums of S numbers for N channels over the rows of the block, into partial [images, chunks, S, channels].
template <int S, int N>
__device__ __forceinline__ void reduce(float (&sums)[S][N], float *partial, const Place &p, int channels) {
    SHARED(float, shared);
    float *mine = shared + (threadIdx.y * blockDim.x + threadIdx.x) * N;
    for (int s = 0; s < S; s++) {
        __syncthreads();
#pragma unroll
        for (int i = 0; i < N; i++) mine[i] = sums[s][i];
        for (int rows = blockDim.y; rows > 1;) {
            const int half = (rows + 1) / 2;
            __syncthreads();
            if (threadIdx.y < rows - half)
#pragma unroll
                for (int i = 0; i < N; i++) mine[i] += mine[half * blockDim.x * N + i];
            rows = half;
        }
        if (threadIdx.y == 0 && p.inside) {
            float *to = partial + (((long)blockIdx.y * gridDim.x + blockIdx.x) * S + s) * channels + p.channel;
#pragma unroll
            for (int i = 0; i < N; i++) to[i] = mine[i];
        }
    }
}

// Sums and sums of squares of what differs from an image's first pixel, which keeps both small.
template <typename T, int N>
__device__ void norm_sums(const T *xs, float *partial, int pixels, int channels) {
    const Place p = place<N>(pixels, channels);
    const T *image = xs + (long)blockIdx.y * pixels * channels + p.channel;
    float sums[2][N] = {};
    if (p.inside) {
        float shift[N];
        load<T, N>(shift, image);
        for (int i = p.first; i < p.last; i += p.step) {
            float x[N];
            load<T, N>(x, image + (long)i * channels);
#pragma unroll
            for (int k = 0; k < N; k++) {
                const float d = x[k] - shift[k];
                sums[0][k] += d;
                sums[1][k] += d * d;
            }
        }
    }
    reduce<2, N>(sums, partial, p, channels);
}
#define SUMS_PARAMETERS(T) (const T *xs, float *partial, int pixels, int channels)
FOR_VECTORS(norm_sums, SUMS_PARAMETERS, (xs, partial, pixels, channels))

// From sums to statistics [4, images, channels]: mean, 1 / deviation, and the factor and summand that
// normalise: x · factor + summand.
template <typename T>
__device__ void norm_statistics(const T *xs, const float *partial, const float *weight, const float *bias,
                                float *statistics, int images, int chunks, int pixels, int channels, float eps) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= images * channels) return;
    const int image = i / channels, channel = i % channels;
    float sum = 0, squares = 0;
    for (int c = 0; c < chunks; c++) {
        const float *from = partial + ((long)image * chunks + c) * 2 * channels + channel;
        sum += from[0];
        squares += from[channels];
    }
    const float shift = to_float(xs[(long)image * pixels * channels + channel]);
    const float mean = sum / pixels;
    const float variance = fmaxf(squares / pixels - mean * mean, 0.f);
    const float inverse = rsqrtf(variance + eps);
    const float factor = inverse * (weight ? weight[channel] : 1.f);
    const int all = images * channels;
    statistics[i] = mean + shift;
    statistics[all + i] = inverse;
    statistics[2 * all + i] = factor;
    statistics[3 * all + i] = (bias ? bias[channel] : 0.f) - (mean + shift) * factor;
}
#define STATISTICS(T, NAME)                                                                               \
    extern "C" __global__ void norm_statistics_##NAME(                                                    \
        const T *xs, const float *partial, const float *weight, const float *bias, float *statistics,     \
        int images, int chunks, int pixels, int channels, float eps) {                                    \
        norm_statistics<T>(xs, partial, weight, bias, statistics, images, chunks, pixels, channels, eps); \
    }
STATISTICS(float, f32)
STATISTICS(bf16, bf16)
STATISTICS(f16, f16)

// leaky(x · factor + summand + residual), where the residual may be normalised too.
template <typename T, int N>
__device__ void norm_apply(const T *xs, const float *statistics, const T *residual, const float *residual_statistics,
                           T *ys, int pixels, int channels, float slope) {
    const Place p = place<N>(pixels, channels);
    if (!p.inside) return;
    const long image = (long)blockIdx.y * pixels * channels + p.channel;
    const int all = gridDim.y * channels, i = blockIdx.y * channels + p.channel;
    float factor[N], summand[N], r_factor[N];
#pragma unroll
    for (int k = 0; k < N; k++) {
        factor[k] = statistics[2 * all + i + k];
        summand[k] = statistics[3 * all + i + k];
        r_factor[k] = 1.f;
        if (residual_statistics) {
            r_factor[k] = residual_statistics[2 * all + i + k];
            summand[k] += residual_statistics[3 * all + i + k];
        }
    }
    for (int j = p.first; j < p.last; j += p.step) {
        const long at = image + (long)j * channels;
        float x[N], r[N];
        load<T, N>(x, xs + at);
        if (residual) load<T, N>(r, residual + at);
#pragma unroll
        for (int k = 0; k < N; k++) {
            float value = x[k] * factor[k] + summand[k];
            if (residual) value += r[k] * r_factor[k];
            x[k] = value > 0.f ? value : slope * value;
        }
        store<T, N>(ys + at, x);
    }
}
#define APPLY_PARAMETERS(T)                                                                                     \
    (const T *xs, const float *statistics, const T *residual, const float *residual_statistics, T *ys, int pixels, \
     int channels, float slope)
FOR_VECTORS(norm_apply, APPLY_PARAMETERS, (xs, statistics, residual, residual_statistics, ys, pixels, channels, slope))

// The gradient after the activation, whose sign is that of the result, or without one of what is
// normalised. At 0 the derivative is 1.
__device__ __forceinline__ float gate(float grad, float sign, float slope) { return sign >= 0.f ? grad : slope * grad; }

// Sums over the pixels of the gradient, of its product with what is normalised, and of that with the
// normalised shortcut.
template <typename T, int N>
__device__ void norm_gradient_sums(const T *grads, const T *result, const T *xs, const float *statistics,
                                   const T *residual, const float *residual_statistics, float *partial, int pixels,
                                   int channels, float slope) {
    const Place p = place<N>(pixels, channels);
    const long image = (long)blockIdx.y * pixels * channels + p.channel;
    const int all = gridDim.y * channels, i = blockIdx.y * channels + p.channel;
    float sums[3][N] = {};
    if (p.inside) {
        float mean[N], inverse[N], factor[N], summand[N], r_mean[N], r_inverse[N];
#pragma unroll
        for (int k = 0; k < N; k++) {
            mean[k] = statistics[i + k];
            inverse[k] = statistics[all + i + k];
            factor[k] = statistics[2 * all + i + k];
            summand[k] = statistics[3 * all + i + k];
            r_mean[k] = residual_statistics ? residual_statistics[i + k] : 0.f;
            r_inverse[k] = residual_statistics ? residual_statistics[all + i + k] : 0.f;
        }
        for (int j = p.first; j < p.last; j += p.step) {
            const long at = image + (long)j * channels;
            float grad[N], x[N], y[N], r[N];
            load<T, N>(grad, grads + at);
            load<T, N>(x, xs + at);
            if (result) load<T, N>(y, result + at);
            if (residual_statistics) load<T, N>(r, residual + at);
#pragma unroll
            for (int k = 0; k < N; k++) {
                const float sign = result ? y[k] : x[k] * factor[k] + summand[k];
                const float g = gate(grad[k], sign, slope);
                sums[0][k] += g;
                sums[1][k] += g * (x[k] - mean[k]) * inverse[k];
                if (residual_statistics) sums[2][k] += g * (r[k] - r_mean[k]) * r_inverse[k];
            }
        }
    }
    reduce<3, N>(sums, partial, p, channels);
}
#define GRADIENT_SUMS_PARAMETERS(T)                                                                              \
    (const T *grads, const T *result, const T *xs, const float *statistics, const T *residual,                   \
     const float *residual_statistics, float *partial, int pixels, int channels, float slope)
FOR_VECTORS(norm_gradient_sums, GRADIENT_SUMS_PARAMETERS,
            (grads, result, xs, statistics, residual, residual_statistics, partial, pixels, channels, slope))

// Adds up the chunks: [images, chunks, 3, channels] to [images, 3, channels]. A warp has a sum.
extern "C" __global__ void norm_gradient_totals(const float *partial, float *totals, int images, int chunks,
                                                int channels) {
    const int i = blockIdx.x * blockDim.y + threadIdx.y, width = 3 * channels;
    if (i >= images * width) return;
    const float *from = partial + (long)(i / width) * chunks * width + i % width;
    float sum = 0;
    for (int c = threadIdx.x; c < chunks; c += 32) sum += from[(long)c * width];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) totals[i] = sum;
}

// Adds up the images: the gradients of the summand, of the factor, and of the shortcut's factor. A warp
// has a sum.
extern "C" __global__ void norm_gradient_parameters(const float *totals, float *summand, float *factor, float *shortcut,
                                                    int images, int channels) {
    const int i = blockIdx.x * blockDim.y + threadIdx.y, width = 3 * channels;
    if (i >= width) return;
    float sum = 0;
    for (int image = threadIdx.x; image < images; image += 32) sum += totals[(long)image * width + i];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) (i < channels ? summand : i < 2 * channels ? factor : shortcut)[i % channels] = sum;
}

// The gradients of what is normalised and of the shortcut: normalised too, or added as it is.
template <typename T, int N>
__device__ void norm_gradient_apply(const T *grads, const T *result, const T *xs, const float *statistics,
                                    const T *residual, const float *residual_statistics, const float *totals,
                                    T *x_grads, T *residual_grads, int pixels, int channels, float slope) {
    const Place p = place<N>(pixels, channels);
    if (!p.inside) return;
    const long image = (long)blockIdx.y * pixels * channels + p.channel;
    const int all = gridDim.y * channels, i = blockIdx.y * channels + p.channel;
    const float share = 1.f / pixels;
    // The gradient is g · factor + x · of_x + rest, and alike for the shortcut.
    float factor[N], summand[N], of_x[N], rest[N], r_factor[N], of_r[N], r_rest[N];
#pragma unroll
    for (int k = 0; k < N; k++) {
        const float *total = totals + (long)blockIdx.y * 3 * channels + p.channel + k;
        const float mean = total[0] * share;
        factor[k] = statistics[2 * all + i + k];
        summand[k] = statistics[3 * all + i + k];
        of_x[k] = -factor[k] * statistics[all + i + k] * total[channels] * share;
        rest[k] = -factor[k] * mean - of_x[k] * statistics[i + k];
        if (residual_statistics) {
            r_factor[k] = residual_statistics[2 * all + i + k];
            of_r[k] = -r_factor[k] * residual_statistics[all + i + k] * total[2 * channels] * share;
            r_rest[k] = -r_factor[k] * mean - of_r[k] * residual_statistics[i + k];
        } else {
            r_factor[k] = 1.f;
            of_r[k] = r_rest[k] = 0.f;
        }
    }
    for (int j = p.first; j < p.last; j += p.step) {
        const long at = image + (long)j * channels;
        float grad[N], x[N], y[N], r[N] = {};
        load<T, N>(grad, grads + at);
        load<T, N>(x, xs + at);
        if (result) load<T, N>(y, result + at);
        if (residual_statistics) load<T, N>(r, residual + at);
#pragma unroll
        for (int k = 0; k < N; k++) {
            const float sign = result ? y[k] : x[k] * factor[k] + summand[k];
            const float g = gate(grad[k], sign, slope);
            x[k] = g * factor[k] + x[k] * of_x[k] + rest[k];
            r[k] = g * r_factor[k] + r[k] * of_r[k] + r_rest[k];
        }
        store<T, N>(x_grads + at, x);
        if (residual_grads) store<T, N>(residual_grads + at, r);
    }
}
#define GRADIENT_APPLY_PARAMETERS(T)                                                                            \
    (const T *grads, const T *result, const T *xs, const float *statistics, const T *residual,                  \
     const float *residual_statistics, const float *totals, T *x_grads, T *residual_grads, int pixels,         \
     int channels, float slope)
FOR_VECTORS(norm_gradient_apply, GRADIENT_APPLY_PARAMETERS,
            (grads, result, xs, statistics, residual, residual_statistics, totals, x_grads, residual_grads, pixels,
             channels, slope))
