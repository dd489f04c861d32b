#include "simulator.hpp"

#include "../channel_norm.cu"

// A normalised map and a normalised shortcut behind a leaky ReLU, and all their gradients.
int main() {
    constexpr int images = 2, pixels = 37, channels = 12, chunks = 3, rows = 5, N = 4, count = images * pixels * channels;
    constexpr float eps = 1e-5f, slope = 0.1f;
    const Dim grid{chunks, images, 1}, block{channels / N, rows};
    const auto xs = numbers(count), rs = numbers(count), grads = numbers(count);
    const auto weight = numbers(channels), bias = numbers(channels), r_weight = numbers(channels), r_bias = numbers(channels);

    auto measure = [&](const std::vector<float> &map, const std::vector<float> &weight, const std::vector<float> &bias) {
        std::vector<float> partial(images * chunks * 2 * channels, NAN), statistics(4 * images * channels, NAN);
        launch(grid, block, [&] { norm_sums<float, N>(map.data(), partial.data(), pixels, channels); });
        launch({1}, {32}, [&] {
            norm_statistics<float>(map.data(), partial.data(), weight.data(), bias.data(), statistics.data(), images,
                                   chunks, pixels, channels, eps);
        });
        return statistics;
    };
    auto statistics = measure(xs, weight, bias), r_statistics = measure(rs, r_weight, r_bias);
    std::vector<float> ys(count, NAN), partial(images * chunks * 3 * channels, NAN), totals(images * 3 * channels, NAN);
    std::vector<float> summand(channels, NAN), factor(channels, NAN), r_factor(channels, NAN), dx(count, NAN), dr(count, NAN);
    launch(grid, block, [&] {
        norm_apply<float, N>(xs.data(), statistics.data(), rs.data(), r_statistics.data(), ys.data(), pixels, channels, slope);
    });
    launch(grid, block, [&] {
        norm_gradient_sums<float, N>(grads.data(), ys.data(), xs.data(), statistics.data(), rs.data(),
                                     r_statistics.data(), partial.data(), pixels, channels, slope);
    });
    launch({(images * 3 * channels + 7) / 8}, {32, 8}, [&] {
        norm_gradient_totals(partial.data(), totals.data(), images, chunks, channels);
    });
    launch({(3 * channels + 7) / 8}, {32, 8}, [&] {
        norm_gradient_parameters(totals.data(), summand.data(), factor.data(), r_factor.data(), images, channels);
    });
    launch(grid, block, [&] {
        norm_gradient_apply<float, N>(grads.data(), ys.data(), xs.data(), statistics.data(), rs.data(),
                                      r_statistics.data(), totals.data(), dx.data(), dr.data(), pixels, channels, slope);
    });

    // The same in double, by the definition.
    auto normed = [&](const std::vector<float> &map) {
        std::vector<double> all(count), inverse(images * channels);
        for (int image = 0; image < images; image++)
            for (int c = 0; c < channels; c++) {
                double mean = 0, square = 0;
                for (int p = 0; p < pixels; p++) mean += map[(image * pixels + p) * channels + c] / double(pixels);
                for (int p = 0; p < pixels; p++) square += pow(map[(image * pixels + p) * channels + c] - mean, 2) / pixels;
                inverse[image * channels + c] = 1 / sqrt(square + eps);
                for (int p = 0; p < pixels; p++) {
                    const int i = (image * pixels + p) * channels + c;
                    all[i] = (map[i] - mean) * inverse[image * channels + c];
                }
            }
        return std::pair(all, inverse);
    };
    const auto [x, x_inverse] = normed(xs);
    const auto [r, r_inverse] = normed(rs);
    std::vector<double> y(count), g(count);
    for (int i = 0; i < count; i++) {
        const int c = i % channels;
        y[i] = x[i] * weight[c] + bias[c] + r[i] * r_weight[c] + r_bias[c];
        g[i] = grads[i] * (y[i] > 0 ? 1 : slope);
    }
    auto gradient = [&](const std::vector<double> &x, const std::vector<double> &inverse, const std::vector<float> &weight, int i) {
        const int c = i % channels, image = i / channels / pixels;
        double mean = 0, product = 0;
        for (int p = 0; p < pixels; p++) {
            const int j = (image * pixels + p) * channels + c;
            mean += g[j] / pixels, product += g[j] * x[j] / pixels;
        }
        return weight[c] * inverse[image * channels + c] * (g[i] - mean - x[i] * product);
    };
    auto sum = [&](const std::vector<double> *factor, int c) {
        double total = 0;
        for (int i = c; i < count; i += channels) total += g[i] * (factor ? (*factor)[i] : 1);
        return total;
    };
    typedef std::pair<double, double> Pair;
    compare("norm_apply", count, 1e-5, [&](int i) { return Pair(ys[i], y[i] > 0 ? y[i] : slope * y[i]); });
    compare("gradient of the input", count, 1e-5, [&](int i) { return Pair(dx[i], gradient(x, x_inverse, weight, i)); });
    compare("gradient of the shortcut", count, 1e-5, [&](int i) { return Pair(dr[i], gradient(r, r_inverse, r_weight, i)); });
    compare("gradient of the summand", channels, 1e-5, [&](int c) { return Pair(summand[c], sum(nullptr, c)); });
    compare("gradient of the factor", channels, 1e-5, [&](int c) { return Pair(factor[c], sum(&x, c)); });
    compare("gradient of the shortcut's factor", channels, 1e-5, [&](int c) { return Pair(r_factor[c], sum(&r, c)); });
    return failures != 0;
}
