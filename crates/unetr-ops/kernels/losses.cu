// Losses of class scores [images, classes, pixels] in f32, and the sums that they are functions of. A
// thread adds up a few pixels in f32, everything else is added up in double, in a fixed order.
#include "pixels.cuh"

// The softmax of a pixel's scores, which are a plane apart. Up to N classes stay in registers; where N
// is 0 they are read again.
template <int N> struct Softmax {
    const float *scores;
    int plane, classes;
    float largest, inverse, log_total;
    float score[N > 0 ? N : 1], exponential[N > 0 ? N : 1];

    template <typename F> __device__ __forceinline__ void each(F f) const {
        if constexpr (N > 0) {
#pragma unroll
            for (int k = 0; k < N; k++)
                if (k < classes) f(k);
        } else {
            for (int k = 0; k < classes; k++) f(k);
        }
    }

    __device__ __forceinline__ Softmax(const float *scores, int plane, int classes)
        : scores(scores), plane(plane), classes(classes), largest(-INFINITY) {
        if constexpr (N > 0) each([&](int k) { score[k] = scores[k * plane]; });
        each([&](int k) { largest = fmaxf(largest, score_of(k)); });
        float total = 0.f;
        each([&](int k) {
            const float e = expf(score_of(k) - largest);
            if constexpr (N > 0) exponential[k] = e;
            total += e;
        });
        inverse = 1.f / total;
        log_total = logf(total);
    }

    // Of a class that `each` counts, not one that is only known while the kernel runs.
    __device__ __forceinline__ float score_of(int k) const {
        if constexpr (N > 0) return score[k];
        return scores[k * plane];
    }

    __device__ __forceinline__ float p(int k) const {
        if constexpr (N > 0) return exponential[k] * inverse;
        return at(k);
    }

    // The probability of any class.
    __device__ __forceinline__ float at(int k) const { return expf(scores[k * plane] - largest) * inverse; }

    // -log p of any class. In this order nothing cancels where it has the highest score.
    __device__ __forceinline__ float loss(int k) const { return log_total + (largest - scores[k * plane]); }
};

// The sums of S numbers over a block, in to[0], to[step], …
template <int S, typename T> __device__ __forceinline__ void block_sums(const T (&sums)[S], double *to, long step) {
    __shared__ double shared[S][THREADS / 32];
    __syncthreads();
#pragma unroll
    for (int s = 0; s < S; s++) {
        double sum = sums[s];
#pragma unroll
        for (int lane = 16; lane > 0; lane >>= 1) sum += __shfl_xor_sync(~0u, sum, lane);
        if (threadIdx.x % 32 == 0) shared[s][threadIdx.x / 32] = sum;
    }
    __syncthreads();
    if (threadIdx.x < S) {
        double sum = 0;
        for (int warp = 0; warp < THREADS / 32; warp++) sum += shared[threadIdx.x][warp];
        to[threadIdx.x * step] = sum;
    }
}

// Which losses are asked for; each has a slope, by which its gradient is multiplied.
constexpr int CROSS_ENTROPY = 1, JACCARD = 2, FOCAL = 4;

// Of the pixels that count: the weighted losses of the labels, their weights, the weighted losses of
// all classes, the probabilities of the labels, the focal losses, and how many there are; then how many
// labels are no class.
enum { LABELS, WEIGHTS, ALL, HITS, FOCUSED, VALID, STRAYS, SUMS };

struct Focus {
    float miss, power;
};

// 1 - p of the label and its power. The sum of the others: 1 - p would lose what is left where p is
// almost 1.
template <int N> __device__ __forceinline__ Focus focus(const Softmax<N> &softmax, int label, float gamma) {
    float miss = 0.f;
    softmax.each([&](int k) { miss += k == label ? 0.f : softmax.p(k); });
    miss = fmaxf(miss, 1.17549435e-38f);
    return {miss, expf(gamma * logf(miss))};
}

// Into partial [SUMS, blocks].
template <int N>
__device__ void loss_sums(const float *logits, const void *labels, const float *weights, double *partial, int bytes,
                          int terms, float smoothing, float gamma, int chunks, int pixels, int classes, long ignore) {
    const Place at = place(chunks);
    float sums[SUMS] = {};
    for (int pixel = at.first, end = min(pixels, at.first + CHUNK); pixel < end; pixel += THREADS) {
        const Softmax<N> softmax(logits + (long)at.image * classes * pixels + pixel, pixels, classes);
        const int label = label_at(labels, bytes, (long)at.image * pixels + pixel, classes, ignore);
        if (label < 0) {
            sums[STRAYS] += label == STRAY ? 1.f : 0.f;
            continue;
        }
        const float weight = weights ? weights[label] : 1.f, loss = softmax.loss(label);
        sums[VALID] += 1.f;
        sums[LABELS] += weight * loss;
        sums[WEIGHTS] += weight;
        if (smoothing > 0.f) {
            float all = 0.f;
            softmax.each([&](int k) {
                all += (weights ? weights[k] : 1.f) * (softmax.log_total + (softmax.largest - softmax.score_of(k)));
            });
            sums[ALL] += all;
        }
        if (terms & JACCARD) sums[HITS] += softmax.at(label);
        if (terms & FOCAL) sums[FOCUSED] += weight * loss * focus(softmax, label, gamma).power;
    }
    block_sums(sums, partial + blockIdx.x, gridDim.x);
}

// The losses asked for, one after the other, and the slopes of all three. One block.
extern "C" __global__ void loss_totals(const double *partial, float *losses, float *slopes, int terms, int blocks,
                                       int classes, float smoothing) {
    __shared__ double totals[SUMS];
    double sums[SUMS] = {};
    for (int block = threadIdx.x; block < blocks; block += THREADS)
        for (int s = 0; s < SUMS; s++) sums[s] += partial[(long)s * blocks + block];
    block_sums(sums, totals, 1);
    __syncthreads();
    if (threadIdx.x > 0) return;
    const double share = (double)smoothing / classes, valid = totals[VALID], hits = totals[HITS];
    // p + y - p·y is 1 where y is 1 and p elsewhere.
    const double all = 2. * valid - hits + 1e-8 * valid * classes;
    const double weight = totals[WEIGHTS];
    const double cross_entropy = (1. - smoothing) * totals[LABELS] + share * totals[ALL];
    const double wrong = totals[STRAYS] > 0. ? NAN : 0.;
    if (terms & CROSS_ENTROPY) *losses++ = wrong + (weight > 0. ? cross_entropy / weight : 0.);
    if (terms & JACCARD) *losses++ = wrong + (valid > 0. ? 1. - hits / all : 0.);
    if (terms & FOCAL) *losses = wrong + (valid > 0. ? totals[FOCUSED] / valid : 0.);
    slopes[0] = wrong + (weight > 0. ? 1. / weight : 0.);
    slopes[1] = wrong - (valid > 0. ? (1. + hits / all) / all : 0.);
    slopes[2] = wrong + (valid > 0. ? 1. / valid : 0.);
}

// With p the softmax, y the label, w its weight, v that of a class, V the sum of all, h and q = 1 - h of
// the label, and s the smoothing, the gradients are, times the slopes:
// cross entropy  (1 - s)·w·(p - y) + s/classes·(V·p - v)
// Jaccard        p·(y - h)
// focal          w·(gamma·h·q^(gamma - 1)·-log h + q^gamma)·(p - y)
template <int N>
__device__ void loss_gradient(const float *logits, const void *labels, const float *weights, const float *slopes,
                              const float *grads, float *x_grads, int bytes, int terms, float smoothing, float gamma,
                              float all_weights, int chunks, int pixels, int classes, long ignore) {
    const Place at = place(chunks);
    const float cross_entropy = terms & CROSS_ENTROPY ? slopes[0] * *grads++ : 0.f;
    const float jaccard = terms & JACCARD ? slopes[1] * *grads++ : 0.f;
    const float focal = terms & FOCAL ? slopes[2] * *grads : 0.f;
    const float smoothed = cross_entropy * smoothing / classes;
    for (int pixel = at.first, end = min(pixels, at.first + CHUNK); pixel < end; pixel += THREADS) {
        const long start = (long)at.image * classes * pixels + pixel;
        const Softmax<N> softmax(logits + start, pixels, classes);
        const int label = label_at(labels, bytes, (long)at.image * pixels + pixel, classes, ignore);
        float *to = x_grads + start;
        if (label < 0) {
            softmax.each([&](int k) { to[k * pixels] = 0.f; });
            continue;
        }
        const float weight = weights ? weights[label] : 1.f, hit = softmax.at(label);
        float of_label = (1.f - smoothing) * cross_entropy * weight;
        if (terms & FOCAL) {
            const Focus focused = focus(softmax, label, gamma);
            of_label += focal * weight * focused.power * (gamma * hit * softmax.loss(label) / focused.miss + 1.f);
        }
        const float of_all = of_label + smoothed * all_weights;
        softmax.each([&](int k) {
            const float y = k == label ? 1.f : 0.f;
            to[k * pixels] = softmax.p(k) * (of_all + jaccard * (y - hit)) - y * of_label
                             - smoothed * (weights ? weights[k] : 1.f);
        });
    }
}

// Class by class the probabilities of the labels, all probabilities, and how many labels there are, then
// how many labels are no class: partial [blocks, 3 · classes + 1].
extern "C" __global__ void soft_count_sums(const float *logits, const void *labels, double *partial, int bytes,
                                           int chunks, int pixels, int classes, long ignore) {
    const Place at = place(chunks);
    const float *image = logits + (long)at.image * classes * pixels;
    double *to = partial + (long)blockIdx.x * (3 * classes + 1);
    // Every thread reads what it has written.
    __shared__ float largest[CHUNK], inverse[CHUNK];
    __shared__ int label[CHUNK];
    const int end = min(pixels, at.first + CHUNK);
    float strays[1] = {};
    for (int pixel = at.first, i = threadIdx.x; pixel < end; pixel += THREADS, i += THREADS) {
        const Softmax<0> softmax(image + pixel, pixels, classes);
        label[i] = label_at(labels, bytes, (long)at.image * pixels + pixel, classes, ignore);
        largest[i] = softmax.largest;
        inverse[i] = softmax.inverse;
        strays[0] += label[i] == STRAY ? 1.f : 0.f;
    }
    for (int k = 0; k < classes; k++) {
        float sums[3] = {};
        for (int pixel = at.first, i = threadIdx.x; pixel < end; pixel += THREADS, i += THREADS) {
            if (label[i] < 0) continue;
            const float p = expf(image[k * pixels + pixel] - largest[i]) * inverse[i];
            sums[1] += p;
            if (label[i] != k) continue;
            sums[0] += p;
            sums[2] += 1.f;
        }
        block_sums(sums, to + k, classes);
    }
    block_sums(strays, to + 3 * classes, 1);
}

// Adds up the blocks of every image: counts [3, images, classes]. A warp has one count.
extern "C" __global__ void soft_count_totals(const double *partial, float *counts, int images, int chunks, int classes) {
    const int cell = blockIdx.x * blockDim.y + threadIdx.y;
    if (cell >= 3 * images * classes) return;
    const int column = cell / (images * classes) * classes + cell % classes, image = cell / classes % images;
    double sum = 0, strays = 0;
    for (int chunk = threadIdx.x; chunk < chunks; chunk += 32) {
        const double *row = partial + ((long)image * chunks + chunk) * (3 * classes + 1);
        sum += row[column];
        strays += row[3 * classes];
    }
#pragma unroll
    for (int lane = 16; lane > 0; lane >>= 1) {
        sum += __shfl_xor_sync(~0u, sum, lane);
        strays += __shfl_xor_sync(~0u, strays, lane);
    }
    if (threadIdx.x == 0) counts[cell] = strays > 0. ? NAN : sum;
}

// ∂/∂p is that of the predicted pixels, and that of the hits more where the label is; the softmax
// subtracts its mean under p.
template <int N>
__device__ void soft_count_gradient(const float *logits, const void *labels, const float *grads, float *x_grads,
                                    int bytes, int images, int chunks, int pixels, int classes, long ignore) {
    const Place at = place(chunks);
    const float *of_hits = grads + (long)at.image * classes, *of_predicted = of_hits + (long)images * classes;
    for (int pixel = at.first, end = min(pixels, at.first + CHUNK); pixel < end; pixel += THREADS) {
        const long start = (long)at.image * classes * pixels + pixel;
        const Softmax<N> softmax(logits + start, pixels, classes);
        const int label = label_at(labels, bytes, (long)at.image * pixels + pixel, classes, ignore);
        float *to = x_grads + start;
        if (label < 0) {
            softmax.each([&](int k) { to[k * pixels] = 0.f; });
            continue;
        }
        const float of_hit = of_hits[label];
        float mean = softmax.at(label) * of_hit;
        softmax.each([&](int k) { mean += softmax.p(k) * of_predicted[k]; });
        softmax.each([&](int k) {
            to[k * pixels] = softmax.p(k) * (of_predicted[k] + (k == label ? of_hit : 0.f) - mean);
        });
    }
}

// Kernels for few classes, for some, and for any number.
#define FOR_CLASSES(N, NAME)                                                                                        \
    extern "C" __global__ void loss_sums_##NAME(const float *logits, const void *labels, const float *weights,      \
                                                double *partial, int bytes, int terms, float smoothing, float gamma, \
                                                int chunks, int pixels, int classes, long ignore) {                 \
        loss_sums<N>(logits, labels, weights, partial, bytes, terms, smoothing, gamma, chunks, pixels, classes,     \
                     ignore);                                                                                       \
    }                                                                                                               \
    extern "C" __global__ void loss_gradient_##NAME(                                                                \
        const float *logits, const void *labels, const float *weights, const float *slopes, const float *grads,     \
        float *x_grads, int bytes, int terms, float smoothing, float gamma, float all_weights, int chunks,          \
        int pixels, int classes, long ignore) {                                                                     \
        loss_gradient<N>(logits, labels, weights, slopes, grads, x_grads, bytes, terms, smoothing, gamma,           \
                         all_weights, chunks, pixels, classes, ignore);                                             \
    }                                                                                                               \
    extern "C" __global__ void soft_count_gradient_##NAME(const float *logits, const void *labels,                  \
                                                          const float *grads, float *x_grads, int bytes, int images, \
                                                          int chunks, int pixels, int classes, long ignore) {       \
        soft_count_gradient<N>(logits, labels, grads, x_grads, bytes, images, chunks, pixels, classes, ignore);     \
    }
FOR_CLASSES(4, few)
FOR_CLASSES(16, some)
FOR_CLASSES(0, any)
