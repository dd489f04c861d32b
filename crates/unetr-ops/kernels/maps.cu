// How feature maps and weights are laid out: planes and channels last, patches, upsampling.
#include "numbers.cuh"

// Arrays have less than 2^31 elements.
#define EACH(i, count) for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (unsigned)(count); i += gridDim.x * blockDim.x)

// [images, channels, pixels] of F to [images, pixels, padded] of T, zeros behind the channels.
template <typename F, typename T>
__device__ void channels_last(const F *xs, T *ys, int images, int channels, int pixels, int padded) {
    EACH(i, images * pixels * padded) {
        const unsigned channel = i % padded;
        const unsigned rest = i / padded, image = rest / pixels, pixel = rest % pixels;
        ys[i] = channel < channels ? from_float<T>(to_float(xs[(image * channels + channel) * pixels + pixel]))
                                   : from_float<T>(0.f);
    }
}

// The way back, without what was padded.
template <typename F, typename T>
__device__ void planes(const F *xs, T *ys, int images, int channels, int pixels, int padded) {
    EACH(i, images * channels * pixels) {
        const unsigned pixel = i % pixels, rest = i / pixels, image = rest / channels, channel = rest % channels;
        ys[i] = from_float<T>(to_float(xs[(image * pixels + pixel) * padded + channel]));
    }
}

// A weight [outputs, inputs, taps] to [taps, outputs, padded]; with `flip` to [taps reversed, padded, outputs].
template <typename T>
__device__ void weight_taps(const float *xs, T *ys, int outputs, int inputs, int taps, int padded, int flip) {
    EACH(i, taps * outputs * padded) {
        const int last = i % (flip ? outputs : padded), middle = i / (flip ? outputs : padded) % (flip ? padded : outputs);
        const int tap = i / ((long)outputs * padded);
        const int output = flip ? last : middle, input = flip ? middle : last;
        const float x = input < inputs ? xs[((long)output * inputs + input) * taps + (flip ? taps - 1 - tap : tap)] : 0.f;
        ys[i] = from_float<T>(x);
    }
}

// Adds up [parts, taps, outputs, padded] to the gradient of a weight, [outputs, inputs, taps].
extern "C" __global__ void weight_totals(const float *xs, float *ys, int parts, int outputs, int inputs, int taps,
                                         int padded) {
    const long part = (long)taps * outputs * padded;
    EACH(i, outputs * inputs * taps) {
        const int tap = i % taps, input = i / taps % inputs, output = i / taps / inputs;
        const float *from = xs + ((long)tap * outputs + output) * padded + input;
        float sum = 0;
    #pragma unroll 8
        for (int p = 0; p < parts; p++) sum += from[p * part];
        ys[i] = sum;
    }
}

// What every output pixel of a convolution sees, from channels last: [pixels of some images, kernel,
// kernel, channels]. Also that of its gradient, whose steps are the stride.
template <typename T>
__device__ void patches(const T *xs, T *ys, int images, int channels, int height, int width, int out_height,
                        int out_width, int kernel, int stride, int padding) {
    EACH(i, images * out_height * out_width * kernel * kernel * channels) {
        unsigned rest = i;
        const unsigned channel = rest % channels; rest /= channels;
        const int column = rest % kernel; rest /= kernel;
        const int row = rest % kernel; rest /= kernel;
        const int x = int(rest % out_width) * stride + column - padding; rest /= out_width;
        const int y = int(rest % out_height) * stride + row - padding;
        const unsigned image = rest / out_height;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        ys[i] = inside ? xs[((image * height + y) * width + x) * channels + channel] : from_float<T>(0.f);
    }
}

// [images, height, width, kernel, kernel, channels] to [images, height · kernel, width · kernel,
// channels], with a bias for each channel; or, with `back`, the way back.
template <typename T, int N>
__device__ void shuffle(const T *xs, const float *bias, T *ys, int images, int height, int width, int kernel,
                        int channels, int back) {
    EACH(v, images * height * width * kernel * kernel * channels / N) {
        const unsigned i = v * N;
        unsigned rest = i;
        const unsigned channel = rest % channels; rest /= channels;
        const unsigned column = rest % kernel; rest /= kernel;
        const unsigned row = rest % kernel; rest /= kernel;
        const unsigned x = rest % width; rest /= width;
        const unsigned y = rest % height, image = rest / height;
        const unsigned apart = ((image * height * kernel + y * kernel + row) * (width * kernel) + x * kernel + column) * channels + channel;
        float value[N];
        load<T, N>(value, xs + (back ? apart : i));
        if (bias)
#pragma unroll
            for (int k = 0; k < N; k++) value[k] += bias[channel + k];
        store<T, N>(ys + (back ? i : apart), value);
    }
}
#define SHUFFLE_PARAMETERS(T) \
    (const T *xs, const float *bias, T *ys, int images, int height, int width, int kernel, int channels, int back)
FOR_VECTORS(shuffle, SHUFFLE_PARAMETERS, (xs, bias, ys, images, height, width, kernel, channels, back))

// Copies `count` channels of every pixel from one map into another.
template <typename T>
__device__ void copy_channels(const T *xs, T *ys, int pixels, int count, int from_width, int from, int to_width, int to) {
    EACH(i, pixels * count) {
        const unsigned pixel = i / count, channel = i % count;
        ys[pixel * to_width + to + channel] = xs[pixel * from_width + from + channel];
    }
}

template <typename T> __device__ void add(const T *xs, const T *more, T *ys, int count) {
    EACH(i, count) ys[i] = from_float<T>(to_float(xs[i]) + to_float(more[i]));
}

template <typename F, typename T> __device__ void cast(const F *xs, T *ys, int count) {
    EACH(i, count) ys[i] = from_float<T>(to_float(xs[i]));
}

// A head has at most so many classes.
constexpr int MOST = 16;

// Scores [images, classes, pixels] in f32: a matrix [classes, channels] and a bias at every pixel.
template <typename T, int N>
__device__ void head(const T *xs, const float *weight, const float *bias, float *ys, int images, int pixels,
                     int channels, int classes) {
    EACH(i, images * pixels) {
        const unsigned image = i / pixels, pixel = i % pixels;
        float sums[MOST];
#pragma unroll
        for (int k = 0; k < MOST; k++) sums[k] = bias && k < classes ? bias[k] : 0.f;
        for (int c = 0; c < channels; c += N) {
            float x[N];
            load<T, N>(x, xs + i * channels + c);
#pragma unroll
            for (int k = 0; k < MOST; k++)
                if (k < classes)
#pragma unroll
                    for (int n = 0; n < N; n++) sums[k] += x[n] * weight[k * channels + c + n];
        }
#pragma unroll
        for (int k = 0; k < MOST; k++)
            if (k < classes) ys[(image * classes + k) * pixels + pixel] = sums[k];
    }
}
#define HEAD_PARAMETERS(T)                                                                                         \
    (const T *xs, const float *weight, const float *bias, float *ys, int images, int pixels, int channels, int classes)
FOR_VECTORS(head, HEAD_PARAMETERS, (xs, weight, bias, ys, images, pixels, channels, classes))

template <typename T, int N>
__device__ void head_gradient(const float *grads, const float *weight, T *x_grads, int images, int pixels, int channels,
                              int classes) {
    EACH(i, images * pixels) {
        const unsigned image = i / pixels, pixel = i % pixels;
        float grad[MOST];
#pragma unroll
        for (int k = 0; k < MOST; k++) grad[k] = k < classes ? grads[(image * classes + k) * pixels + pixel] : 0.f;
        for (int c = 0; c < channels; c += N) {
            float x[N] = {};
#pragma unroll
            for (int k = 0; k < MOST; k++)
                if (k < classes)
#pragma unroll
                    for (int n = 0; n < N; n++) x[n] += grad[k] * weight[k * channels + c + n];
            store<T, N>(x_grads + i * channels + c, x);
        }
    }
}
#define HEAD_GRADIENT_PARAMETERS(T) \
    (const float *grads, const float *weight, T *x_grads, int images, int pixels, int channels, int classes)
FOR_VECTORS(head_gradient, HEAD_GRADIENT_PARAMETERS, (grads, weight, x_grads, images, pixels, channels, classes))

// Parts of the gradient of the head's matrix and bias: [blocks, classes, channels + 1]. threadIdx.x is
// the channel, threadIdx.y counts pixels.
template <typename T>
__device__ void head_weight(const float *grads, const T *xs, float *partial, int images, int pixels, int channels,
                            int classes) {
    SHARED(float, shared);
    const int channel = threadIdx.x, width = channels + 1;
    float sums[MOST] = {};
    const unsigned all = images * pixels, chunk = (all + gridDim.x - 1) / gridDim.x;
    const unsigned last = min(all, (blockIdx.x + 1) * chunk);
    for (unsigned i = blockIdx.x * chunk + threadIdx.y; i < last; i += blockDim.y) {
        const unsigned image = i / pixels, pixel = i % pixels;
        const float x = channel < channels ? to_float(xs[i * channels + channel]) : 1.f;
#pragma unroll
        for (int k = 0; k < MOST; k++)
            if (k < classes) sums[k] += grads[(image * classes + k) * pixels + pixel] * x;
    }
#pragma unroll
    for (int k = 0; k < MOST; k++) {
        if (k >= classes) break;
        __syncthreads();
        shared[threadIdx.y * width + channel] = sums[k];
        __syncthreads();
        if (threadIdx.y == 0) {
            float sum = 0;
            for (int y = 0; y < blockDim.y; y++) sum += shared[y * width + channel];
            partial[((long)blockIdx.x * classes + k) * width + channel] = sum;
        }
    }
}

#define FOR_PAIR(F, F_NAME, T, T_NAME)                                                                                  \
    extern "C" __global__ void channels_last_##F_NAME##_##T_NAME(const F *xs, T *ys, int images, int channels,          \
                                                                 int pixels, int padded) {                              \
        channels_last<F, T>(xs, ys, images, channels, pixels, padded);                                                  \
    }                                                                                                                   \
    extern "C" __global__ void planes_##F_NAME##_##T_NAME(const F *xs, T *ys, int images, int channels, int pixels,     \
                                                          int padded) {                                                 \
        planes<F, T>(xs, ys, images, channels, pixels, padded);                                                         \
    }                                                                                                                   \
    extern "C" __global__ void cast_##F_NAME##_##T_NAME(const F *xs, T *ys, int count) { cast<F, T>(xs, ys, count); }
#define FOR_TYPE(T, NAME)                                                                                               \
    FOR_PAIR(float, f32, T, NAME)                                                                                       \
    FOR_PAIR(bf16, bf16, T, NAME)                                                                                       \
    FOR_PAIR(f16, f16, T, NAME)                                                                                         \
    extern "C" __global__ void weight_taps_##NAME(const float *xs, T *ys, int outputs, int inputs, int taps,            \
                                                  int padded, int flip) {                                               \
        weight_taps<T>(xs, ys, outputs, inputs, taps, padded, flip);                                                    \
    }                                                                                                                   \
    extern "C" __global__ void patches_##NAME(const T *xs, T *ys, int images, int channels, int height, int width,      \
                                              int out_height, int out_width, int kernel, int stride, int padding) {     \
        patches<T>(xs, ys, images, channels, height, width, out_height, out_width, kernel, stride, padding);            \
    }                                                                                                                   \
    extern "C" __global__ void copy_channels_##NAME(const T *xs, T *ys, int pixels, int count, int from_width,          \
                                                    int from, int to_width, int to) {                                   \
        copy_channels<T>(xs, ys, pixels, count, from_width, from, to_width, to);                                        \
    }                                                                                                                   \
    extern "C" __global__ void add_##NAME(const T *xs, const T *more, T *ys, int count) { add<T>(xs, more, ys, count); } \
    extern "C" __global__ void head_weight_##NAME(const float *grads, const T *xs, float *partial, int images,          \
                                                  int pixels, int channels, int classes) {                              \
        head_weight<T>(grads, xs, partial, images, pixels, channels, classes);                                          \
    }
FOR_TYPE(float, f32)
FOR_TYPE(bf16, bf16)
FOR_TYPE(f16, f16)
