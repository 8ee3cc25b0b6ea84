// Runs a CUDA kernel's source as C++, one block after another. A thread of a block is a fiber: it runs until its next barrier, then the
// next one does, all on one real thread, so that it takes no more time on a busy machine. Under a thread sanitizer it is a real thread and
// the barrier a std::barrier: the sanitizer then sees every pair of accesses that no barrier orders.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <thread>
#include <ucontext.h>
#include <vector>
#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)
struct Index { int x; };
inline thread_local Index threadIdx, blockIdx;
inline float mailbox[32][32];  // what the lanes of a warp hand each other

#ifdef __SANITIZE_THREAD__
inline std::unique_ptr<std::barrier<>> block_barrier;
inline std::vector<std::unique_ptr<std::barrier<>>> warp_barrier;
inline void __syncthreads() { block_barrier->arrive_and_wait(); }
inline void wait_for_warp() { warp_barrier[threadIdx.x / 32]->arrive_and_wait(); }
template <class F> void run_block(int b, int threads, F kernel) {
    block_barrier = std::make_unique<std::barrier<>>(threads);
    warp_barrier.clear();
    for (int w = 0; w * 32 < threads; w++) warp_barrier.push_back(std::make_unique<std::barrier<>>(32));
    std::vector<std::thread> all;
    for (int t = 0; t < threads; t++) all.emplace_back([=] { threadIdx.x = t; blockIdx.x = b; kernel(); });
    for (auto& t : all) t.join();
}
#else
enum State { READY, AT_WARP, AT_BLOCK, ENDED };
struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    State state;
};
inline ucontext_t scheduler;
inline std::vector<Fiber> fibers;
inline std::function<void()> fiber_work;
inline void wait_as(State state) {
    Fiber& self = fibers[threadIdx.x];
    self.state = state;
    swapcontext(&self.context, &scheduler);
}
inline void __syncthreads() { wait_as(AT_BLOCK); }
inline void wait_for_warp() { wait_as(AT_WARP); }
inline void run_fiber() {
    fiber_work();
    fibers[threadIdx.x].state = ENDED;
}
// Lets those go on who all wait at one barrier; false where nobody can.
inline bool release(int threads) {
    bool any = false, all = true;
    for (int w = 0; w < threads; w += 32) {
        bool whole = true;
        for (int t = w; t < w + 32; t++) whole &= fibers[t].state == AT_WARP, all &= fibers[t].state == AT_BLOCK;
        for (int t = w; whole && t < w + 32; t++) fibers[t].state = READY;
        any |= whole;
    }
    for (int t = 0; all && t < threads; t++) fibers[t].state = READY;
    return any || all;
}
template <class F> void run_block(int b, int threads, F kernel) {
    fibers.resize(threads);
    fiber_work = kernel;
    blockIdx.x = b;
    for (Fiber& f : fibers) {
        getcontext(&f.context);
        f.stack.resize(1 << 17);
        f.context.uc_stack.ss_sp = f.stack.data(), f.context.uc_stack.ss_size = f.stack.size(), f.context.uc_link = &scheduler;
        f.state = READY;
        makecontext(&f.context, run_fiber, 0);
    }
    for (int ended = 0; ended < threads;) {
        bool ran = false;
        for (int t = 0; t < threads; t++) {
            if (fibers[t].state != READY) continue;
            ran = true, threadIdx.x = t;
            swapcontext(&scheduler, &fibers[t].context);
            ended += fibers[t].state == ENDED;
        }
        if (!ran && !release(threads)) {
            std::fprintf(stderr, "the threads of a block wait at different barriers\n");
            std::abort();
        }
    }
}
#endif

// Copies for which no thread waits: they are done as late as they may be; where a sanitizer looks, as soon as they may be.
struct Pending {
    float* to;
    const float* from;
    int count;
};
inline void copy_now(const Pending& p) {
    for (int i = 0; i < p.count; i++) p.to[i] = p.from ? p.from[i] : 0.f;
}
inline std::vector<Pending> pending[1024];  // of each thread
inline bool is_shared(const float* p);
inline void copy_later(float* to, const float* from, bool there, int count) {
    const Pending p = {to, there ? from : nullptr, count};
    if ((std::uintptr_t)to % (4 * count) || there && (std::uintptr_t)from % (4 * count)) {
        std::fprintf(stderr, "a copy of %d numbers must begin at a multiple of as many\n", count);
        std::abort();
    }
    if (there && is_shared(from)) {
        std::fprintf(stderr, "what is copied without waiting must be in global memory\n");
        std::abort();
    }
#ifdef __SANITIZE_THREAD__
    copy_now(p);
#else
    pending[threadIdx.x].push_back(p);
#endif
}
inline void copy4(float* to, const float* from, bool there) { copy_later(to, from, there, 1); }
inline void copy16(float* to, const float* from, bool there) { copy_later(to, from, there, 4); }
inline void wait_for_copies() {
    for (const Pending& p : pending[threadIdx.x]) copy_now(p);
    pending[threadIdx.x].clear();
}
inline void fetch_line(const float*) {}
inline int here(int x) { return x; }
inline void __threadfence_system() { std::atomic_thread_fence(std::memory_order_seq_cst); }
template <class X> X from_lane(X x, int lane) {  // each lane's number goes through the mailbox
    const int w = threadIdx.x / 32, l = threadIdx.x % 32;
    std::memcpy(&mailbox[w][l], &x, sizeof(x));
    wait_for_warp();
    std::memcpy(&x, &mailbox[w][lane], sizeof(x));
    wait_for_warp();
    return x;
}
inline float __shfl_xor_sync(unsigned, float x, int mask) {
    return from_lane(x, (int)threadIdx.x % 32 ^ mask);
}
inline int __shfl_sync(unsigned, int x, int lane) { return from_lane(x, lane); }
inline unsigned __ballot_sync(unsigned, bool vote) {
    const int w = threadIdx.x / 32;
    mailbox[w][threadIdx.x % 32] = vote;
    wait_for_warp();
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) votes |= (unsigned)(mailbox[w][lane] != 0) << lane;
    wait_for_warp();
    return votes;
}
inline int __ffs(unsigned x) { return __builtin_ffs((int)x); }
using std::cos; using std::exp; using std::fabs; using std::isfinite; using std::log; using std::log1p; using std::pow; using std::sin; using std::sqrt;
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
inline bool is_shared(const float* p) { return p >= dynamic_shared && p < dynamic_shared + (1 << 18); }
template <class F> void launch(int blocks, int threads, int shared, F kernel) {
    for (int b = 0; b < blocks; b++) {
        for (int j = 0; j < shared; j++) dynamic_shared[j] = NAN;  // poison: what nobody wrote must not be read
        run_block(b, threads, kernel);
    }
}
