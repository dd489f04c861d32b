// Updates of parameters in place, in f32.
#include "numbers.cuh"

// Adam (Kingma and Ba 2015) with decoupled decay; both corrections of the bias are 1 - beta^t.
extern "C" __global__ void adam(float *parameter, const float *gradient, float *mean, float *square, long count,
                                float learning_rate, float beta1, float beta2, float eps, float gradient_scale,
                                float decay, float correction1, float correction2) {
    for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (long)gridDim.x * blockDim.x) {
        const float g = gradient[i] * gradient_scale;
        const float m = beta1 * mean[i] + (1.f - beta1) * g;
        const float s = beta2 * square[i] + (1.f - beta2) * g * g;
        mean[i] = m;
        square[i] = s;
        const float step = m / correction1 / (sqrtf(s / correction2) + eps);
        parameter[i] -= learning_rate * (step + decay * parameter[i]);
    }
}

// average = decay · average + (1 - decay) · value
extern "C" __global__ void moving_average(float *average, const float *value, long count, float decay) {
    for (long i = (long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += (long)gridDim.x * blockDim.x)
        average[i] += (1.f - decay) * (value[i] - average[i]);
}
