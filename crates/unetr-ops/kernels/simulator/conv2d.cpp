#include "simulator.hpp"

#include "../conv2d.cu"

// Maps of one batch, their values as the type holds them.
template <typename T> struct Values {
    std::vector<T> stored;
    std::vector<float> exact;
    explicit Values(size_t count) : exact(numbers(count)) {
        for (float &x : exact) {
            stored.push_back(from_float<T>(x));
            x = to_float(stored.back());
        }
    }
};

// A convolution of the concatenation of two maps, and the gradient of its weight.
template <typename T, int KERNEL> void check(const char *name, double bound) {
    constexpr int images = 2, height = 9, width = 21, outputs = 32, first = 16, second = 32, taps = KERNEL * KERNEL;
    constexpr int inputs = first + second, pixels = height * width;
    const Values<T> x(images * pixels * first), more(images * pixels * second), grads(images * pixels * outputs);
    const Values<T> weight(taps * outputs * inputs);
    auto at = [&](int image, int y, int x_, int channel) -> double {
        if (y < 0 || y >= height || x_ < 0 || x_ >= width) return 0;
        const long pixel = (image * height + y) * width + x_;
        return channel < first ? x.exact[pixel * first + channel] : more.exact[pixel * second + channel - first];
    };
    char what[99];

    std::vector<T> ys(images * pixels * outputs, from_float<T>(NAN));
    launch({(height + 7) / 8 * ((width + 15) / 16), images, outputs / 16}, {128}, [&] {
        conv2d<T, KERNEL, 16>(x.stored.data(), first, more.stored.data(), second, weight.stored.data(),
                              outputs * inputs, inputs, ys.data(), height, width, outputs, 0);
    });
    snprintf(what, sizeof what, "conv2d %dx%d %s", KERNEL, KERNEL, name);
    compare(what, ys.size(), bound, [&](size_t i) {
        const int output = i % outputs, pixel = i / outputs % pixels, image = i / outputs / pixels;
        double sum = 0;
        for (int tap = 0; tap < taps; tap++)
            for (int c = 0; c < inputs; c++)
                sum += weight.exact[(tap * outputs + output) * inputs + c] *
                       at(image, pixel / width + tap / KERNEL - KERNEL / 2, pixel % width + tap % KERNEL - KERNEL / 2, c);
        return std::pair<double, double>(to_float(ys[i]), sum);
    });

    constexpr int parts = 3;
    std::vector<float> partial(parts * taps * outputs * inputs, NAN);
    launch({parts, outputs / 16, inputs / 16}, {128}, [&] {
        conv2d_weight<T, KERNEL>(grads.stored.data(), outputs, x.stored.data(), first, more.stored.data(), second,
                                 partial.data(), images, height, width);
    });
    snprintf(what, sizeof what, "conv2d_weight %dx%d %s", KERNEL, KERNEL, name);
    compare(what, taps * outputs * inputs, bound, [&](size_t i) {
        const int c = i % inputs, output = i / inputs % outputs, tap = i / inputs / outputs;
        double sum = 0, found = 0;
        for (int image = 0; image < images; image++)
            for (int pixel = 0; pixel < pixels; pixel++)
                sum += grads.exact[(image * pixels + pixel) * outputs + output] *
                       at(image, pixel / width + tap / KERNEL - KERNEL / 2, pixel % width + tap % KERNEL - KERNEL / 2, c);
        for (int part = 0; part < parts; part++) found += partial[part * taps * outputs * inputs + i];
        return std::pair(found, sum);
    });
}

int main() {
    check<float, 3>("f32", 1e-5);
    check<bf16, 3>("bf16", 4e-3);
    check<f16, 1>("f16", 1e-3);
    return failures != 0;
}
