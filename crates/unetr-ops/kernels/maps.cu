// How feature maps and weights are laid out: planes and channels last, patches, upsampling.
#include "numbers.cuh"

#define EACH(i, count) for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (long)gridDim.x * blockDim.x)

// [images, channels, pixels] of F to [images, pixels, padded] of T, zeros behind the channels.
template <typename F, typename T>
__device__ void channels_last(const F *xs, T *ys, int images, int channels, int pixels, int padded) {
    EACH(i, (long)images * pixels * padded) {
        const int channel = i % padded;
        const long rest = i / padded, image = rest / pixels, pixel = rest % pixels;
        ys[i] = channel < channels ? from_float<T>(to_float(xs[(image * channels + channel) * pixels + pixel]))
                                   : from_float<T>(0.f);
    }
}

// The way back, without what was padded.
template <typename F, typename T>
__device__ void planes(const F *xs, T *ys, int images, int channels, int pixels, int padded) {
    EACH(i, (long)images * channels * pixels) {
        const long pixel = i % pixels, rest = i / pixels, image = rest / channels, channel = rest % channels;
        ys[i] = from_float<T>(to_float(xs[(image * pixels + pixel) * padded + channel]));
    }
}

// A weight [outputs, inputs, taps] to [taps, outputs, padded]; with `flip` to [taps reversed, padded, outputs].
template <typename T>
__device__ void weight_taps(const float *xs, T *ys, int outputs, int inputs, int taps, int padded, int flip) {
    EACH(i, (long)taps * outputs * padded) {
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
    EACH(i, (long)outputs * inputs * taps) {
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
    EACH(i, (long)images * out_height * out_width * kernel * kernel * channels) {
        long rest = i;
        const int channel = rest % channels; rest /= channels;
        const int column = rest % kernel; rest /= kernel;
        const int row = rest % kernel; rest /= kernel;
        const int x = rest % out_width * stride + column - padding; rest /= out_width;
        const int y = rest % out_height * stride + row - padding;
        const long image = rest / out_height;
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        ys[i] = inside ? xs[((image * height + y) * width + x) * channels + channel] : from_float<T>(0.f);
    }
}

// [images, height, width, kernel, kernel, channels] to [images, height · kernel, width · kernel,
// channels], with a bias for each channel; or, with `back`, the way back.
template <typename T>
__device__ void shuffle(const T *xs, const float *bias, T *ys, int images, int height, int width, int kernel,
                        int channels, int back) {
    EACH(i, (long)images * height * width * kernel * kernel * channels) {
        long rest = i;
        const int channel = rest % channels; rest /= channels;
        const int column = rest % kernel; rest /= kernel;
        const int row = rest % kernel; rest /= kernel;
        const int x = rest % width; rest /= width;
        const int y = rest % height;
        const long image = rest / height;
        const long apart = ((image * height * kernel + y * kernel + row) * (width * kernel) + x * kernel + column) * channels + channel;
        const float value = to_float(xs[back ? apart : i]) + (bias ? bias[channel] : 0.f);
        ys[back ? i : apart] = from_float<T>(value);
    }
}

// Copies `count` channels of every pixel from one map into another.
template <typename T>
__device__ void copy_channels(const T *xs, T *ys, long pixels, int count, int from_width, int from, int to_width, int to) {
    EACH(i, pixels * count) {
        const long pixel = i / count;
        const int channel = i % count;
        ys[pixel * to_width + to + channel] = xs[pixel * from_width + from + channel];
    }
}

template <typename T> __device__ void add(const T *xs, const T *more, T *ys, long count) {
    EACH(i, count) ys[i] = from_float<T>(to_float(xs[i]) + to_float(more[i]));
}

template <typename F, typename T> __device__ void cast(const F *xs, T *ys, long count) {
    EACH(i, count) ys[i] = from_float<T>(to_float(xs[i]));
}

// Scores [images, classes, pixels] in f32: a matrix [classes, channels] and a bias at every pixel.
template <typename T>
__device__ void head(const T *xs, const float *weight, const float *bias, float *ys, int images, int pixels,
                     int channels, int classes) {
    EACH(i, (long)images * pixels) {
        const long image = i / pixels, pixel = i % pixels;
        const T *x = xs + i * channels;
        for (int k = 0; k < classes; k++) {
            float sum = bias ? bias[k] : 0.f;
            for (int c = 0; c < channels; c++) sum += to_float(x[c]) * weight[k * channels + c];
            ys[(image * classes + k) * pixels + pixel] = sum;
        }
    }
}

template <typename T>
__device__ void head_gradient(const float *grads, const float *weight, T *x_grads, int images, int pixels, int channels,
                              int classes) {
    EACH(i, (long)images * pixels) {
        const long image = i / pixels, pixel = i % pixels;
        for (int c = 0; c < channels; c++) {
            float sum = 0;
            for (int k = 0; k < classes; k++)
                sum += grads[(image * classes + k) * pixels + pixel] * weight[k * channels + c];
            x_grads[i * channels + c] = from_float<T>(sum);
        }
    }
}

// Parts of the gradient of the head's matrix and bias: [blocks, classes, channels + 1]. threadIdx.x is
// the channel, threadIdx.y counts pixels; at most MOST classes.
constexpr int MOST = 16;
template <typename T>
__device__ void head_weight(const float *grads, const T *xs, float *partial, int images, int pixels, int channels,
                            int classes) {
    extern __shared__ float shared[];
    const int channel = threadIdx.x, width = channels + 1;
    float sums[MOST] = {};
    const long all = (long)images * pixels, chunk = (all + gridDim.x - 1) / gridDim.x;
    const long last = min(all, (blockIdx.x + 1) * chunk);
    for (long i = blockIdx.x * chunk + threadIdx.y; i < last; i += blockDim.y) {
        const long image = i / pixels, pixel = i % pixels;
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
    extern "C" __global__ void cast_##F_NAME##_##T_NAME(const F *xs, T *ys, long count) { cast<F, T>(xs, ys, count); }
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
    extern "C" __global__ void shuffle_##NAME(const T *xs, const float *bias, T *ys, int images, int height, int width, \
                                              int kernel, int channels, int back) {                                     \
        shuffle<T>(xs, bias, ys, images, height, width, kernel, channels, back);                                        \
    }                                                                                                                   \
    extern "C" __global__ void copy_channels_##NAME(const T *xs, T *ys, long pixels, int count, int from_width,         \
                                                    int from, int to_width, int to) {                                   \
        copy_channels<T>(xs, ys, pixels, count, from_width, from, to_width, to);                                        \
    }                                                                                                                   \
    extern "C" __global__ void add_##NAME(const T *xs, const T *more, T *ys, long count) { add<T>(xs, more, ys, count); } \
    extern "C" __global__ void head_##NAME(const T *xs, const float *weight, const float *bias, float *ys, int images,  \
                                           int pixels, int channels, int classes) {                                     \
        head<T>(xs, weight, bias, ys, images, pixels, channels, classes);                                               \
    }                                                                                                                   \
    extern "C" __global__ void head_gradient_##NAME(const float *grads, const float *weight, T *x_grads, int images,    \
                                                    int pixels, int channels, int classes) {                            \
        head_gradient<T>(grads, weight, x_grads, images, pixels, channels, classes);                                    \
    }                                                                                                                   \
    extern "C" __global__ void head_weight_##NAME(const float *grads, const T *xs, float *partial, int images,          \
                                                  int pixels, int channels, int classes) {                              \
        head_weight<T>(grads, xs, partial, images, pixels, channels, classes);                                          \
    }
FOR_TYPE(float, f32)
FOR_TYPE(bf16, bf16)
FOR_TYPE(f16, f16)
