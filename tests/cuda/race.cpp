// Two steps of one model and its evaluation, for a thread sanitizer; see shim.h.
#include "emulate.cpp"
#include <cstdio>
#include <random>

int main() {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    std::vector<float> theta(P), m(P), v(P), arena(REST + 1, NAN), labels(40);
    for (auto& x : theta) x = .3f * normal(random);
    for (auto& y : labels) y = random() & 1;
    std::vector<int32_t> words(WORDS * 40), symbols(T * STREAMS * B), answers(S * HEADS * B);
    for (auto& w : words) w = random();
    for (auto& k : symbols) k = random() % I;
    double hp[HYPERS] = {1e-2, .1, 100, .9, .1, .999, 1, 1, 1, 1e-3, 0, 1, 40, T - S}, loss, right;
    int64_t step = 0, dead = 0, which = 1, done = 0;
    Source source = {};
    const std::vector<unsigned char> text(T + 64, 'b');
    source.seed = 3, source.stream = 2, source.types = STREAMS, source.cap = 2, source.data = text.data(), source.samples = 64;
    std::vector<double> weight(B, 1.);
    const void* train_on = DRAW < 0 ? (const void*)words.data() : &source;
    emulate_train(1, theta.data(), m.data(), v.data(), hp, &step, &dead, 2, train_on, labels.data(), 40, arena.data(), &done, 7);
    const void* inputs = INPUT == BITS ? (const void*)words.data() : symbols.data();
    const void* targets = INPUT == BITS ? (const void*)labels.data() : answers.data();
    emulate_evaluate(1, theta.data(), hp, &which, inputs, targets, 40, 1, weight.data(), &loss, &right, arena.data(), &done, 8);
    std::printf("%d %d %d %g\n", (int)step, (int)dead, (int)done, loss);
    return !(step == 2 && !dead && done == 8 && std::isfinite(loss));
}
