// Runs a CUDA kernel's source as C++: a block is THREADS real threads, a barrier a std::barrier, so that a thread sanitizer sees every
// pair of accesses that no barrier orders. One block after another. Warps of 32 have a barrier and a mailbox of their own.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
struct Index { int x; };
inline thread_local Index threadIdx, blockIdx;
inline std::unique_ptr<std::barrier<>> block_barrier;
inline std::vector<std::unique_ptr<std::barrier<>>> warp_barrier;
inline float mailbox[32][32];
inline void __syncthreads() { block_barrier->arrive_and_wait(); }
inline void __threadfence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
inline float __shfl_xor_sync(unsigned, float x, int mask) {
    const int w = threadIdx.x / 32, l = threadIdx.x % 32;
    mailbox[w][l] = x;
    warp_barrier[w]->arrive_and_wait();
    const float y = mailbox[w][l ^ mask];
    warp_barrier[w]->arrive_and_wait();
    return y;
}
using std::exp; using std::isfinite; using std::log; using std::log1p; using std::pow; using std::sqrt;
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __int_as_float(int x) {
    float y;
    std::memcpy(&y, &x, 4);
    return y;
}
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) int4 { int x, y, z, w; };
alignas(16) inline float dynamic_shared[1 << 18];
// A block whose threads return early must do so all together, as on a GPU.
template <class F> void launch(int blocks, int threads, int shared, F kernel) {
    for (int b = 0; b < blocks; b++) {
        block_barrier = std::make_unique<std::barrier<>>(threads);
        warp_barrier.clear();
        for (int w = 0; w * 32 < threads; w++) warp_barrier.push_back(std::make_unique<std::barrier<>>(32));
        for (int j = 0; j < shared; j++) dynamic_shared[j] = NAN;  // poison: what nobody wrote must not be read
        std::vector<std::thread> all;
        for (int t = 0; t < threads; t++) all.emplace_back([=] { threadIdx.x = t; blockIdx.x = b; kernel(); });
        for (auto& t : all) t.join();
    }
}
