// The kernels of step.cu as functions of the processor; see shim.h.
#include "step.cu"

extern "C" void emulate_train(int blocks, real* theta, real* m, real* v, const double* hp, int64_t* step, int64_t* dead, int chunk,
                              const void* inputs, const void* targets, int64_t count, real* arena, int64_t* done, int64_t ticket) {
    launch(blocks, THREADS, SHARED, [=] { train(theta, m, v, hp, step, dead, chunk, inputs, targets, count, arena, done, ticket); });
}
extern "C" void emulate_evaluate(int blocks, const real* theta, const double* hp, const int64_t* which, const void* inputs, const void* targets,
                                 int64_t count, int64_t K, const double* weight, double* loss, double* correct, real* arena, int64_t* done,
                                 int64_t ticket) {
    launch(blocks, THREADS, SHARED, [=] { evaluate(theta, hp, which, inputs, targets, count, K, weight, loss, correct, arena, done, ticket); });
}
extern "C" void emulate_gradient(const real* theta, const double* hp, const void* inputs, const real* dz, real* z, real* grad, real* arena) {
    launch(1, THREADS, SHARED, [=] { gradient(theta, hp, inputs, dz, z, grad, arena); });
}
extern "C" void emulate_numbers(int* out) {
    for (int i = 0; i < 3; i++) out[i] = numbers[i];
}
